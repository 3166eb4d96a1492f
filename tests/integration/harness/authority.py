"""`credence up` and `credence authority run`, as their users start them."""

import json
import os
import re
import signal

from .peers import CREDENCE, agent_environment, peer, published
from .processes import free_port, wait_until

TRUST_DOMAIN = "example.org"


class Authority:
    """The trust authority by itself. It has what Agent needs of a server."""

    def __init__(self, scratch, name="authority", domain=TRUST_DOMAIN, flags=(), env=None, start=True):
        self.scratch, self.name, self.domain, self.flags, self.env = scratch, name, domain, flags, env or {}
        self.folder = scratch.folder(name, 0o700)
        self.data = self.folder / "data"
        self.socket = self.folder / "run" / "api.sock"
        self.port, self.oidc_port = free_port(), free_port()
        https = any(flag in ("-oidcCertificate", "-oidcSpiffe") for flag in flags)
        self.issuer = f"{'https' if https else 'http'}://127.0.0.1:{self.oidc_port}"
        if start:
            self.start()

    def command(self):
        return [CREDENCE, "authority", "run", "-trustDomain", self.domain, "-dataDir", self.data, "-socketPath", self.socket,
                "-port", self.port, "-oidcPort", self.oidc_port, *self.flags]

    def start(self):
        self.process = self.scratch.start(self.command(), f"{self.name}.log", env=agent_environment() | self.env)
        wait_until(self.answers, 30, lambda: f"the authority answers\n{self.process.tail()}")

    def answers(self):
        assert self.process.alive(), self.process.tail()
        return self.cli("bundle", "show", check=False).returncode == 0

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait(5)

    def cli(self, *arguments, check=True, program=None, stdin=None):
        """An operator's command: ours, or with program="spire-server" the real server's own."""
        binary = peer("spire-server") if program else published(CREDENCE)
        words = 2 if len(arguments) > 1 and not str(arguments[1]).startswith("-") else 1
        result = self.scratch.run([binary, *arguments[:words], "-socketPath", self.socket, *arguments[words:]], stdin=stdin,
                                  env={"HOME": "/nonexistent"})
        assert not check or result.returncode == 0, f"{arguments}: {result.returncode} {result.stdout}{result.stderr}"
        return result

    def json(self, *arguments):
        return json.loads(self.cli(*arguments, "-output", "json").stdout)

    def join_token(self, spiffe_id=None, life=600):
        out = self.cli("token", "generate", "-spiffeID", spiffe_id or f"spiffe://{self.domain}/node", "-ttl", life).stdout
        return re.search(r"Token: (\S+)", out).group(1)

    def create_entry(self, path, *selectors, parent="/node", flags=()):
        """The new entry's id."""
        out = self.json("entry", "create", "-spiffeID", f"spiffe://{self.domain}{path}",
                        "-parentID", f"spiffe://{self.domain}{parent}",
                        *(word for selector in selectors for word in ("-selector", selector)), *flags)
        return out["results"][0]["entry"]["id"]

    def readable_bundle(self):
        path = self.scratch.folder(f"{self.name}-bundle") / "bundle.pem"
        path.write_text(self.cli("bundle", "show").stdout)
        os.chmod(path, 0o644)
        return path


class Up:
    """`credence up` of one user, with everything it keeps in one folder."""

    def __init__(self, scratch, name="up", uid=0, flags=(), start=True):
        self.scratch, self.name, self.uid = scratch, name, uid
        self.flags = ["-port", free_port(), "-oidcPort", free_port(), *flags]
        self.folder = scratch.folder(name, 0o755)
        self.data = self.folder / "data"
        self.binary = published(CREDENCE)
        os.chown(self.folder, uid, uid)
        self.facts = {}
        if start:
            self.start()

    def start(self):
        log = self.scratch.path / f"{self.name}.log"
        before = log.stat().st_size if log.exists() else 0
        self.process = self.scratch.start(
            [self.binary, "up", "-dataDir", self.data, "--output", "json", *self.flags], log.name, uid=self.uid,
            env={"HOME": self.folder})

        def announced():
            text = self.process.output()[before:]
            assert self.process.alive(), text
            return text if "data_dir" in text and text.rstrip().endswith("}") else ""
        text = wait_until(announced, 40, lambda: f"credence up says that it is up\n{self.process.output()}")
        self.facts = json.loads(text[text.rindex("{\n"):])

    def stop(self):
        return self.process.stop()

    def cli(self, *arguments, uid=None, seconds=30):
        return self.scratch.run([self.binary, *arguments], uid=self.uid if uid is None else uid, seconds=seconds,
                                env={"HOME": self.folder, "CREDENCE_SOCKET": self.facts["agent_socket"],
                                     "CREDENCE_AUTHORITY_SOCKET": self.facts["authority_socket"]})

    def ok(self, *arguments, uid=None):
        result = self.cli(*arguments, uid=uid)
        assert result.returncode == 0, f"{arguments}: {result.returncode} {result.stdout}{result.stderr}\n{self.process.output()}"
        return result.stdout

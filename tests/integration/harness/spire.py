"""A real SPIRE server with its OIDC discovery provider."""

import base64
import json
import os
import re
import urllib.request

from cryptography.hazmat.primitives.serialization import load_der_private_key

from .peers import peer
from .processes import free_port, wait_until

TRUST_DOMAIN = "example.org"
NODE = f"spiffe://{TRUST_DOMAIN}/node"

SERVER_CONF = """
server {{
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  socket_path = "{socket}"
  trust_domain = "{domain}"
  data_dir = "{data}"
  log_level = "DEBUG"
  ca_ttl = "{ca_ttl}"
  agent_ttl = "{agent_ttl}"
  default_x509_svid_ttl = "{x509_ttl}"
  default_jwt_svid_ttl = "{jwt_ttl}"
  jwt_issuer = "{issuer}"
  jwt_key_type = "rsa-2048"
  # How soon agents see a new entry, and a new agent any entry: a quarter of a second rather than five.
  experimental {{ cache_reload_interval = "250ms" }}
{federation}}}
plugins {{
  DataStore "sql" {{ plugin_data {{
    database_type = "sqlite3"
    connection_string = "{data}/db.sqlite3"
  }} }}
  KeyManager "disk" {{ plugin_data {{ keys_path = "{data}/keys.json" }} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
{more}}}
"""

OIDC_CONF = """
domains = ["127.0.0.1"]
allow_insecure_scheme = true
insecure_addr = "127.0.0.1:{port}"
jwt_issuer = "{issuer}"
set_key_use = true
server_api {{ address = "unix://{socket}" }}
"""


class SpireServer:
    """`jti` loads the composer that gives every JWT-SVID one; `x509pop_ca` (a PEM file) adds that node attestor;
    `federation` is the inside of the block of that name, `env` what the server finds in its environment."""

    def __init__(self, scratch, name="server", jti=False, x509pop_ca=None, x509_ttl="1h", jwt_ttl="5m", ca_ttl="24h",
                 agent_ttl="1h", domain=TRUST_DOMAIN, federation="", env=None):
        self.scratch, self.name, self.domain, self.env = scratch, name, domain, env
        self.folder = scratch.folder(name, 0o700)
        self.socket = self.folder / "api.sock"
        self.port, self.oidc_port = free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{self.oidc_port}"
        more = ""
        if x509pop_ca:
            more += f'  NodeAttestor "x509pop" {{ plugin_data {{ ca_bundle_path = "{x509pop_ca}" }} }}\n'
        if jti:
            more += f'  CredentialComposer "jti" {{ plugin_cmd = "{peer("jti-composer")}"\n plugin_data {{}} }}\n'
        self.conf = self.folder / "server.conf"
        self.conf.write_text(SERVER_CONF.format(
            port=self.port, socket=self.socket, domain=domain, data=self.folder, ca_ttl=ca_ttl, x509_ttl=x509_ttl,
            agent_ttl=agent_ttl, jwt_ttl=jwt_ttl, issuer=self.issuer, more=more,
            federation=f"  federation {{\n{federation}\n  }}\n" if federation else ""))
        self.start()

    def start(self):
        self.process = self.scratch.start([peer("spire-server"), "run", "-config", self.conf], f"{self.name}.log", env=self.env)

        def healthy():
            assert self.process.alive(), self.process.tail()
            return self.cli("healthcheck", check=False).returncode == 0
        wait_until(healthy, 60, "the SPIRE server is healthy")
        self.bundle_path = self.scratch.path / f"{self.name}-bundle.pem"
        self.bundle_path.write_text(self.cli("bundle", "show", "-format", "pem").stdout)

    def start_oidc(self):
        conf = self.folder / "oidc.conf"
        conf.write_text(OIDC_CONF.format(port=self.oidc_port, issuer=self.issuer, socket=self.socket))
        self.oidc = self.scratch.start([peer("oidc-discovery-provider"), "-config", conf], f"{self.name}-oidc.log")

        def ready():
            assert self.oidc.alive(), self.oidc.tail()
            try:
                with urllib.request.urlopen(f"{self.issuer}/keys", timeout=2) as answer:
                    return json.load(answer)["keys"]
            except (OSError, KeyError):
                return False
        wait_until(ready, 30, "the OIDC provider serves keys")

    def stop(self):
        self.process.stop()

    def cli(self, *arguments, check=True):
        result = self.scratch.run(
            [peer("spire-server"), arguments[0], *arguments[1:2], "-socketPath", self.socket, *arguments[2:]]
            if len(arguments) > 1 else [peer("spire-server"), arguments[0], "-socketPath", self.socket])
        assert not check or result.returncode == 0, f"spire-server {' '.join(map(str, arguments))}: {result.stdout}{result.stderr}"
        return result

    def join_token(self, spiffe_id=None):
        """A token whose agent also answers for `spiffe_id`, by default the node all entries hang on."""
        out = self.cli("token", "generate", "-spiffeID", spiffe_id or f"spiffe://{self.domain}/node").stdout
        return re.search(r"Token: (\S+)", out).group(1)

    def create_entry(self, path, *selectors, **more):
        """Returns the entry's id. `path` is the part of the SPIFFE ID after the trust domain; see entry() for the rest."""
        return self.create_entries(self.entry(path, *selectors, **more))[0]

    def create_entries(self, *entries):
        """Creates many in one call; their ids in the order of `entries`, which entry() makes."""
        result = self.scratch.run([peer("spire-server"), "entry", "create", "-socketPath", self.socket, "-data", "-", "-output", "json"],
                                  stdin=json.dumps({"entries": entries}), seconds=60)
        assert result.returncode == 0, f"spire-server entry create: {result.stdout}{result.stderr}"
        answers = json.loads(result.stdout)["results"]
        assert all(answer["status"]["code"] == 0 for answer in answers), answers
        return [answer["entry"]["id"] for answer in answers]

    def entry(self, path, *selectors, parent="/node", **more):
        """A registration entry as `entry create -data` reads it; `more` is hint, entry_id, federates_with, x509_svid_ttl."""
        split = [selector.split(":", 1) for selector in selectors]
        return {"parent_id": f"spiffe://{self.domain}{parent}", "spiffe_id": f"spiffe://{self.domain}{path}",
                "selectors": [{"type": kind, "value": value} for kind, value in split], **more}

    def delete_entries(self, *entry_ids):
        result = self.scratch.run([peer("spire-server"), "entry", "delete", "-socketPath", self.socket, "-file", "-"],
                                  stdin=json.dumps({"ids": entry_ids}), seconds=60)
        assert result.returncode == 0, f"spire-server entry delete: {result.stdout}{result.stderr}"

    def spiffe_bundle(self):
        """The bundle as a SPIFFE bundle document."""
        return self.cli("bundle", "show", "-format", "spiffe").stdout

    def federate(self, other):
        """Takes over the bundle of another server, as federation would."""
        document = self.folder / f"{other.domain}.json"
        document.write_text(other.spiffe_bundle())
        self.cli("bundle", "set", "-id", f"spiffe://{other.domain}", "-format", "spiffe", "-path", document)

    def end_federation(self, other):
        """Deletes the bundle; entries that named it go on without it."""
        self.cli("bundle", "delete", "-id", f"spiffe://{other.domain}", "-mode", "dissociate")

    def agents(self):
        """What the server knows of its agents."""
        return json.loads(self.cli("agent", "list", "-output", "json").stdout)["agents"]

    def local_authority(self, kind, step, *more):
        """`localauthority x509 prepare` and its like; decoded."""
        result = self.scratch.run([peer("spire-server"), "localauthority", kind, step, "-socketPath", self.socket, "-output", "json",
                                   *more])
        assert result.returncode == 0, f"spire-server localauthority {kind} {step}: {result.stdout}{result.stderr}"
        return json.loads(result.stdout)

    def private_key(self, kind):
        """The key that signs now for "x509-CA" or "JWT-Signer": tests forge with it what nobody else could."""
        keys = json.loads((self.folder / "keys.json").read_text())["keys"]
        name = next(name for name in sorted(keys) if name.startswith(kind))
        return load_der_private_key(base64.b64decode(keys[name]), password=None)

    def mint_jwt(self, path, *audiences):
        """A token signed by the server itself, without any agent."""
        out = self.cli("jwt", "mint", "-spiffeID", f"spiffe://{self.domain}{path}",
                       *[part for audience in audiences for part in ("-audience", audience)]).stdout
        return out.splitlines()[0].strip()

    def readable_bundle(self):
        os.chmod(self.bundle_path, 0o644)
        return self.bundle_path

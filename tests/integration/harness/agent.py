"""The agent under test, or the real spire-agent with the same configuration."""

import json
import os
import signal
import socket

from .peers import CREDENCE, agent_environment, peer, published
from .processes import wait_until

AGENT_CONF = """
agent {{
  data_dir = "{data}"
  log_level = "{log_level}"
  server_address = "127.0.0.1"
  server_port = "{port}"
  socket_path = "{socket}"
  trust_domain = "{domain}"
  {bootstrap}
{agent_lines}
  experimental {{ sync_interval = "1s" }}
}}
plugins {{
{plugins}
}}
{credence_block}
"""

JOIN_TOKEN_PLUGIN = '  NodeAttestor "join_token" { plugin_data {} }'
MEMORY_KEYS = '  KeyManager "memory" { plugin_data {} }'
UNIX_ATTESTOR = '  WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } }'


class Agent:
    """Configured and started in `scratch`. `resources` is YAML text; `plugins` HCL lines that replace the usual ones."""

    default_program = "credence"

    def __init__(self, scratch, server, name="agent", program=None, resources="", agent_lines="", plugins=None,
                 bootstrap=None, join_token=True, audit_log=None, port=None, env=None, start=True, log_level="DEBUG", flags=()):
        program = program or self.default_program
        self.scratch, self.server, self.name, self.program, self.env, self.flags = scratch, server, name, program, env, flags
        self.folder = scratch.folder(name)
        self.socket = self.folder / "api.sock"
        self.data = scratch.folder(f"{name}-data", 0o700)
        self.audit_log = self.folder / "audit.jsonl" if audit_log is None else audit_log
        self.resources_path = scratch.folder(f"{name}-resources") / "all.yaml"
        self.resources_path.write_text(resources or "# none\n")
        if join_token:
            agent_lines += f'\n  join_token = "{server.join_token()}"'
        block = ""
        if program == "credence":
            block = f'credence {{\n  resources = ["{self.resources_path.parent}"]\n  audit_log = "{self.audit_log}"\n}}'
        self.conf = self.folder / "agent.conf"
        self.conf.write_text(AGENT_CONF.format(
            data=self.data, port=port or server.port, socket=self.socket, domain=server.domain, log_level=log_level,
            bootstrap=bootstrap or f'trust_bundle_path = "{server.readable_bundle()}"', agent_lines=agent_lines,
            plugins="\n".join(plugins or [JOIN_TOKEN_PLUGIN, MEMORY_KEYS, UNIX_ATTESTOR]), credence_block=block))
        self.conf.chmod(0o600)
        self.binary = CREDENCE if program == "credence" else peer("spire-agent")
        self.cli_binary = published(self.binary)
        if start:
            self.start()
            self.wait_ready()

    def start(self):
        environment = agent_environment() if self.program == "credence" else {}
        self.process = self.scratch.start([self.binary, "run", "-config", self.conf, *self.flags], f"{self.name}.log",
                                          env=environment | (self.env or {}))

    def wait_ready(self, seconds=30):
        """Until the socket takes connections; a caller's identity may come a moment later."""
        def accepting():
            assert self.process.alive(), f"the agent ended:\n{self.process.tail()}"
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(str(self.socket)) == 0
        wait_until(accepting, seconds, lambda: f"the agent listens\n{self.process.tail()}")
        if self.program == "credence":
            wait_until(lambda: self.status().get("last_sync_at"), seconds, lambda: f"first sync\n{self.process.tail()}")

    def stop(self):
        return self.process.stop()

    def reload(self):
        self.process.signal(signal.SIGHUP)

    # ---- the command line, as a user

    def cli(self, *arguments, uid=0, env=None, seconds=30):
        """CompletedProcess of `credence ARGUMENTS` run by `uid` against this agent's socket."""
        return self.scratch.run([self.cli_binary, *arguments], uid=uid, seconds=seconds,
                                env={"CREDENCE_SOCKET": self.socket, "HOME": "/nonexistent", **(env or {})})

    def get(self, destination, uid, *flags):
        return self.cli("get", destination, *flags, uid=uid)

    def credential(self, destination, uid):
        """The credential as `credence get --output json` prints it; AssertionError if it is refused."""
        result = self.get(destination, uid, "--output", "json")
        assert result.returncode == 0, f"get {destination}: {result.returncode} {result.stdout}{result.stderr}\n{self.process.tail()}"
        return json.loads(result.stdout)

    def status(self):
        result = self.cli("status", "--output", "json")
        return json.loads(result.stdout) if result.returncode == 0 else {}

    def audit(self):
        """Events on disk, oldest first."""
        if not os.path.exists(self.audit_log):
            return []
        with open(self.audit_log, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def probe(self, command, *flags, uid=0, seconds=60):
        """Result of the Go client, decoded; AssertionError with its message if it fails."""
        result = self.try_probe(command, *flags, uid=uid, seconds=seconds)
        assert result.returncode == 0, f"probe {command}: {result.stdout}{result.stderr}\n{self.process.tail()}"
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return lines if command == "watch" else lines[0]

    def try_probe(self, command, *flags, uid=0, seconds=60):
        probe = published(peer("probe"))
        return self.scratch.run([probe, command, "-socket", self.socket, *flags], uid=uid, seconds=seconds)

    def resident_kb(self):
        return self._memory_kb("VmRSS:")

    def peak_kb(self):
        """The most that was ever resident, or since forget_peak()."""
        return self._memory_kb("VmHWM:")

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")

    def _memory_kb(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(name))

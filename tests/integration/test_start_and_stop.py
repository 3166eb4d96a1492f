"""From the command line to a ready agent and back."""

import json
import os
import shutil
import signal
import socket
import stat
import time

from harness.agent import Agent
from harness.fixtures import ALICE, NOBODY, wait_for_identity
from harness.peers import CREDENCE, peer, published
from harness.processes import free_port, wait_until


def test_serves_soon_after_start(server, scratch):
    begin = time.monotonic()
    agent = Agent(scratch, server)
    assert time.monotonic() - begin < 15
    status = agent.status()
    assert status["trust_domain"] == "example.org"
    assert status["agent_id"].startswith("spiffe://example.org/spire/agent/join_token/")
    assert status["sync_error"] == "" and status["resource_errors"] == [] and status["audit_error"] == ""


def test_sigterm_ends_within_two_seconds_with_streams_open(server, scratch):
    agent = Agent(scratch, server)
    wait_for_identity(agent, ALICE)
    holder = scratch.start([published(peer("probe")), "watch", "-socket", agent.socket, "-count", "99", "-timeout", "60s"],
                           "holder.log", uid=ALICE)
    wait_until(lambda: "spiffe_ids" in holder.output(), 10, "the stream is open")
    begin = time.monotonic()
    agent.process.signal(signal.SIGTERM)
    assert agent.process.wait(5) == 0
    assert time.monotonic() - begin < 2
    assert not os.path.exists(agent.socket)


def test_sigint_ends_it_too(server, scratch):
    agent = Agent(scratch, server)
    agent.process.signal(signal.SIGINT)
    assert agent.process.wait(5) == 0


def test_sigterm_while_waiting_for_the_server_ends_within_two_seconds(server, scratch):
    agent = Agent(scratch, server, port=free_port(), start=False)
    agent.start()
    wait_until(lambda: "127.0.0.1" in agent.process.output(), 15, "the agent says whom it waits for")
    begin = time.monotonic()
    agent.process.signal(signal.SIGTERM)
    assert agent.process.wait(5) == 0
    assert time.monotonic() - begin < 2


def test_sigterm_while_a_large_executable_is_hashed_ends_within_two_seconds(server, scratch):
    """A sparse file of 256 GiB: the agent reads for minutes, and serves others meanwhile."""
    agent = Agent(scratch, server)
    wait_for_identity(agent, ALICE)
    huge = scratch.path / "huge"
    shutil.copy2(peer("probe"), huge)
    os.truncate(huge, 256 << 30)

    def hashing():
        folder = f"/proc/{agent.process.pid}/fd"
        return any(os.path.realpath(f"{folder}/{fd}") == str(huge) for fd in os.listdir(folder))

    def ask(log):
        asking = scratch.start([huge, "ids", "-socket", agent.socket, "-timeout", "60s"], log, uid=ALICE)
        wait_until(hashing, 15, lambda: f"the agent reads the file\n{asking.output()}{agent.process.tail()}")
    ask("huge.log")
    assert agent.probe("ids", uid=ALICE)["spiffe_ids"] == ["spiffe://example.org/alice"]
    ask("again.log")  # the agent gives the first one up after some seconds
    begin = time.monotonic()
    agent.process.signal(signal.SIGTERM)
    assert agent.process.wait(5) == 0
    assert time.monotonic() - begin < 2


def test_second_agent_on_the_socket_fails_and_leaves_the_first_alone(server, scratch):
    first = Agent(scratch, server)
    wait_for_identity(first, ALICE)
    second = Agent(scratch, server, name="second", start=False)
    second.conf.write_text(second.conf.read_text().replace(str(second.socket), str(first.socket)))
    second.start()
    assert second.process.wait(20) not in (0, None)
    output = second.process.output()
    assert str(first.socket) in output and ("another" in output or "already" in output), output
    assert first.probe("x509", uid=ALICE)["spiffe_id"] == "spiffe://example.org/alice"


def test_stale_socket_is_replaced(server, scratch):
    stale = scratch.folder("agent") / "api.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(stale))
    assert stat.S_ISSOCK(os.stat(stale).st_mode)
    agent = Agent(scratch, server)
    wait_for_identity(agent, ALICE)


def test_restart_after_kill_replaces_its_own_socket(server, scratch):
    agent = Agent(scratch, server)
    agent.process.signal(signal.SIGKILL)
    agent.process.wait(5)
    assert os.path.exists(agent.socket)
    conf = agent.conf.read_text()
    used = conf[conf.index("join_token ="):].splitlines()[0]
    agent.conf.write_text(conf.replace(used, f'join_token = "{server.join_token()}"'))
    agent.start()
    agent.wait_ready()


def test_something_else_at_the_socket_path_is_not_removed(server, scratch):
    precious = scratch.folder("agent") / "api.sock"
    precious.write_text("somebody's file")
    agent = Agent(scratch, server, start=False)
    agent.start()
    assert agent.process.wait(20) != 0
    assert precious.read_text() == "somebody's file"
    assert str(precious) in agent.process.output()


def test_join_token_is_used_up_after_one_use_and_said_so(server, scratch):
    first = Agent(scratch, server)
    token = first.conf.read_text().split('join_token = "')[1].split('"')[0]
    second = Agent(scratch, server, name="second", join_token=False, agent_lines=f'\n  join_token = "{token}"', start=False)
    second.start()
    wait_until(lambda: not second.process.alive() or "token" in second.process.output().split("starting", 1)[-1], 20, second.process.tail)
    assert token not in second.process.output(), "a join token is a secret"


def test_version_needs_no_agent(scratch):
    result = scratch.run([CREDENCE, "version"])
    assert result.returncode == 0 and result.stdout.strip()


def test_client_commands_say_that_no_agent_is_there(scratch):
    for command in (["get", "x"], ["list"], ["status"], ["exec", "--destination", "x", "--", "true"]):
        result = scratch.run([CREDENCE, *command], env={"CREDENCE_SOCKET": scratch.path / "none.sock"})
        assert result.returncode == 5, command
        assert str(scratch.path / "none.sock") in result.stderr


def test_socket_is_found_by_the_spiffe_variable(agent):
    result = agent.cli("status", "--output", "json", uid=NOBODY,
                       env={"CREDENCE_SOCKET": "", "SPIFFE_ENDPOINT_SOCKET": f"unix://{agent.socket}"})
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["trust_domain"] == "example.org"


def test_bad_usage_has_its_own_exit_code(scratch):
    for arguments in (["get"], ["nonsense"], ["exec", "--destination", "x"], ["get", "x", "--output", "xml"], ["run", "--no-such-flag"]):
        assert scratch.run([CREDENCE, *arguments]).returncode == 2, arguments


def test_help_of_every_command_has_examples(scratch):
    for command in ("run", "get", "exec", "list", "status", "audit", "check"):
        result = scratch.run([CREDENCE, command, "--help"])
        assert result.returncode == 0 and "Examples:" in result.stdout, command


def test_no_core_dump_and_no_debugger(agent):
    with open(f"/proc/{agent.process.pid}/limits", encoding="ascii") as limits:
        core = next(line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4] == "0"

"""The SPIRE server is not there: at start, later, and when it comes back."""

import pytest

from harness.agent import Agent
from harness.fixtures import ALICE, NOBODY, create_usual_entries, wait_for_identity
from harness.processes import wait_until
from harness.spire import SpireServer


@pytest.fixture
def own_server(scratch):
    server = SpireServer(scratch)
    create_usual_entries(server)
    return server


def test_away_at_start_then_there(scratch, own_server):
    agent = Agent(scratch, own_server, start=False)
    own_server.stop()
    agent.start()
    wait_until(lambda: "127.0.0.1" in agent.process.output() and agent.process.alive(), 15, "the agent says whom it waits for")
    assert agent.process.alive()
    own_server.start()
    agent.wait_ready(90)
    wait_for_identity(agent, ALICE, 30)


def test_callers_are_told_Unavailable_until_it_is_there(scratch, own_server):
    """WE-17. The socket may not be there yet, which says the same."""
    agent = Agent(scratch, own_server, start=False)
    own_server.stop()
    agent.start()
    wait_until(lambda: agent.process.output(), 10, "first words")
    result = agent.cli("get", "anything", uid=ALICE)
    assert result.returncode == 5, result.stderr


def test_away_later_everything_valid_is_served(scratch, own_server):
    agent = Agent(scratch, own_server)
    wait_for_identity(agent, ALICE)
    before = agent.probe("jwt", "-audience", "cached", uid=ALICE)
    own_server.stop()
    wait_until(lambda: agent.status()["sync_error"], 30, "status says that the server is away")
    assert agent.probe("x509", uid=ALICE)["spiffe_id"] == "spiffe://example.org/alice"
    assert agent.probe("jwt", "-audience", "cached", uid=ALICE)["token"] == before["token"]
    assert agent.try_probe("jwt", "-audience", "not-cached", uid=ALICE).returncode != 0
    assert agent.try_probe("x509", "-timeout", "3s", uid=NOBODY).returncode != 0
    own_server.start()
    wait_until(lambda: not agent.status()["sync_error"], 60, "the server is back")
    assert agent.probe("jwt", "-audience", "not-cached", uid=ALICE)


def test_agent_that_the_server_evicted_says_so(scratch, own_server):
    agent = Agent(scratch, own_server)
    wait_for_identity(agent, ALICE)
    own_server.cli("agent", "ban", "-spiffeID", agent.status()["agent_id"])

    def noticed():
        return not agent.process.alive() or agent.status().get("sync_error")
    wait_until(noticed, 30, "the ban is noticed")


def test_wrong_bundle_is_not_trusted(scratch, own_server):
    """A server that the bundle does not name gets nothing from us, and the log says why."""
    other = SpireServer(scratch, name="other")
    agent = Agent(scratch, own_server, bootstrap=f'trust_bundle_path = "{other.readable_bundle()}"', start=False)
    agent.start()
    wait_until(lambda: any(word in agent.process.output().lower() for word in ("certificate", "unknown authority", "verify")), 20,
               agent.process.tail)
    assert own_server.cli("agent", "list").stdout.count("spire/agent/join_token") == 0

"""Node attestation by possession of an X.509 key, and the disk key manager that goes with it."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.agent import UNIX_ATTESTOR, Agent
from harness.certificates import NodeAuthority, certificate, new_key
from harness.fixtures import ALICE, create_usual_entries, wait_for_identity
from harness.processes import Scratch, wait_until
from harness.spire import NODE, SpireServer


@pytest.fixture(scope="module")
def world():
    """(server, authority of its nodes): one for all tests; each has an agent of its own."""
    with Scratch("x509pop") as scratch:
        authority = NodeAuthority(scratch.path)
        server = SpireServer(scratch, x509pop_ca=authority.path)
        create_usual_entries(server)
        server.cli("entry", "create", "-node", "-spiffeID", NODE, "-selector", "x509pop:subject:cn:node-1")
        yield server, authority


def make_agent(scratch, server, node_attestor, **options):
    keys = f'  KeyManager "disk" {{ plugin_data {{ directory = "{scratch.folder("keys", 0o700)}" }} }}'
    return Agent(scratch, server, join_token=False, plugins=[node_attestor, keys, UNIX_ATTESTOR], **options)


@pytest.mark.parametrize("make_key", [new_key, lambda: rsa.generate_private_key(65537, 2048)], ids=["ec", "rsa"])
def test_attests_and_serves(scratch, world, make_key):
    server, authority = world
    agent = make_agent(scratch, server, authority.plugin_for(scratch.path, "node-1", make_key()))
    wait_for_identity(agent, ALICE)
    assert "/spire/agent/x509pop/" in agent.status()["agent_id"]


def test_intermediate_file_is_sent_along(scratch, world):
    server, authority = world
    middle_key, key = new_key(), new_key()
    middle = certificate("pop middle", middle_key, "pop root", authority.key, True)
    leaf = certificate("node-1", key, "pop middle", middle_key, False)
    agent = make_agent(scratch, server, authority.plugin(scratch.path, "node-1", key, leaf, middle))
    wait_for_identity(agent, ALICE)


def test_restart_uses_the_stored_identity(scratch, world):
    server, authority = world
    agent = make_agent(scratch, server, authority.plugin_for(scratch.path, "node-1"))
    first = agent.status()["agent_id"]
    attested = serial_of(server, first)
    assert agent.stop() == 0
    agent.start()
    agent.wait_ready()
    wait_for_identity(agent, ALICE)
    assert agent.status()["agent_id"] == first
    assert serial_of(server, first) == attested, "the server was not asked for a new SVID"


def serial_of(server, agent_id):
    path = agent_id.removeprefix(f"spiffe://{server.domain}")
    return next(agent["x509svid_serial_number"] for agent in server.agents() if agent["id"]["path"] == path)


def test_certificate_of_a_stranger_is_refused_and_said_so(scratch, world):
    server, authority = world
    before = len(server.agents())
    key = new_key()
    leaf = certificate("node-1", key, "stranger", key, False)
    agent = make_agent(scratch, server, authority.plugin(scratch.path, "node-1", key, leaf), start=False)
    agent.start()
    wait_until(lambda: "attestation failed" in agent.process.output(), 30, agent.process.tail)
    assert len(server.agents()) == before


def test_key_that_does_not_match_is_a_mistake_that_names_both_files(scratch, world):
    server, authority = world
    leaf = certificate("node-1", new_key(), "pop root", authority.key, False)
    agent = make_agent(scratch, server, authority.plugin(scratch.path, "node-1", new_key(), leaf), start=False)
    agent.start()
    wait_until(lambda: not agent.process.alive() or "node-1." in agent.process.output(), 20, agent.process.tail)
    assert "node-1.key" in agent.process.output() or "node-1.pem" in agent.process.output()

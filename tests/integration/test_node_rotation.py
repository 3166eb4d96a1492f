"""The agent's own SVID is replaced in time. The server's lives for 15 seconds; with the 10 by which it is backdated,
half of its life is over after two and a half."""

import pytest
from cryptography import x509

from harness.agent import MEMORY_KEYS, UNIX_ATTESTOR, Agent
from harness.caller import Caller
from harness.certificates import NodeAuthority
from harness.fixtures import ALICE, wait_for_identity
from harness.processes import Scratch, wait_until
from harness.spire import NODE, SpireServer
from harness.tokens import part


@pytest.fixture(scope="module")
def world():
    """(server, authority of the nodes that attest by x509pop)"""
    with Scratch("rotation") as scratch:
        authority = NodeAuthority(scratch.path)
        server = SpireServer(scratch, agent_ttl="15s", x509pop_ca=authority.path)
        server.create_entry("/alice", f"unix:uid:{ALICE}")
        server.cli("entry", "create", "-node", "-spiffeID", NODE, "-selector", "x509pop:subject:cn:node-1")
        yield server, authority


def known_agent(server, agent_id):
    path = agent_id.removeprefix(f"spiffe://{server.domain}")
    (known,) = [one for one in server.agents() if one["id"]["path"] == path]
    return known


def test_join_token_agent_renews_its_svid(scratch, world):
    server, _ = world
    agent = Agent(scratch, server)
    wait_for_identity(agent, ALICE)
    agent_id = agent.status()["agent_id"]
    serials = {known_agent(server, agent_id)["x509svid_serial_number"]}

    def renewed_twice():
        # The server notes the new serial number once the agent has used it.
        serials.add(known_agent(server, agent_id)["x509svid_serial_number"])
        return len(serials) >= 3
    wait_until(renewed_twice, 60, lambda: f"two renewals\n{agent.process.tail()}")
    assert server.process.output().count("Renewing agent SVID") >= 2
    assert agent.probe("jwt", "-audience", "after-renewal", uid=ALICE)
    assert agent.status()["agent_id"] == agent_id


def test_x509pop_agent_attests_again(scratch, world):
    server, authority = world
    renewals = server.process.output().count("Renewing agent SVID")
    agent = Agent(scratch, server, join_token=False, plugins=[authority.plugin_for(scratch.path, "node-1"), MEMORY_KEYS, UNIX_ATTESTOR])
    wait_for_identity(agent, ALICE)
    agent_id = agent.status()["agent_id"]
    serials = {known_agent(server, agent_id)["x509svid_serial_number"]}

    def attested_again():
        serials.add(known_agent(server, agent_id)["x509svid_serial_number"])
        return len(serials) >= 2
    wait_until(attested_again, 60, lambda: f"another attestation\n{agent.process.tail()}")
    assert known_agent(server, agent_id)["can_reattest"] is True
    assert server.process.output().count("Renewing agent SVID") == renewals, "who can attest again does not renew"
    assert agent.probe("jwt", "-audience", "after-attestation", uid=ALICE)
    assert agent.status()["agent_id"] == agent_id


def test_what_a_tainted_authority_signed_is_replaced_at_once(scratch, protos):
    """With lives of an hour nothing else would replace it now."""
    server = SpireServer(scratch)
    server.create_entry("/alice", f"unix:uid:{ALICE}")
    agent = Agent(scratch, server)
    wait_for_identity(agent, ALICE)
    agent_id = agent.status()["agent_id"]

    def node_serial():
        return known_agent(server, agent_id)["x509svid_serial_number"]

    def kid():
        return part(agent.probe("jwt", "-audience", "x", uid=ALICE)["token"], 0)["kid"]
    with Caller(agent.socket, ALICE) as alice:
        def signer():
            certificate = x509.load_der_x509_certificate(alice.x509_svid(protos).x509_svid)
            return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier.hex()
        old, new = {"x509": signer(), "jwt": kid()}, {}
        for kind in old:
            new[kind] = server.local_authority(kind, "prepare")["prepared_authority"]["authority_id"]
            server.local_authority(kind, "activate", "-authorityID", new[kind])
        node = node_serial()
        assert (signer(), kid()) == (old["x509"], old["jwt"]), "another key alone replaces nothing"
        for kind, authority in old.items():
            server.local_authority(kind, "taint", "-authorityID", authority)
        wait_until(lambda: signer() == new["x509"], 10, lambda: f"another X509-SVID\n{agent.process.tail()}")
        wait_until(lambda: kid() == new["jwt"], 10, "another JWT-SVID")
        wait_until(lambda: node_serial() != node, 10, "another SVID of the agent")
        assert agent.probe("x509", uid=ALICE)["authorities"] == 2, "it stays in the bundle until it is revoked"

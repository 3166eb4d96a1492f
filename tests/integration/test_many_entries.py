"""More entries than the server sends on one page, which are 500."""

import pytest

from harness.agent import Agent
from harness.caller import Caller, RpcError
from harness.fixtures import NOBODY, wait_for_identity

CROWD, ENTRIES = 20041, 510


def test_every_entry_of_two_pages_is_served_and_later_changes_too(scratch, server, protos):
    """They hang on a node of their own, so that other tests' agents do not sign for them."""
    everybody = [server.entry(f"/crowd/{number}", f"unix:uid:{CROWD}", parent="/crowded", entry_id=f"crowd-{number:04}") for number in range(ENTRIES)]
    ids = server.create_entries(*everybody)
    agent = Agent(scratch, server, join_token=False, agent_lines=f'\n  join_token = "{server.join_token("spiffe://example.org/crowded")}"')
    wait_for_identity(agent, CROWD, 60)
    expected = {f"spiffe://example.org/crowd/{number}" for number in range(ENTRIES)}
    with Caller(agent.socket, CROWD) as caller, Caller(agent.socket, NOBODY) as nobody:
        stream = caller.open("/SpiffeWorkloadAPI/FetchX509SVID", answer_type=protos.workload.X509SVIDResponse)

        def reaches(wanted):
            while {svid.spiffe_id for svid in stream.next(60).svids} != wanted:
                pass
        reaches(expected)
        with pytest.raises(RpcError) as caught:
            nobody.open("/SpiffeWorkloadAPI/FetchX509SVID").next()
        assert caught.value.code == "PERMISSION_DENIED"
        late = server.create_entry("/crowd/late", f"unix:uid:{CROWD}", parent="/crowded", entry_id="crowd-late")
        reaches(expected | {"spiffe://example.org/crowd/late"})
        server.delete_entries(ids[-1])
        reaches(expected - {f"spiffe://example.org/crowd/{ENTRIES - 1}"} | {"spiffe://example.org/crowd/late"})
    agent.stop()
    server.delete_entries(*ids[:-1], late)

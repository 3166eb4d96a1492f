"""Unmodified clients of the Workload API get what they want."""

import subprocess

import pytest

from harness.agent import UNIX_ATTESTOR
from harness.fixtures import ALICE, BOB, MANY, NOBODY
from harness.peers import peer, published


@pytest.fixture
def spire_cli(agent, scratch):
    """spire-agent's own client commands, as a user."""
    program = published(scratch.folder("bin"), peer("spire-agent"))

    def run(*arguments, uid):
        return scratch.run([program, "api", *arguments, "-socketPath", agent.socket], uid=uid)
    return run


def test_spire_agent_fetches_and_writes_x509(spire_cli, scratch):
    target = scratch.folder("svids", 0o777)
    result = spire_cli("fetch", "x509", "-write", target, uid=ALICE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "spiffe://example.org/alice" in result.stdout
    verify = subprocess.run(["openssl", "verify", "-CAfile", target / "bundle.0.pem", target / "svid.0.pem"], capture_output=True, text=True)
    assert verify.returncode == 0, verify.stderr


def test_spire_agent_fetches_and_validates_jwt(spire_cli):
    fetched = spire_cli("fetch", "jwt", "-audience", "x", uid=ALICE)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    token = next(word for word in fetched.stdout.split() if word.count(".") == 2 and len(word) > 100)
    validated = spire_cli("validate", "jwt", "-audience", "x", "-svid", token, uid=BOB)
    assert validated.returncode == 0 and "spiffe://example.org/alice" in validated.stdout


def test_spire_agent_is_told_that_it_has_no_identity(spire_cli):
    result = spire_cli("fetch", "x509", uid=NOBODY)
    assert result.returncode != 0
    assert "PermissionDenied" in result.stdout + result.stderr


def test_go_spiffe_x509_source(agent):
    seen = agent.probe("x509", uid=ALICE)
    assert seen["spiffe_id"] == "spiffe://example.org/alice" and seen["authorities"] >= 1


def test_go_spiffe_jwt_source(agent):
    seen = agent.probe("jwt", "-audience", "a-service", uid=BOB)
    assert seen["spiffe_id"] == "spiffe://example.org/bob" and seen["audience"] == ["a-service"]


def test_go_spiffe_mtls_between_two_workloads(agent):
    assert agent.probe("mtls", uid=ALICE)["echo"] == "hello"


def test_first_identity_is_the_same_for_every_client(agent):
    first = agent.probe("x509", uid=MANY)["spiffe_id"]
    assert agent.probe("x509", uid=MANY)["spiffe_id"] == first


@pytest.mark.parametrize("selector", ["unix:path:{bin}/probe", "unix:sha256:{hash}", "unix:gid:{uid}"])
def test_unix_selectors(agent, server, scratch, selector):
    assert "discover_workload_path" in UNIX_ATTESTOR
    uid = 20050
    program = published(scratch.folder("bin"), peer("probe"))
    digest = subprocess.run(["sha256sum", program], capture_output=True, text=True, check=True).stdout.split()[0]
    entry = server.create_entry("/by-selector", selector.format(bin=scratch.path / "bin", hash=digest, uid=uid), f"unix:uid:{uid}")
    try:
        from harness.processes import wait_until

        def fetched():
            return scratch.run([program, "x509", "-socket", agent.socket, "-timeout", "2s"], uid=uid).returncode == 0
        wait_until(fetched, 20, "the entry matches")
        assert spire_refuses_other_program(agent, uid) or "gid" in selector
    finally:
        server.delete_entry(entry)


def spire_refuses_other_program(agent, uid):
    """Another executable of the same user does not match path or hash."""
    program = published(agent.scratch.folder("bin"), peer("spire-agent"))
    return agent.scratch.run([program, "api", "fetch", "x509", "-socketPath", agent.socket], uid=uid).returncode != 0


def test_stream_pushes_rotation(scratch, server):
    """With SVIDs of 20 seconds a second update comes well before the first one ends."""
    from harness.agent import Agent
    from harness.fixtures import wait_for_identity
    uid = 20051
    entry = server.create_entry("/short", f"unix:uid:{uid}", options=("-x509SVIDTTL", "20"))
    try:
        agent = Agent(scratch, server)
        wait_for_identity(agent, uid)
        lines = agent.probe("watch", "-count", "2", "-timeout", "25s", uid=uid, seconds=40)
        assert lines[0]["serials"] != lines[1]["serials"]
        assert lines[0]["spiffe_ids"] == lines[1]["spiffe_ids"]
    finally:
        server.delete_entry(entry)

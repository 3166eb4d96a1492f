"""Unmodified clients of the Workload API get what they want."""

import grp
import hashlib
import json
import pwd
import shutil
import subprocess

import pytest

from harness.fixtures import ALICE, BOB, MANY, NOBODY, wait_for_identity
from harness.peers import peer, published
from harness.processes import wait_until


@pytest.fixture
def spire_cli(agent, scratch):
    """spire-agent's own client commands, as a user."""
    program = published(peer("spire-agent"))

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


def ids_of(scratch, agent, program, **process):
    """SPIFFE IDs of a process with these rights; empty if it has none."""
    result = scratch.run([program, "ids", "-socket", agent.socket], **process)
    if result.returncode != 0:
        assert "PermissionDenied" in result.stderr, result.stderr
        return set()
    return set(json.loads(result.stdout)["spiffe_ids"])


def own_copy(program, target):
    """With a digest that no other file has."""
    shutil.copy2(program, target)
    with open(target, "ab") as content:
        content.write(str(target).encode())
    return target


def test_unix_selectors(agent, server, scratch):
    """An entry for each selector, and processes of which each lacks one thing. Names are of accounts every Debian has."""
    user, group, more_group = pwd.getpwnam("games"), grp.getgrnam("audio"), grp.getgrnam("video")
    own_group, more_gid = 20050, 20051
    program, other = (own_copy(peer("probe"), scratch.path / name) for name in ("program", "other"))
    selectors = {
        "uid": f"uid:{user.pw_uid}", "user": "user:games", "gid": f"gid:{group.gr_gid}", "group": "group:audio",
        "supplementary-gid": f"supplementary_gid:{more_gid}", "supplementary-group": "supplementary_group:video",
        "path": f"path:{program}", "sha256": f"sha256:{hashlib.sha256(program.read_bytes()).hexdigest()}"}
    # Tied to programs of this test, so that the machine's own processes and other tests do not match.
    entries = server.create_entries(*(
        server.entry(f"/unix/{name}", f"unix:{selector}", *([] if name in ("path", "sha256") else [f"unix:path:{other}"]))
        for name, selector in selectors.items()))

    def has(program, *names, **process):
        expected = {f"spiffe://example.org/unix/{name}" for name in names}
        wait_until(lambda: ids_of(scratch, agent, program, **process) == expected, 20,
                   lambda: f"{process}: {ids_of(scratch, agent, program, **process)} instead of {expected}")
    try:
        has(other, "uid", "user", "gid", "group", "supplementary-gid", "supplementary-group",
            uid=user.pw_uid, gid=group.gr_gid, groups=(more_group.gr_gid, more_gid))
        has(other, "uid", "user", uid=user.pw_uid, gid=own_group)
        has(other, "gid", "group", uid=20050, gid=group.gr_gid)
        has(other, "supplementary-gid", uid=20050, gid=own_group, groups=(more_gid,))
        has(other, "supplementary-group", uid=20050, gid=own_group, groups=(more_group.gr_gid,))
        has(other, uid=20050, gid=own_group)
        has(program, "path", "sha256", uid=20050, gid=own_group)
    finally:
        server.delete_entries(*entries)


def test_stream_pushes_rotation(agent, server):
    """With SVIDs of 20 seconds a second update comes well before the first one ends."""
    uid = 20052
    entry = server.create_entry("/short", f"unix:uid:{uid}", x509_svid_ttl=20)
    try:
        wait_for_identity(agent, uid)
        lines = agent.probe("watch", "-count", "2", "-timeout", "25s", uid=uid, seconds=40)
        assert lines[0]["serials"] != lines[1]["serials"]
        assert lines[0]["spiffe_ids"] == lines[1]["spiffe_ids"]
    finally:
        server.delete_entries(entry)


def test_spire_agent_finds_the_agent_healthy(agent, scratch):
    """The probe that operators' units and pods have; it knows nothing of the Workload API's header."""
    program = published(peer("spire-agent"))
    result = scratch.run([program, "healthcheck", "-socketPath", agent.socket], uid=NOBODY)
    assert result.returncode == 0, result.stdout + result.stderr
    away = scratch.run([program, "healthcheck", "-socketPath", scratch.path / "none.sock"], uid=NOBODY)
    assert away.returncode != 0


def test_WE_23_own_functions_are_a_service_of_their_own(caller, protos):
    answer = caller(ALICE).call("/credence.credential.v1.CredentialAPI/GetStatus", answer_type=protos.credential.GetStatusResponse)
    assert answer.trust_domain == "example.org"

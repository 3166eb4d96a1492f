"""The built-in trust authority as agents and operators see it: the stock spire-agent, our agent, and the commands of both."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

from harness.agent import Agent
from harness.authority import Authority
from harness.fixtures import ALICE, BOB, wait_for_identity
from harness.openbao import OpenBao
from harness.processes import Scratch, wait_until
from harness import resources
from harness.tokens import part


@pytest.fixture(scope="module")
def authority():
    with Scratch("authority") as scratch:
        authority = Authority(scratch)
        authority.create_entry("/alice", f"unix:uid:{ALICE}")
        authority.create_entry("/bob", f"unix:uid:{BOB}", flags=["-dns", "bob.example.org", "-jwtSVIDTTL", "60"])
        yield authority


@pytest.mark.parametrize("program", ["spire-agent", "credence"])
def test_an_agent_joins_by_token_and_serves_svids_that_verify(authority, scratch, program):
    agent = Agent(scratch, authority, program=program)
    wait_for_identity(agent, ALICE)
    assert agent.probe("x509", uid=ALICE)
    assert agent.probe("ids", uid=BOB)["spiffe_ids"] == ["spiffe://example.org/bob"]
    agents = authority.json("agent", "list")["agents"]
    assert any(one["attestation_type"] == "join_token" and not one["banned"] for one in agents)


def test_a_credential_by_the_authoritys_oidc_issuer(authority, scratch):
    bao = OpenBao(scratch, authority.issuer)
    bao.create_role("alice", "spiffe://example.org/alice")
    agent = Agent(scratch, authority, resources=resources.together(
        resources.openbao("kv", bao.url, "alice"), resources.grant("g", "/alice", "kv")))
    wait_for_identity(agent, ALICE)
    assert agent.credential("kv", ALICE)["fields"]


def test_jwt_svids_name_the_issuer_and_keep_to_the_entrys_life(authority, scratch):
    agent = Agent(scratch, authority)
    wait_for_identity(agent, BOB)
    token = agent.probe("jwt", "-audience", "x", uid=BOB)["token"]
    claims = part(token, 1)
    assert claims["iss"] == authority.issuer and claims["aud"] == ["x"]
    assert claims["exp"] - claims["iat"] == 60
    assert part(token, 0)["alg"] == "ES256"


def test_a_new_entry_reaches_the_agent_and_a_deleted_one_leaves_it(authority, scratch):
    agent = Agent(scratch, authority)
    entry = authority.create_entry("/late", "unix:uid:20055")
    wait_for_identity(agent, 20055)
    authority.cli("entry", "delete", "-entryID", entry)
    wait_until(lambda: agent.try_probe("ids", uid=20055).returncode != 0, 15, "the identity is gone")


def test_the_real_servers_command_line_works_on_it(authority):
    authority.cli("entry", "create", "-spiffeID", "spiffe://example.org/cli", "-parentID", "spiffe://example.org/node",
                  "-selector", "unix:uid:1", "-x509SVIDTTL", "600", "-hint", "h", program="spire-server")
    shown = authority.cli("entry", "show", "-spiffeID", "spiffe://example.org/cli", program="spire-server").stdout
    entry = re.search(r"Entry ID\s+: (\S+)", shown).group(1)
    assert shown == authority.cli("entry", "show", "-spiffeID", "spiffe://example.org/cli").stdout
    authority.cli("entry", "update", "-entryID", entry, "-spiffeID", "spiffe://example.org/cli", "-parentID",
                  "spiffe://example.org/node", "-selector", "unix:uid:2", program="spire-server")
    assert authority.json("entry", "show", "-entryID", entry)["entries"][0]["selectors"] == [{"type": "unix", "value": "uid:2"}]
    authority.cli("entry", "delete", "-entryID", entry, program="spire-server")
    assert authority.cli("entry", "show", "-entryID", entry, check=False).returncode != 0
    assert authority.cli("agent", "list", program="spire-server").stdout
    assert authority.cli("bundle", "show", "-format", "spiffe", program="spire-server").stdout


def test_bundles_go_both_ways_with_a_real_server(authority, server):
    foreign = server.spiffe_bundle()
    done = authority.cli("bundle", "set", "-id", "spiffe://other.test", "-format", "spiffe", "-path", "-", stdin=foreign)
    assert done.returncode == 0
    listed = authority.cli("bundle", "list", "-format", "spiffe", "-id", "spiffe://other.test").stdout
    assert json.loads(listed)["keys"]
    document = authority.scratch.path / "ours.json"
    document.write_text(authority.cli("bundle", "show", "-format", "spiffe").stdout)
    server.cli("bundle", "set", "-id", "spiffe://authority.test", "-format", "spiffe", "-path", document)
    server.cli("bundle", "delete", "-id", "spiffe://authority.test")
    authority.cli("bundle", "delete", "-id", "spiffe://other.test")


@pytest.mark.hostile
@pytest.mark.parametrize("token, why", [
    ("never-made", "unknown or was used already"), ("../../etc", "join token has"), ("x" * 200, "join token has")])
def test_a_wrong_token_is_refused(authority, scratch, token, why):
    agent = Agent(scratch, authority, join_token=False, agent_lines=f'  join_token = "{token}"', start=False)
    agent.start()
    wait_until(lambda: why in agent.process.output(), 20, lambda: agent.process.tail())


@pytest.mark.hostile
def test_a_token_works_once(authority, scratch):
    token = authority.join_token()
    first = Agent(scratch, authority, "first", join_token=False, agent_lines=f'  join_token = "{token}"')
    assert first.status()["agent_id"].endswith(token)
    second = Agent(scratch, authority, "second", join_token=False, agent_lines=f'  join_token = "{token}"', start=False)
    second.start()
    wait_until(lambda: "used already" in second.process.output(), 20, lambda: second.process.tail())


@pytest.mark.hostile
def test_an_expired_token_is_refused(authority, scratch):
    token = authority.join_token(life=1)
    time.sleep(1.1)
    agent = Agent(scratch, authority, join_token=False, agent_lines=f'  join_token = "{token}"', start=False)
    agent.start()
    wait_until(lambda: "expired" in agent.process.output(), 20, lambda: agent.process.tail())


def test_a_banned_agent_ends_and_stays_out(authority, scratch):
    agent = Agent(scratch, authority)
    agent_id = agent.status()["agent_id"]
    authority.cli("agent", "ban", "-spiffeID", agent_id)
    assert agent.process.wait(20) == 4, agent.process.tail()
    assert authority.json("agent", "show", "-spiffeID", agent_id)["banned"]
    authority.cli("agent", "evict", "-spiffeID", agent_id)
    assert authority.cli("agent", "show", "-spiffeID", agent_id, check=False).returncode != 0


def test_an_agent_whose_svid_has_expired_says_that_it_has_to_be_attested_anew(scratch):
    """As after a suspend that was longer than the SVID's life."""
    authority = Authority(scratch, flags=["-agentTTL", "10s"])
    agent = Agent(scratch, authority, flags=["-exitWhenExpired"])
    agent.process.signal(signal.SIGSTOP)
    time.sleep(11)
    agent.process.signal(signal.SIGCONT)
    wait_until(lambda: "can no longer prove itself" in agent.process.output(), 30, lambda: agent.process.tail())
    assert agent.process.wait(10) == 5, agent.process.tail()


def test_everything_is_there_after_a_restart(scratch):
    authority = Authority(scratch)
    entry = authority.create_entry("/alice", f"unix:uid:{ALICE}")
    agent = Agent(scratch, authority)
    wait_for_identity(agent, ALICE)
    bundle = authority.cli("bundle", "show", "-format", "spiffe").stdout
    assert authority.stop() == 0
    authority.start()
    assert authority.cli("bundle", "show", "-format", "spiffe").stdout == bundle
    assert authority.json("entry", "show", "-entryID", entry)["entries"][0]["id"] == entry
    late = authority.create_entry("/late", "unix:uid:20056")
    assert late
    wait_for_identity(agent, 20056)


def test_a_killed_authority_keeps_what_it_has_confirmed(scratch):
    """Entries are made without pause while it is killed at random moments."""
    authority = Authority(scratch)
    confirmed = []
    for round_number in range(25):
        end = time.monotonic() + random.uniform(0.01, 0.3)
        while time.monotonic() < end:
            path = f"/k/{round_number}/{len(confirmed)}"
            confirmed.append((authority.create_entry(path, "unix:uid:1"), path))
        authority.kill()
        authority.start()
    kept = {entry["id"]: entry["spiffe_id"]["path"] for entry in authority.json("entry", "show")["entries"]}
    assert confirmed and all(kept.get(entry) == path for entry, path in confirmed)


def refusal(authority):
    """What it says when it does not start."""
    result = authority.scratch.run(authority.command(), seconds=30)
    assert result.returncode == 3, f"{result.returncode} {result.stdout}{result.stderr}"
    return result.stderr


@pytest.mark.hostile
def test_a_second_authority_on_the_data_is_refused(scratch):
    authority = Authority(scratch)
    other = Authority(scratch, "other", start=False)
    other.data = authority.data
    assert str(authority.data) in refusal(other)
    assert authority.answers()


@pytest.mark.hostile
def test_data_of_another_trust_domain_are_refused(scratch):
    authority = Authority(scratch)
    authority.stop()
    authority.domain = "other.test"
    assert "belongs to trust domain example.org" in refusal(authority)


@pytest.mark.hostile
@pytest.mark.parametrize("harm", ["missing", "garbage", "readable", "another key"])
def test_a_damaged_key_file_is_named_and_nothing_is_made_anew(scratch, harm):
    authority = Authority(scratch)
    authority.stop()
    key, other = sorted((authority.data / "keys").iterdir())[:2]
    if harm == "missing":
        key.unlink()
    elif harm == "garbage":
        key.write_text("no key\n")
    elif harm == "readable":
        key.chmod(0o644)
    else:
        key.write_bytes(other.read_bytes())
    assert key.name in refusal(authority)
    assert harm != "missing" or not key.exists()


@pytest.mark.hostile
@pytest.mark.parametrize("harm", ["missing", "garbage", "cut"])
def test_a_damaged_database_is_named_and_nothing_is_made_anew(scratch, harm):
    authority = Authority(scratch)
    authority.create_entry("/alice", "unix:uid:1")
    authority.stop()
    database = authority.data / "authority.db"
    if harm == "missing":
        database.unlink()
    elif harm == "garbage":
        database.write_bytes(b"no database" * 1000)
    else:
        database.write_bytes(database.read_bytes()[:5000])
    assert "authority.db" in refusal(authority)
    assert harm != "missing" or not database.exists()


@pytest.mark.hostile
def test_a_full_disk_refuses_changes_and_loses_nothing(scratch):
    authority = Authority(scratch, start=False)
    authority.data.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", authority.data], check=True)
    try:
        authority.start()
        kept = authority.create_entry("/kept", "unix:uid:1")
        filler = os.open(authority.data / "filler", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(filler, b"x" * 4096)
        os.close(filler)

        def full():
            made = authority.cli("entry", "create", "-spiffeID", f"spiffe://example.org/{random.randrange(1 << 40)}", "-parentID",
                                 "spiffe://example.org/node", *["-selector", "unix:uid:1", "-hint", "h" * 1000], check=False)
            return made if made.returncode != 0 else None
        made = wait_until(full, 30, "the disk is full")
        assert "full" in made.stderr + made.stdout or "space" in made.stderr + made.stdout
        assert authority.json("entry", "show", "-entryID", kept)["entries"]
        keys = authority.json("authority", "status")["keys"]
        rotated = authority.cli("authority", "rotate", "-now", check=False)
        assert rotated.returncode != 0 and ("full" in rotated.stderr or "space" in rotated.stderr), rotated.stderr
        assert authority.json("authority", "status")["keys"] == keys
        assert len(list((authority.data / "keys").iterdir())) == len(keys)
        (authority.data / "filler").unlink()
        assert authority.create_entry("/after", "unix:uid:1")
        authority.cli("authority", "rotate", "-now")
        authority.stop()
    finally:
        subprocess.run(["umount", "-l", authority.data], check=False)

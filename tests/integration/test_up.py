"""`credence up`: agent and authority in one command, for root and for any other user."""

import json
import os
import pathlib
import signal
import ssl
import subprocess
import time

import pytest

from harness.authority import Up
from harness.fixtures import ALICE, BOB
from harness.peers import CREDENCE, peer, published
from harness.processes import free_port, wait_until


def children(pid):
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if int(stat[1]) == pid and len(words) > 1:
                found[words[1].decode()] = int(folder.name)
    return found


def supervisor_of(up):
    """The process is started through setpriv, which becomes it."""
    return up.process.pid


def identities(up, uid):
    result = up.scratch.run([published(peer("probe")), "ids", "-socket", up.facts["agent_socket"]], uid=uid)
    return result.stdout if result.returncode == 0 else ""


def certificate_at(port):
    try:
        return ssl.get_server_certificate(("127.0.0.1", port))
    except OSError:
        return ""


def test_one_command_then_an_entry_then_an_svid(scratch):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    assert up.facts["trust_domain"] == "example.org"
    out = up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}")
    assert "Parent ID               : spiffe://example.org/node/local" in out
    wait_until(lambda: "spiffe://example.org/web" in identities(up, ALICE), 15, "ALICE has an SVID")
    assert identities(up, BOB) == ""


def test_a_restart_goes_on_with_the_same_node_and_entries(scratch):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}")
    before = up.facts
    assert up.stop() == 0
    up.flags = ()
    up.start()
    assert up.facts == before
    wait_until(lambda: "spiffe://example.org/web" in identities(up, ALICE), 15, "ALICE has an SVID")


def test_a_new_entry_is_served_at_once_and_nobody_asks_in_between(scratch):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    time.sleep(2)
    last = json.loads(up.ok("status", "--output", "json"))["last_sync_at"]
    time.sleep(8)
    assert json.loads(up.ok("status", "--output", "json"))["last_sync_at"] == last, "the authority has nothing to tell"
    up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}")
    wait_until(lambda: "spiffe://example.org/web" in identities(up, ALICE), 3, "ALICE has an SVID")


def test_issuer_and_bundle_endpoint_are_kept_for_the_next_start(scratch):
    port = free_port()
    up = Up(scratch, flags=["-trustDomain", "example.org", "-jwtIssuer", "https://issuer.example.org", "-bundleEndpointPort", port])
    assert up.facts["oidc_issuer"] == "https://issuer.example.org"
    assert up.stop() == 0
    up.flags = ()
    up.start()
    assert up.facts["oidc_issuer"] == "https://issuer.example.org"
    wait_until(lambda: "BEGIN CERTIFICATE" in certificate_at(port), 10, "the bundle endpoint answers")


def test_an_unprivileged_user_serves_its_own_processes(scratch):
    up = Up(scratch, uid=ALICE)
    domain = up.facts["trust_domain"]
    up.ok("entry", "create", "-spiffeID", f"spiffe://{domain}/mine", "-selector", f"unix:uid:{ALICE}")
    wait_until(lambda: f"spiffe://{domain}/mine" in identities(up, ALICE), 15, "ALICE has an SVID")
    for path in pathlib.Path(up.data).rglob("*"):
        if path.is_file() and path.name not in ("bootstrap.pem",):
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_user_finds_the_audit_log_of_their_own_agent(scratch):
    home = scratch.folder("home", 0o755)
    os.chown(home, ALICE, ALICE)
    result = scratch.run([published(CREDENCE), "audit"], uid=ALICE, env={"HOME": home})
    assert result.returncode != 0 and f"{home}/.local/share/credence/audit.jsonl" in result.stderr


def test_the_keys_are_not_in_the_process_that_workloads_talk_to(scratch):
    up = Up(scratch)
    running = children(supervisor_of(up))
    assert set(running) == {"authority", "run"}
    with open(f"/proc/{running['run']}/maps", encoding="ascii") as maps:
        assert "authority.db" not in maps.read()
    opened = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{running['run']}/fd").iterdir()]
    assert not [path for path in opened if "/authority/" in path]


def test_what_crashes_is_started_again(scratch):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}")
    wait_until(lambda: "/web" in identities(up, ALICE), 15, "ALICE has an SVID")
    for name in ("authority", "run"):
        before = children(supervisor_of(up))[name]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: children(supervisor_of(up)).get(name, before) != before, 15, f"{name} runs again")
        wait_until(lambda: "/web" in identities(up, ALICE), 20, "ALICE has an SVID again")
    out = wait_until(lambda: up.cli("entry", "count").stdout, 15, "the authority answers")
    assert "registration entries" in out


def test_a_node_that_has_to_be_attested_anew_is(scratch):
    """As after a long suspend: the authority no longer takes the node's SVID."""
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}")
    wait_until(lambda: "/web" in identities(up, ALICE), 15, "ALICE has an SVID")
    first = up.facts["agent_id"]
    up.ok("agent", "evict", "-spiffeID", first)
    up.ok("entry", "create", "-spiffeID", "spiffe://example.org/more", "-selector", f"unix:uid:{ALICE}")
    wait_until(lambda: "/more" in identities(up, ALICE), 30, lambda: f"ALICE has both again\n{up.process.output()}")
    assert json.loads(up.ok("status", "--output", "json"))["agent_id"] != first


def test_it_leaves_no_process_behind(scratch):
    up = Up(scratch)
    running = children(supervisor_of(up))
    assert up.stop() == 0
    assert not [pid for pid in running.values() if os.path.exists(f"/proc/{pid}")]
    up.start()
    running = children(supervisor_of(up))
    up.process.signal(signal.SIGKILL)
    wait_until(lambda: not [pid for pid in running.values() if os.path.exists(f"/proc/{pid}")], 10, "they end with it")


def test_another_trust_domain_on_the_same_data_is_refused(scratch):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    up.stop()
    result = scratch.run([up.binary, "up", "-dataDir", up.data, "-trustDomain", "other.test"])
    assert result.returncode == 2 and "example.org" in result.stderr


def test_a_configuration_that_cannot_be_used_is_told_by_the_exit_code(scratch):
    up = Up(scratch)
    assert up.stop() == 0
    with open(up.data / "agent.conf", "a", encoding="utf-8") as conf:
        conf.write("nonsense = 1\n")
    result = up.cli("up", "-dataDir", up.data)
    assert result.returncode == 3 and "nonsense" in result.stderr


def test_the_logs_are_opened_again_on_SIGUSR2(scratch):
    up = Up(scratch)
    log = up.data / "agent.log"
    log.rename(up.data / "agent.log.1")
    up.process.signal(signal.SIGUSR2)
    wait_until(log.exists, 10, "the agent has opened its log again")
    assert up.process.alive() and json.loads(up.ok("status", "--output", "json"))["last_sync_at"]


def test_a_taken_port_is_said(scratch):
    up = Up(scratch)
    result = scratch.run([up.binary, "up", "-dataDir", scratch.path / "second", "-port", str(up.facts["server_port"])])
    assert result.returncode == 3
    assert f"port {up.facts['server_port']}: address already in use" in result.stderr and "-port" in result.stderr
    result = scratch.run([up.binary, "up", "-dataDir", scratch.path / "second", "-port", "0"])
    assert result.returncode == 2 and "-port" in result.stderr


def test_another_port_at_a_later_start_is_taken(scratch):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}")
    up.stop()
    port = free_port()
    up.flags = ["-port", port, "-oidcPort", 0]
    up.start()
    assert up.facts["server_port"] == port and up.facts["oidc_issuer"] == ""
    wait_until(lambda: "/web" in identities(up, ALICE), 15, "ALICE has an SVID")


@pytest.mark.hostile
@pytest.mark.parametrize("left", [0, 32, 64])
def test_a_full_disk_is_said_and_stands_in_the_way_of_nothing_later(scratch, left):
    """With so many KiB free it stops at its own files, at the database, or at the bundle for the agent."""
    up = Up(scratch, flags=["-trustDomain", "example.org"], start=False)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0755", "none", up.folder], check=True)
    try:
        (up.folder / "filler").write_bytes(b"x" * ((2048 - left) << 10))
        refused = scratch.run([up.binary, "up", "-dataDir", up.data, *up.flags], seconds=30, env={"HOME": up.folder})
        assert refused.returncode in (1, 3), f"{refused.returncode} {refused.stdout}{refused.stderr}"
        assert str(up.data) in refused.stderr and ("full" in refused.stderr or "no space" in refused.stderr)
        (up.folder / "filler").unlink()
        up.start()
        up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}")
        wait_until(lambda: "/web" in identities(up, ALICE), 15, "ALICE has an SVID")
        up.stop()
    finally:
        subprocess.run(["umount", "-l", up.folder], check=False)

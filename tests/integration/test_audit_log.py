"""No credential leaves without its line in the audit log; SVIDs do not depend on it."""

import os
import subprocess

import pytest

from harness import resources
from harness.agent import Agent
from harness.fixtures import ALICE, wait_for_identity
from harness.processes import wait_until


@pytest.fixture
def small_disk(scratch):
    """A file system of 64 KiB."""
    folder = scratch.folder("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def make_agent(scratch, server, bao, **options):
    agent = Agent(scratch, server, resources=resources.together(
        resources.openbao("kv", bao.url, "alice"), resources.grant("g", "/alice", "kv")), **options)
    wait_for_identity(agent, ALICE)
    return agent


@pytest.fixture(scope="module")
def audited(session_scratch, server, bao):
    """An agent for tests that leave its log usable."""
    agent = make_agent(session_scratch, server, bao, name="audited")
    yield agent
    agent.stop()


def refused_for_the_log(agent, path):
    result = agent.get("kv", ALICE)
    assert result.returncode == 5, (result.returncode, result.stderr)
    assert result.stdout == "" and "audit" in result.stderr
    assert str(path) in agent.status()["audit_error"]
    assert agent.probe("x509", uid=ALICE)["spiffe_id"] == "spiffe://example.org/alice"
    assert agent.probe("jwt", uid=ALICE)


def test_full_disk(scratch, server, bao, small_disk):
    log = small_disk / "audit.jsonl"
    agent = make_agent(scratch, server, bao, audit_log=log)
    assert agent.get("kv", ALICE).returncode == 0
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as data:
        try:
            while True:
                data.write(b"x" * 512)
        except OSError:
            pass
    for _ in range(40):  # what is left of the last block
        if agent.get("kv", ALICE).returncode != 0:
            break
    refused_for_the_log(agent, log)
    with open(log, encoding="utf-8") as lines:
        assert all(line.endswith("}\n") for line in lines), "a line is written whole or not at all"
    filler.unlink()
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 15, "the log recovers")
    assert agent.status()["audit_error"] == ""


def test_log_that_turns_unwritable(scratch, server, bao):
    folder = scratch.folder("log")
    log = folder / "audit.jsonl"
    agent = make_agent(scratch, server, bao, audit_log=log)
    assert agent.get("kv", ALICE).returncode == 0
    os.rename(log, folder / "old.jsonl")
    os.mkdir(log)
    refused_for_the_log(agent, log)
    os.rmdir(log)
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 15, "the log recovers")


def test_rotated_log_goes_on(audited):
    old = str(audited.audit_log) + ".1"
    before = audited.credential("kv", ALICE)["decision_id"]
    os.rename(audited.audit_log, old)
    after = audited.credential("kv", ALICE)["decision_id"]
    assert [event["decision_id"] for event in audited.audit() if event["kind"] == "decision"] == [after]
    with open(old, encoding="utf-8") as lines:
        assert before in lines.read()


def test_log_that_cannot_be_opened_at_start(scratch, server, bao):
    """Either the agent says so and ends, or it serves SVIDs and no credential."""
    blocked = scratch.folder("blocked") / "audit.jsonl"
    blocked.mkdir()
    agent = Agent(scratch, server, audit_log=blocked, start=False, resources=resources.together(
        resources.openbao("kv", bao.url, "alice"), resources.grant("g", "/alice", "kv")))
    agent.start()
    wait_until(lambda: not agent.process.alive() or os.path.exists(agent.socket), 20, "a decision")
    if agent.process.alive():
        wait_for_identity(agent, ALICE)
        refused_for_the_log(agent, blocked)
    else:
        assert agent.process.wait(5) == 3 and str(blocked) in agent.process.output()


def test_line_is_on_disk_before_the_credential_is_out(audited):
    decision = audited.credential("kv", ALICE)["decision_id"]
    assert decision in {event["decision_id"] for event in audited.audit()}

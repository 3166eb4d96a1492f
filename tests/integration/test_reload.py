"""Resources are read again on change and on SIGHUP; the last good ones stay."""

import os

import pytest

from harness import resources
from harness.agent import Agent
from harness.fixtures import ALICE, wait_for_identity
from harness.processes import wait_until


@pytest.fixture(scope="module")
def reloaded(session_scratch, server):
    agent = Agent(session_scratch, server, name="reloaded")
    wait_for_identity(agent, ALICE)
    yield agent
    agent.stop()


@pytest.fixture
def agent_and_texts(reloaded, bao):
    """The agent with a destination that nobody may use, and the text of that."""
    target = resources.openbao("kv", bao.url, "alice")
    for path in reloaded.resources_path.parent.iterdir():
        path.unlink()
    reloaded.resources_path.write_text(target)
    reloaded.reload()
    wait_until(lambda: (lambda seen: (seen["destinations"], seen["grants"]) == (1, 0))(reloaded.status()), 15, "the reload")
    assert reloaded.get("kv", ALICE).returncode == 4
    return reloaded, target


def test_change_is_seen_without_a_signal(agent_and_texts):
    agent, target = agent_and_texts
    agent.resources_path.write_text(resources.together(target, resources.grant("g", "/alice", "kv")))
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 15, "the new grant")


def test_sighup_reloads_at_once(agent_and_texts):
    agent, target = agent_and_texts
    agent.resources_path.write_text(resources.together(target, resources.grant("g", "/alice", "kv")))
    agent.reload()
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 5, "the new grant")


def test_replaced_file_is_seen(agent_and_texts):
    """As editors and configuration tools do it: a new file takes the name."""
    agent, target = agent_and_texts
    fresh = agent.resources_path.with_suffix(".tmp")
    fresh.write_text(resources.together(target, resources.grant("g", "/alice", "kv")))
    os.rename(fresh, agent.resources_path)
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 15, "the new grant")


def test_new_file_in_the_folder_is_seen(agent_and_texts):
    agent, _ = agent_and_texts
    (agent.resources_path.parent / "grants.yaml").write_text(resources.grant("g", "/alice", "kv"))
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 15, "the new grant")


def test_mistake_keeps_the_last_good_and_is_shown(agent_and_texts):
    agent, target = agent_and_texts
    good = resources.together(target, resources.grant("g", "/alice", "kv"))
    agent.resources_path.write_text(good)
    agent.reload()
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 5, "the new grant")
    agent.resources_path.write_text(good.replace('"destination": "kv"', '"destinatoin": "kv"'))
    agent.reload()
    errors = wait_until(lambda: agent.status()["resource_errors"], 5, "the mistake in status")
    assert any("destinatoin" in error and str(agent.resources_path) in error for error in errors)
    assert agent.get("kv", ALICE).returncode == 0, "the last good ones stay in force"
    agent.resources_path.write_text(good)
    agent.reload()
    wait_until(lambda: not agent.status()["resource_errors"], 5, "the repair")


def test_removed_grant_is_gone(agent_and_texts):
    agent, target = agent_and_texts
    agent.resources_path.write_text(resources.together(target, resources.grant("g", "/alice", "kv")))
    agent.reload()
    wait_until(lambda: agent.get("kv", ALICE).returncode == 0, 5, "the new grant")
    agent.resources_path.write_text(resources.together(target, resources.grant("g", "/bob", "kv")))
    agent.reload()
    wait_until(lambda: agent.get("kv", ALICE).returncode == 4, 5, "the grant goes")

"""The Claude API by workload identity federation, against the strict stand-in, with and without jti."""

import json
import os
import time

import pytest

from harness import resources
from harness.agent import Agent
from harness.claude import Claude, assert_single_use, python_with_sdk, rule
from harness.fixtures import ALICE, create_usual_entries, wait_for_identity
from harness.processes import wait_until
from harness.spire import SpireServer

APP = """
import json, os, stat, sys, time
import anthropic
folder = os.environ["ANTHROPIC_CONFIG_DIR"]
client = anthropic.Anthropic()
def ask(text):
    return client.messages.create(model="claude-x", max_tokens=9, messages=[{"role": "user", "content": text}]).content[0].text
answers = [ask("hello")]
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 0):
    time.sleep(1)
    answers.append(ask("again"))
files = {os.path.relpath(os.path.join(at, name), folder): stat.S_IMODE(os.stat(os.path.join(at, name)).st_mode)
         for at, _, names in os.walk(folder) for name in names}
print(json.dumps({"answers": answers, "folder": folder, "mode": stat.S_IMODE(os.stat(folder).st_mode),
                  "owner": os.stat(folder).st_uid, "files": files, "env": sorted(os.environ)}))
"""


@pytest.fixture(scope="module", params=["stock", "jti"])
def world(request, session_scratch):
    """(server, the stand-in, agent): with a stock SPIRE server, and with one whose tokens carry a jti."""
    name = f"claude-{request.param}"
    server = SpireServer(session_scratch, name=name, jti=request.param == "jti")
    server.start_oidc()
    create_usual_entries(server)
    claude = Claude(session_scratch, server.issuer, name=f"{name}-standin", rules=[
        rule("fdrl_demo", "spiffe://example.org/alice"), rule("fdrl_short", "spiffe://example.org/alice", token_lifetime_seconds=60),
        rule("fdrl_other", "spiffe://example.org/somebody-else"), rule("fdrl_off", "spiffe://example.org/alice", disabled=True)])
    names = ("demo", "short", "other", "off", "unknown")
    agent = Agent(session_scratch, server, name=f"{name}-agent", resources=resources.together(*(
        document for one in names for document in (
            resources.claude(one, claude.url, rule=f"fdrl_{one}"), resources.grant(f"g-{one}", "/alice", one)))))
    wait_for_identity(agent, ALICE)
    yield server, claude, agent
    for process in (agent.process, claude.process, server.oidc, server.process):
        process.stop()


def with_sdk(agent, destination, *arguments, env=None, seconds=120):
    python, variables = python_with_sdk(agent.scratch)
    app = agent.scratch.path / "sdk_app.py"
    app.write_text(APP)
    return agent.cli("exec", "--destination", destination, "--", python, app, *arguments, uid=ALICE, env=variables | (env or {}), seconds=seconds)


def test_token_is_what_claude_issued(world):
    _, claude, agent = world
    answer = agent.credential("demo", ALICE)
    assert answer["fields"]["access_token"].startswith("sk-ant-oat01-")
    granted = [attempt for attempt in claude.history() if attempt["outcome"] == "granted"]
    assert answer["request_id"] in {attempt["request_id"] for attempt in granted}


def test_jti_is_there_exactly_when_the_composer_is(world, request):
    _, claude, agent = world
    agent.credential("demo", ALICE)
    ids = [attempt["jti"] for attempt in claude.history()]
    assert all(ids) if "jti" in request.node.callspec.id else not any(ids)


def test_unmodified_sdk_gets_an_answer(world):
    _, _, agent = world
    result = with_sdk(agent, "demo")
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["answers"] == ["You said: hello"]
    assert (seen["mode"], seen["owner"]) == (0o700, ALICE)
    assert not any("KEY" in name or "TOKEN" in name for name in seen["env"])
    assert all(mode & 0o077 == 0 for path, mode in seen["files"].items() if "credentials" in path)
    assert not os.path.exists(seen["folder"]), "removed after"


def test_variables_that_would_shadow_the_profile_are_taken_away(world):
    _, _, agent = world
    result = with_sdk(agent, "demo", env={"ANTHROPIC_API_KEY": "sk-ant-api-stale", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"})
    assert result.returncode == 0, result.stderr


def test_profile_is_kept_fresh_while_the_command_lives(world):
    """Tokens of 60 seconds, a command of 75."""
    _, _, agent = world
    result = with_sdk(agent, "short", "75", seconds=150)
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["answers"]) == 76


def test_folder_is_removed_when_the_command_is_killed(world, scratch):
    _, _, agent = world
    python, variables = python_with_sdk(agent.scratch)
    mark = scratch.folder("mark", 0o777)
    process = agent.scratch.start(
        [agent.cli_binary, "exec", "--destination", "demo", "--", "sh", "-c", f'echo "$ANTHROPIC_CONFIG_DIR" >{mark}/where; exec sleep 60'],
        "killed.log", uid=ALICE, env={"CREDENCE_SOCKET": agent.socket})
    where = wait_until(lambda: (mark / "where").exists() and (mark / "where").read_text().strip(), 15, process.tail)
    assert os.path.isdir(where) and python and variables
    process.child.terminate()
    process.wait(10)
    assert not os.path.exists(where)


def test_refusals_are_opaque_and_not_repeated(world):
    _, claude, agent = world
    for name in ("other", "off", "unknown"):
        before = len(claude.history())
        for _ in range(3):
            result = agent.get(name, ALICE)
            assert result.returncode == 4, (name, result.stderr)
            assert result.stdout == ""
        assert 1 <= len(claude.history()) - before <= 2, name
    failures = {event["failure"] for event in agent.audit() if event["kind"] == "exchange" and event["destination"] in ("other", "off", "unknown")}
    assert failures == {"OPAQUE_DENIED"}
    assert_single_use(claude.history())


def test_answer_that_was_lost_is_asked_for_with_a_fresh_svid(world):
    """Claude processed the exchange and then the connection broke: the jti is spent, so the same bytes would be a replay."""
    _, claude, agent = world
    for kind in ("reset", "truncated"):
        fresh_agent_cache(agent)
        claude.add_fault(kind, count=1)
        result = agent.cli("get", "demo", "--timeout", "40", uid=ALICE, seconds=60)
        if result.returncode == 5:  # not within this call; the next one may ask again
            result = wait_until(lambda: (lambda r: r if r.returncode == 0 else None)(agent.get("demo", ALICE)), 30, "recovery")
        assert result.returncode == 0, result.stderr
    claude.clear_faults()
    assert_single_use(claude.history())
    assert "jti_reused" not in {attempt["outcome"] for attempt in claude.history()}


def fresh_agent_cache(agent):
    """A changed destination forgets its cached credentials."""
    text = agent.resources_path.read_text()
    agent.resources_path.write_text(text.replace('"name": "g-demo"', f'"name": "g-demo", "owner": "t{time.monotonic_ns()}"', 1))
    agent.reload()
    time.sleep(1)


def test_older_generation_of_errors(session_scratch, server):
    claude = Claude(session_scratch, server.issuer, [rule("fdrl_demo", "spiffe://example.org/nobody")], name="older", generation="older")
    agent = Agent(session_scratch, server, name="older-agent", resources=resources.together(
        resources.claude("demo", claude.url), resources.grant("g", "/alice", "demo")))
    wait_for_identity(agent, ALICE)
    result = agent.get("demo", ALICE)
    assert result.returncode == 4, result.stderr
    assert {event["failure"] for event in agent.audit() if event["kind"] == "exchange"} == {"OPAQUE_DENIED"}
    agent.stop()


def test_issuer_that_accepts_only_short_assertions(session_scratch, server):
    """SVIDs of five minutes are too long for this one."""
    claude = Claude(session_scratch, server.issuer, [rule("fdrl_demo", "spiffe://example.org/alice")], name="strict",
                    issuer_settings={"max_jwt_lifetime_seconds": 60})
    agent = Agent(session_scratch, server, name="strict-agent", resources=resources.together(
        resources.claude("demo", claude.url), resources.grant("g", "/alice", "demo")))
    wait_for_identity(agent, ALICE)
    assert agent.get("demo", ALICE).returncode in (4, 5)
    assert all(attempt["outcome"] != "granted" for attempt in claude.history())
    agent.stop()

"""The Claude API by workload identity federation, against the strict stand-in, with and without jti."""

import json
import os

import pytest

from harness import resources
from harness.agent import Agent
from harness.claude import Claude, assert_single_use, python_with_sdk, rule
from harness.fixtures import ALICE, create_usual_entries, wait_for_identity
from harness.processes import Scratch, wait_until
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


class World:
    """A SPIRE server, the stand-in as most tests want it, three that want something else, and an agent."""

    def __init__(self, scratch, name, jti, stranger):
        self.jti = jti
        self.server = SpireServer(scratch, name=name, jti=jti)
        self.server.start_oidc()
        create_usual_entries(self.server)
        alice = rule("fdrl_demo", "spiffe://example.org/alice")
        self.claude = Claude(scratch, self.server.issuer, name=f"{name}-standin", shortest_token_seconds=1, rules=[
            alice, rule("fdrl_short", "spiffe://example.org/alice", token_lifetime_seconds=6),
            rule("fdrl_other", "spiffe://example.org/somebody-else"), rule("fdrl_off", "spiffe://example.org/alice", disabled=True),
            rule("fdrl_audience", "spiffe://example.org/alice", audience="https://elsewhere.example")])
        self.standins = {
            # It has the keys of another server.
            "stranger": Claude(scratch, stranger.issuer, [alice], name=f"{name}-stranger"),
            "older": Claude(scratch, self.server.issuer, [rule("fdrl_demo", "spiffe://example.org/nobody")], name=f"{name}-older", generation="older"),
            # SVIDs of five minutes are too long for this one.
            "strict": Claude(scratch, self.server.issuer, [alice], name=f"{name}-strict", issuer_settings={"max_jwt_lifetime_seconds": 60})}
        targets = [resources.claude(rule_name, self.claude.url, rule=f"fdrl_{rule_name}")
                   for rule_name in ("demo", "short", "other", "off", "audience", "unknown")]
        targets += [resources.claude(lost, self.claude.url) for lost in ("reset", "truncated")]
        targets += [resources.claude(other, standin.url) for other, standin in self.standins.items()]
        names = ["demo", "short", "other", "off", "audience", "unknown", "reset", "truncated", *self.standins]
        self.agent = Agent(scratch, self.server, name=f"{name}-agent", resources=resources.together(
            *targets, *(resources.grant(f"g-{one}", "/alice", one) for one in names)))
        wait_for_identity(self.agent, ALICE)

    def failures(self, *names):
        return {event["failure"] for event in self.agent.audit() if event["kind"] == "exchange" and event["destination"] in names}


@pytest.fixture(scope="module", params=["stock", "jti"])
def world(request, server):
    """With a stock SPIRE server, and with one whose tokens carry a jti."""
    with Scratch("claude") as scratch:
        yield World(scratch, f"claude-{request.param}", request.param == "jti", server)


def with_sdk(agent, destination, *arguments, env=None, seconds=120):
    python, variables = python_with_sdk(agent.scratch)
    app = agent.scratch.path / "sdk_app.py"
    app.write_text(APP)
    return agent.cli("exec", "--destination", destination, "--", python, app, *arguments, uid=ALICE, env=variables | (env or {}), seconds=seconds)


def test_token_is_what_claude_issued(world):
    answer = world.agent.credential("demo", ALICE)
    assert answer["fields"]["access_token"].startswith("sk-ant-oat01-")
    granted = [attempt for attempt in world.claude.history() if attempt["outcome"] == "granted"]
    assert answer["request_id"] in {attempt["request_id"] for attempt in granted}


def test_jti_is_there_exactly_when_the_composer_is(world):
    world.agent.credential("demo", ALICE)
    ids = [attempt["jti"] for attempt in world.claude.history()]
    assert all(ids) if world.jti else not any(ids)


def test_unmodified_sdk_gets_an_answer(world):
    result = with_sdk(world.agent, "demo")
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["answers"] == ["You said: hello"]
    assert (seen["mode"], seen["owner"]) == (0o700, ALICE)
    assert not any("KEY" in name or "TOKEN" in name for name in seen["env"])
    assert all(mode & 0o077 == 0 for path, mode in seen["files"].items() if "credentials" in path)
    assert not os.path.exists(seen["folder"]), "removed after"


def test_variables_that_would_shadow_the_profile_are_taken_away(world):
    result = with_sdk(world.agent, "demo", env={"ANTHROPIC_API_KEY": "sk-ant-api-stale", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"})
    assert result.returncode == 0, result.stderr


def test_profile_is_kept_fresh_while_the_command_lives(world):
    """Tokens of six seconds, a command of eight: the stand-in refuses what has expired."""
    result = with_sdk(world.agent, "short", "8")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["answers"]) == 9


def test_folder_is_removed_when_the_command_is_killed(world, scratch):
    agent = world.agent
    mark = scratch.folder("mark", 0o777)
    process = agent.scratch.start(
        [agent.cli_binary, "exec", "--destination", "demo", "--", "sh", "-c", f'echo "$ANTHROPIC_CONFIG_DIR" >{mark}/where; exec sleep 60'],
        "killed.log", uid=ALICE, env={"CREDENCE_SOCKET": agent.socket})
    where = wait_until(lambda: (mark / "where").exists() and (mark / "where").read_text().strip(), 15, process.tail)
    assert os.path.isdir(where)
    process.child.terminate()
    process.wait(10)
    assert not os.path.exists(where)


# What the stand-in's history says of the refusal; its answer to the agent is the same for all of them.
REFUSALS = {"other": "match_subject_prefix", "off": "rule_disabled", "unknown": "rule_unknown", "audience": "match_audience",
            "stranger": "issuer_keys: unknown key", "strict": "lifetime_too_long", "older": "match_subject_prefix"}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_is_opaque_and_not_repeated(world, name):
    claude = world.standins.get(name, world.claude)
    before = len(claude.history())
    for _ in range(3):
        result = world.agent.get(name, ALICE)
        assert result.returncode == 4, result.stderr
        assert result.stdout == ""
    # Credentials of earlier tests may be refreshed meanwhile.
    attempts = [attempt for attempt in claude.history()[before:] if attempt["outcome"] != "granted"]
    assert 1 <= len(attempts) <= 2
    assert all(attempt["outcome"].startswith(REFUSALS[name]) for attempt in attempts), attempts
    assert world.failures(name) == {"OPAQUE_DENIED"}
    assert_single_use(claude.history())


@pytest.mark.parametrize("kind", ["reset", "truncated"])
def test_answer_that_was_lost_is_asked_for_with_a_fresh_svid(world, kind):
    """Claude processed the exchange and then the connection broke: the jti is spent, so the same bytes would be a replay."""
    agent, claude = world.agent, world.claude
    claude.add_fault(kind, count=1)
    result = agent.cli("get", kind, "--timeout", "20", uid=ALICE, seconds=40)
    if result.returncode == 5:  # not within this call; the next one may ask again
        result = wait_until(lambda: (lambda r: r if r.returncode == 0 else None)(agent.get(kind, ALICE)), 30, "recovery")
    assert result.returncode == 0, result.stderr
    assert_single_use(claude.history())
    assert "jti_reused" not in {attempt["outcome"] for attempt in claude.history()}

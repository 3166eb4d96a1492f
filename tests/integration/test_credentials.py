"""Credentials of a real OpenBao, for those who may have them."""

import datetime
import json
import os
import pathlib
import stat
import time

import pytest

from harness import resources
from harness.agent import Agent
from harness.fixtures import ALICE, BOB, NOBODY, wait_for_identity
from harness.processes import wait_until


@pytest.fixture(scope="module")
def kv(session_scratch, server, bao):
    """An agent whose destination kv-demo is for alice alone; leases of kv-short last six seconds."""
    bao.create_role("short", "spiffe://example.org/alice", ttl="6s", max_ttl="60s")
    agent = Agent(session_scratch, server, name="kv", resources=resources.together(
        resources.openbao("kv-demo", bao.url, "alice"),
        resources.openbao("kv-bob", bao.url, "bob"),
        resources.openbao("kv-wrong-role", bao.url, "no-such-role"),
        resources.openbao("kv-short", bao.url, "short"), resources.grant("alice-short", "/alice", "kv-short"),
        resources.grant("alice-kv", "/alice", "kv-demo", [f"unix:uid:{ALICE}"]),
        resources.grant("alice-wrong-role", "/alice", "kv-wrong-role"),
        resources.grant("bob-kv-with-another-user", "/bob", "kv-bob", ["unix:uid:4242"]),
        resources.grant("bob-kv-demo-long-ago", "/bob", "kv-demo", expires="2020-01-01")))
    wait_for_identity(agent, ALICE)
    wait_for_identity(agent, BOB)
    yield agent
    agent.stop()


def test_unprivileged_process_gets_a_token_that_reads_the_secret(kv, bao):
    result = kv.get("kv-demo", ALICE)
    assert result.returncode == 0, result.stderr
    assert bao.read_secret(result.stdout.strip()) == (200, bao.SECRET)


def test_json_has_the_fields_the_expiry_and_the_ids(kv):
    answer = kv.credential("kv-demo", ALICE)
    assert answer["fields"]["client_token"] and answer["primary_field"] == "client_token"
    assert answer["spiffe_id"] == "spiffe://example.org/alice" and answer["destination"] == "kv-demo"
    assert answer["decision_id"] and answer["request_id"]
    expires = datetime.datetime.fromisoformat(answer["expires_at"].replace("Z", "+00:00"))
    left = (expires - datetime.datetime.now(datetime.UTC)).total_seconds()
    assert 0 < left <= 121


def test_env_form_is_fit_for_a_shell(kv, bao, scratch):
    text = kv.get("kv-demo", ALICE, "--output", "env").stdout
    shown = scratch.run(["sh", "-c", f'{text}\nprintf "%s %s" "$VAULT_TOKEN" "$VAULT_ADDR"'])
    token, address = shown.stdout.split()
    assert address == bao.url and bao.read_secret(token)[0] == 200


def test_exec_sets_the_variables_and_passes_the_exit_code_on(kv, bao):
    result = kv.cli("exec", "--destination", "kv-demo", "--", "sh", "-c", 'echo "$VAULT_TOKEN $VAULT_ADDR"; exit 7', uid=ALICE)
    assert result.returncode == 7, result.stderr
    token, address = result.stdout.split()
    assert address == bao.url and bao.read_secret(token)[0] == 200


def test_exec_of_a_missing_command(kv):
    assert kv.cli("exec", "--destination", "kv-demo", "--", "/no/such/command", uid=ALICE).returncode == 127


def test_second_request_comes_from_the_cache(kv):
    first, second = (kv.credential("kv-demo", ALICE) for _ in range(2))
    assert first["fields"] == second["fields"]
    assert first["decision_id"] != second["decision_id"]
    assert [event for event in kv.audit() if event.get("decision_id") == second["decision_id"]][0]["from_cache"] is True


def test_token_is_not_in_arguments_logs_or_audit(kv):
    token = kv.get("kv-demo", ALICE).stdout.strip()
    assert token not in kv.process.output()
    with open(kv.audit_log, encoding="utf-8") as text:
        assert token not in text.read()


def test_log_and_audit_hold_no_svid(kv):
    """Every JWT begins like this."""
    kv.get("kv-demo", ALICE)
    with open(kv.audit_log, encoding="utf-8") as text:
        assert "eyJ" not in text.read()
    assert "eyJ" not in kv.process.output()


class TestRefusals:
    """Every refusal has exit code 4 and names what differed and what would help."""

    def refused(self, kv, name, uid):
        result = kv.get(name, uid)
        assert result.returncode == 4, (result.returncode, result.stdout, result.stderr)
        assert result.stdout == ""
        return result.stderr

    def test_caller_without_identity(self, kv):
        text = self.refused(kv, "kv-demo", NOBODY)
        assert "spire-server entry create" in text and f"unix:uid:{NOBODY}" in text

    def test_another_identity(self, kv):
        text = self.refused(kv, "kv-wrong-role", BOB)
        assert "spiffe://example.org/bob" in text and "kv-wrong-role" in text and "fix:" in text

    def test_selector_that_differs(self, kv):
        text = self.refused(kv, "kv-bob", BOB)
        assert "unix:uid:4242" in text

    def test_expired_grant(self, kv):
        text = self.refused(kv, "kv-demo", BOB)
        assert "expired" in text and "bob-kv-demo-long-ago" in text

    def test_unknown_destination(self, kv):
        assert "no-such" in self.refused(kv, "no-such", ALICE)

    def test_vendor_that_says_no(self, kv):
        result = kv.get("kv-wrong-role", ALICE)
        assert result.returncode == 4, result.stderr
        assert "no-such-role" in result.stderr

    def test_json_form(self, kv):
        result = kv.get("kv-demo", NOBODY, "--output", "json")
        assert result.returncode == 4
        text = result.stdout or result.stderr
        assert "fix" in json.loads(text[text.index("{"):].strip()).__str__()

    def test_exec_does_not_start_the_command(self, kv, scratch):
        mark = scratch.folder("open", 0o777) / "started"
        assert kv.cli("exec", "--destination", "kv-demo", "--", "touch", mark, uid=NOBODY).returncode == 4
        assert not mark.exists()


def test_list_shows_what_the_caller_may_use(kv):
    def names(uid):
        return [one["name"] for one in json.loads(kv.cli("list", "--output", "json", uid=uid).stdout)["destinations"]]
    assert sorted(names(ALICE)) == ["kv-demo", "kv-short", "kv-wrong-role"]
    assert names(BOB) == []


def test_audit_has_a_line_for_each_decision(kv):
    before = len(kv.audit())
    allowed = kv.credential("kv-demo", ALICE)
    kv.get("kv-demo", NOBODY)
    events = kv.audit()[before:]
    decisions = [event for event in events if event["kind"] == "decision"]
    assert [event["result"] for event in decisions] == ["allowed", "denied"]
    assert decisions[0]["decision_id"] == allowed["decision_id"]
    assert len({event["decision_id"] for event in decisions}) == 2
    text = json.dumps(decisions[0])
    for fact in ("spiffe://example.org/alice", "kv-demo", "alice-kv", "credence"):
        assert fact in text
    assert f"unix:uid:{ALICE}" not in text, "selectors are redacted by default"


def test_audit_command_prints_a_line_for_each(kv):
    kv.get("kv-demo", NOBODY)
    result = kv.cli("audit", "--file", kv.audit_log, "--kind", "decision", "--limit", "5")
    assert result.returncode == 0 and 0 < len(result.stdout.splitlines()) <= 5
    assert "denied" in result.stdout


def test_audit_file_is_for_its_owner_only(kv):
    assert stat.S_IMODE(os.stat(kv.audit_log).st_mode) == 0o600
    assert kv.cli("audit", "--file", kv.audit_log, uid=ALICE).returncode != 0


def test_token_is_renewed_at_the_vendor_before_it_ends(kv, bao):
    """Past the end of its lease, the first token still works at OpenBao: it was renewed, not replaced, and the command has it."""
    first, begin = kv.get("kv-short", ALICE).stdout.strip(), time.monotonic()

    def renewed():
        token = kv.get("kv-short", ALICE).stdout.strip()
        assert bao.read_secret(token)[0] == 200, kv.process.tail()
        return time.monotonic() - begin > 7 and token == first
    wait_until(renewed, 30, "the end of the first lease")
    events = [event for event in kv.audit() if event["kind"] == "exchange" and event["destination"] == "kv-short"]
    assert events[0]["action"] == "exchange"
    assert [event["result"] for event in events if event["action"] == "renew"], events


@pytest.fixture(scope="module")
def passing(session_scratch, server, bao):
    """(agent, token) after the grant for a credential that was handed out is gone."""
    agent = Agent(session_scratch, server, name="passing", resources=resources.together(
        resources.openbao("kv-demo", bao.url, "alice"), resources.grant("g", "/alice", "kv-demo")))
    wait_for_identity(agent, ALICE)
    token = agent.credential("kv-demo", ALICE)["fields"]["client_token"]
    assert bao.token_alive(token)
    agent.resources_path.write_text(resources.openbao("kv-demo", bao.url, "alice"))
    agent.reload()
    wait_until(lambda: agent.status()["grants"] == 0, 10, "the reload")
    yield agent, token
    agent.stop()


def test_grant_that_goes_takes_the_cached_credential_with_it(passing):
    assert passing[0].get("kv-demo", ALICE).returncode == 4


def test_grant_that_goes_revokes_the_token_at_the_vendor(passing, bao):
    agent, token = passing
    wait_until(lambda: not bao.token_alive(token), 40, lambda: f"OpenBao knows it no more\n{agent.process.tail()}")
    events = wait_until(lambda: [event for event in agent.audit() if event.get("action") == "revoke"], 10, "its line in the audit log")
    assert [event["destination"] for event in events] == ["kv-demo"]
    assert token not in pathlib.Path(agent.audit_log).read_text(encoding="utf-8")

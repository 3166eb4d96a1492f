"""agent.conf and resources: every mistake at once, each with its line, key and what was expected."""

import pytest

from harness.peers import CREDENCE

GOOD = """agent {
  data_dir = "DIR/data"
  server_address = "127.0.0.1"
  server_port = "8081"
  socket_path = "DIR/api.sock"
  trust_domain = "example.org"
  insecure_bootstrap = true
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data {} }
}
credence {
  resources = ["DIR/resources"]
  audit_log = "DIR/audit.jsonl"
}
"""


@pytest.fixture
def check(scratch):
    """check(conf, resources) runs `credence check`; (exit code, what it said)."""
    def run(conf, resources="# none\n"):
        folder = scratch.folder("resources")
        (folder / "all.yaml").write_text(resources)
        path = scratch.path / "agent.conf"
        path.write_text(conf.replace("DIR", str(scratch.path)))
        result = scratch.run([CREDENCE, "check", "-config", path], env={"A_PORT": "8081"})
        return result.returncode, result.stdout + result.stderr
    return run


def test_good_configuration_passes(check):
    code, text = check(GOOD)
    assert code == 0, text


def test_all_mistakes_come_at_once_with_line_and_key(check):
    conf = GOOD.replace('"8081"', '"lots"').replace('"example.org"', '"Example.ORG"').replace("insecure_bootstrap = true", "colour = \"red\"")
    code, text = check(conf)
    assert code == 3
    for fact in ("agent.conf:4", "server_port", "agent.conf:6", "trust_domain", "agent.conf:7", "colour"):
        assert fact in text, text


@pytest.mark.parametrize("line,key", [
    ('admin_socket_path = "/tmp/admin.sock"', "admin_socket_path"), ('trust_bundle_url = "https://x"', "trust_bundle_url"),
    ('rebootstrap_mode = "auto"', "rebootstrap_mode")])
def test_key_that_spire_knows_and_we_do_not_serve_is_said_so(check, line, key):
    code, text = check(GOOD.replace("insecure_bootstrap = true", f"insecure_bootstrap = true\n  {line}"))
    assert code == 3 and key in text and "agent.conf:8" in text


def test_plugin_that_we_do_not_have(check):
    code, text = check(GOOD.replace('"unix"', '"docker"'))
    assert code == 3 and "docker" in text and "agent.conf:12" in text


def test_syntax_error_has_its_line(check):
    code, text = check(GOOD.replace("agent {", "agent {{{"))
    assert code == 3 and "agent.conf:1" in text


def test_json_is_read_too(check):
    import json
    conf = json.dumps({
        "agent": {"data_dir": "DIR/data", "server_address": "127.0.0.1", "server_port": 8081, "socket_path": "DIR/api.sock",
                  "trust_domain": "example.org", "insecure_bootstrap": True},
        "plugins": {"NodeAttestor": [{"join_token": {"plugin_data": {}}}], "KeyManager": [{"memory": {"plugin_data": {}}}],
                    "WorkloadAttestor": [{"unix": {"plugin_data": {}}}]},
        "credence": {"resources": ["DIR/resources"], "audit_log": "DIR/audit.jsonl"}})
    code, text = check(conf)
    assert code == 0, text


def test_environment_is_expanded_only_when_asked(scratch):
    path = scratch.path / "agent.conf"
    scratch.folder("resources")
    path.write_text(GOOD.replace("DIR", str(scratch.path)).replace('"8081"', '"$A_PORT"'))
    assert scratch.run([CREDENCE, "check", "-config", path], env={"A_PORT": "8081"}).returncode == 3
    result = scratch.run([CREDENCE, "check", "-config", path, "-expandEnv"], env={"A_PORT": "8081"})
    assert result.returncode == 0, result.stderr


def test_missing_file(scratch):
    result = scratch.run([CREDENCE, "run", "-config", scratch.path / "none.conf"])
    assert result.returncode == 3 and "none.conf" in result.stderr + result.stdout


def test_run_refuses_what_check_refuses(scratch):
    path = scratch.path / "agent.conf"
    path.write_text(GOOD.replace("DIR", str(scratch.path)).replace('"8081"', '"lots"'))
    result = scratch.run([CREDENCE, "run", "-config", path], seconds=10)
    assert result.returncode == 3 and "server_port" in result.stderr + result.stdout


DESTINATION = """apiVersion: credence/v1
kind: Destination
metadata: {name: kv}
spec:
  adapter: openbao
  settings: {address: "http://127.0.0.1:8200", role: r, audience: a}
"""


@pytest.mark.parametrize("change,facts", [
    (("adapter: openbao", "adapter: openboa"), ["all.yaml:5", "openboa"]),
    (("role: r", "rule: r"), ["all.yaml:6", "rule"]),
    (("role: r, ", ""), ["all.yaml", "role"]),
    (("metadata: {name: kv}", "metadata: {name: kv, nmae: x}"), ["all.yaml:3", "nmae"]),
    (("kind: Destination", "kind: Destiny"), ["all.yaml:2", "Destiny"]),
    (("credence/v1", "credence/v9"), ["all.yaml:1", "credence/v9"]),
    (("http://127.0.0.1:8200", "http://bao.example:8200"), ["all.yaml:6", "address"]),
    (("spec:", "spec: ["), ["all.yaml"]),
], ids=["adapter", "setting", "required", "metadata", "kind", "version", "plain-http", "syntax"])
def test_mistake_in_a_resource(check, change, facts):
    assert check(GOOD, DESTINATION)[0] == 0
    code, text = check(GOOD, DESTINATION.replace(*change))
    assert code == 3
    for fact in facts:
        assert fact in text, text


def test_grant_for_a_destination_that_is_not_there(check):
    grant = """apiVersion: credence/v1
kind: Grant
metadata: {name: g}
spec: {subject: {spiffe_id: "spiffe://example.org/x"}, destination: nowhere}
"""
    code, text = check(GOOD, grant)
    assert code == 3 and "nowhere" in text and "all.yaml:4" in text


def test_secret_in_a_mistake_is_not_repeated(check):
    code, text = check(GOOD.replace("insecure_bootstrap = true", 'insecure_bootstrap = true\n  join_token = ["s3cr3t-token"]'))
    assert code == 3 and "join_token" in text and "s3cr3t-token" not in text

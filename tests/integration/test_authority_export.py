"""The move from the built-in authority to a real SPIRE server."""

import json
import pathlib
import re
import shutil

import pytest

from harness.authority import Authority, Up
from harness.fixtures import ALICE, BOB
from harness.peers import CREDENCE, agent_environment, peer, published
from harness.processes import wait_until
from harness.spire import SpireServer


@pytest.fixture
def spire(scratch):
    """A server of the same trust domain that knows nothing yet."""
    return SpireServer(scratch, "spire")


def identities(up, uid):
    result = up.scratch.run([published(peer("probe")), "ids", "-socket", up.facts["agent_socket"]], uid=uid)
    return json.loads(result.stdout)["spiffe_ids"] if result.returncode == 0 else []


def change_lines(conf, settings):
    """Puts each setting in the place of the line that has it."""
    text = conf.read_text()
    for name, value in settings.items():
        text, count = re.subn(rf"^(\s*{name}\s*=).*$", lambda line, value=value: f"{line[1]} {json.dumps(value)}", text, flags=re.M)
        assert count == 1, f"{name} in\n{text}"
    conf.write_text(text)


def test_the_same_agent_conf_and_workload_under_a_real_server(scratch, spire):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    up.ok("entry", "create", "-spiffeID", "spiffe://example.org/web", "-selector", f"unix:uid:{ALICE}", "-hint", "kept")
    wait_until(lambda: identities(up, ALICE) == ["spiffe://example.org/web"], 15, "ALICE has an SVID")

    move = json.loads(up.ok("authority", "export", "-dir", up.folder / "move", "-serverAddress", "127.0.0.1",
                            "-serverPort", spire.port, "-output", "json"))
    assert move["entries"] == 1 and move["nodes"] == ["spiffe://example.org/node/local"]
    for path in move["files"]:
        spire.cli("entry", "create", "-data", path)
    token = scratch.path / "token"
    token.write_text(spire.join_token(move["nodes"][0]))
    token.chmod(0o600)
    shutil.copy(spire.readable_bundle(), move["agent_conf"]["trust_bundle_path"])

    assert up.stop() == 0
    assert identities(up, ALICE) == []
    change_lines(pathlib.Path(up.facts["agent_conf"]), move["agent_conf"])
    (pathlib.Path(up.data) / "agent" / "agent-data.json").unlink()
    agent = scratch.start([CREDENCE, "run", "-config", up.facts["agent_conf"], "-joinTokenFile", token], "moved.log",
                          env=agent_environment())
    wait_until(lambda: identities(up, ALICE) == ["spiffe://example.org/web"], 30, lambda: f"ALICE has it again\n{agent.tail()}")
    assert identities(up, BOB) == []
    assert any(one["attestation_type"] == "join_token" for one in spire.agents())


def test_the_steps_for_people_name_the_same(scratch):
    authority = Authority(scratch)
    authority.create_entry("/web", "unix:uid:1", parent="/node/local")
    out = authority.cli("authority", "export", "-dir", authority.folder / "move").stdout
    assert f"spire-server entry create -data '{authority.folder}/move/entries.json'" in out
    assert "spire-server token generate -spiffeID 'spiffe://example.org/node/local'" in out
    assert "server_address    = " in out and "trust_bundle_path = " in out


def test_a_real_server_takes_every_kind_of_entry_as_it_is(scratch, spire):
    authority = Authority(scratch)
    foreign = authority.scratch.path / "foreign.json"
    foreign.write_text(spire.spiffe_bundle())
    for side in (authority, spire):
        side.cli("bundle", "set", "-id", "spiffe://other.test", "-format", "spiffe", "-path", foreign)
    authority.create_entry("/all", "unix:uid:1", "unix:path:/usr/bin/a b", flags=[
        "-x509SVIDTTL", "600", "-jwtSVIDTTL", "60", "-dns", "a.example.org", "-dns", "b.example.org", "-hint", "hint",
        "-entryExpiry", "4000000000", "-federatesWith", "spiffe://other.test", "-admin", "-downstream",
        "-disableX509SVIDPrefetch", "-jwtSVIDIncludeJTI"])
    authority.create_entry("/stored", "aws_secretsmanager:name:a", flags=["-storeSVID"])
    authority.create_entry("/node", "x509pop:subject:cn:a", parent="/spire/server")
    move = authority.json("authority", "export", "-dir", authority.folder / "move")
    spire.cli("entry", "create", "-data", move["files"][0])

    def shown(side):
        entries = json.loads(side.cli("entry", "show", "-output", "json").stdout)["entries"]
        times = ("created_at", "revision_number")
        for entry in entries:
            entry["selectors"].sort(key=lambda selector: selector["value"])
        return sorted(({name: value for name, value in entry.items() if name not in times} for entry in entries),
                      key=lambda entry: entry["id"])
    assert shown(authority) == shown(spire)


def test_a_node_entry_for_agents_that_attest_otherwise(scratch, spire):
    authority = Authority(scratch)
    authority.create_entry("/web", "unix:uid:1", parent="/node/local")
    move = authority.json("authority", "export", "-dir", authority.folder / "move", "-nodeSelector", "x509pop:subject:cn:a")
    assert move["entries"] == 2
    spire.cli("entry", "create", "-data", move["files"][0])
    shown = spire.cli("entry", "show", "-spiffeID", "spiffe://example.org/node/local").stdout
    assert re.search(r"Parent ID\s+: spiffe://example.org/spire/server", shown) and "x509pop:subject:cn:a" in shown


@pytest.mark.hostile
def test_a_folder_that_others_can_change_is_refused(scratch):
    authority = Authority(scratch)
    folder = scratch.path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    result = authority.cli("authority", "export", "-dir", folder, check=False)
    assert result.returncode == 4 and str(folder) in result.stderr
    assert not list(folder.iterdir())

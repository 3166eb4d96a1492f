"""Registration entries that stand in resource files."""

import json
import os
import pathlib

import pytest

from harness.agent import Agent
from harness.authority import Authority, Up
from harness.fixtures import ALICE, BOB, wait_for_identity
from harness.peers import peer, published
from harness.processes import wait_until


def entry(name, uid, **spec):
    return json.dumps({"apiVersion": "credence/v1", "kind": "Entry", "metadata": {"name": name},
                       "spec": {"spiffe_id": f"spiffe://example.org/{name}", "parent_id": "spiffe://example.org/node",
                                "selectors": [f"unix:uid:{uid}"], **spec}})


def write(path, text):
    """In one step, as a careful operator does."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


@pytest.fixture
def folder(scratch):
    return scratch.folder("entries", 0o755)


@pytest.fixture
def authority(scratch, folder):
    return Authority(scratch, flags=["-resources", folder])


def test_entries_come_change_and_go_with_their_file(scratch, folder, authority):
    agent = Agent(scratch, authority)
    file = folder / "web.yaml"
    write(file, entry("web", ALICE))
    wait_for_identity(agent, ALICE)
    assert agent.probe("ids", uid=ALICE)["spiffe_ids"] == ["spiffe://example.org/web"]
    write(file, entry("web", BOB))
    wait_for_identity(agent, BOB)
    wait_until(lambda: agent.try_probe("ids", uid=ALICE).returncode != 0, 15, "ALICE's identity is gone")
    file.unlink()
    wait_until(lambda: agent.try_probe("ids", uid=BOB).returncode != 0, 15, "BOB's identity is gone")


def test_one_list_shows_both_kinds_with_where_each_comes_from(folder, authority):
    stored = authority.create_entry("/stored", "unix:uid:1")
    file = folder / "web.yaml"
    write(file, entry("web", ALICE))
    wait_until(lambda: authority.json("authority", "status")["entries_in_files"] == 1, 10, "the file is read")
    shown = {one["id"]: one for one in authority.json("entry", "show")["entries"]}
    assert shown["file.web"]["origin"] == str(file) and "origin" not in shown[stored]
    out = authority.cli("entry", "show").stdout
    assert out.count("Origin") == 1 and f"Origin                  : {file}" in out
    assert "2 registration entries" in authority.cli("entry", "count").stdout
    assert "file.web" in authority.cli("entry", "show", program="spire-server").stdout


def test_commands_do_not_change_what_stands_in_a_file(folder, authority):
    file = folder / "web.yaml"
    write(file, entry("web", ALICE))
    wait_until(lambda: authority.json("authority", "status")["entries_in_files"] == 1, 10, "the file is read")
    for words in (["delete", "-entryID", "file.web"],
                  ["update", "-entryID", "file.web", "-spiffeID", "spiffe://example.org/web", "-parentID",
                   "spiffe://example.org/node", "-selector", "unix:uid:1"]):
        result = authority.cli("entry", *words, check=False)
        assert result.returncode != 0 and f"stands in {file}" in result.stdout + result.stderr
    assert authority.json("entry", "show", "-entryID", "file.web")["entries"]


def test_a_mistake_keeps_the_last_good_set_and_shows(folder, authority):
    write(folder / "web.yaml", entry("web", ALICE))
    wait_until(lambda: authority.json("authority", "status")["entries_in_files"] == 1, 10, "the file is read")
    write(folder / "bad.yaml", entry("bad", BOB, hintt="x"))
    mistakes = wait_until(lambda: authority.json("authority", "status")["file_mistakes"], 10, "the mistake is found")
    assert "bad.yaml" in mistakes[0] and "hintt" in mistakes[0]
    assert mistakes[0] in authority.cli("authority", "status").stdout
    assert "hintt" in authority.process.output()
    assert authority.json("entry", "show", "-entryID", "file.web")["entries"]
    write(folder / "bad.yaml", entry("bad", BOB))
    wait_until(lambda: not authority.json("authority", "status")["file_mistakes"], 10, "it is mended")


def test_a_restart_leaves_agents_with_what_they_have(scratch, folder, authority):
    agent = Agent(scratch, authority)
    write(folder / "web.yaml", entry("web", ALICE))
    wait_for_identity(agent, ALICE)
    before = authority.json("entry", "show", "-entryID", "file.web")
    authority.kill()
    authority.start()
    assert authority.json("entry", "show", "-entryID", "file.web") == before
    assert agent.probe("ids", uid=ALICE)["spiffe_ids"] == ["spiffe://example.org/web"]


def test_credence_up_reads_them_beside_the_agents_resources(scratch):
    up = Up(scratch, flags=["-trustDomain", "example.org"])
    document = json.loads(entry("web", ALICE))
    del document["spec"]["parent_id"]
    write(pathlib.Path(up.facts["resources"]) / "web.yaml", json.dumps(document))

    def known():
        result = up.scratch.run([published(peer("probe")), "ids", "-socket", up.facts["agent_socket"]], uid=ALICE)
        return "spiffe://example.org/web" in result.stdout
    wait_until(known, 20, "ALICE has an SVID")
    assert json.loads(up.ok("status", "--output", "json"))["resource_errors"] == []


def test_an_entry_that_waits_for_a_bundle_is_read_again_when_it_is_there(folder, authority):
    write(folder / "web.yaml", entry("web", ALICE, federates_with=["other.test"]))
    wait_until(lambda: "bundle of other.test" in str(authority.json("authority", "status")["file_mistakes"]), 10, "it is refused")
    authority.cli("bundle", "set", "-id", "spiffe://other.test", stdin=authority.cli("bundle", "show").stdout)
    wait_until(lambda: authority.json("authority", "status")["entries_in_files"] == 1, 10, "it is read again")
    assert authority.json("authority", "status")["file_mistakes"] == []


@pytest.mark.hostile
def test_a_folder_that_others_can_change_is_not_believed(scratch):
    folder = scratch.folder("open", 0o777)
    (folder / "web.yaml").write_text(entry("web", ALICE))
    authority = Authority(scratch, flags=["-resources", folder])
    status = authority.json("authority", "status")
    assert status["entries_in_files"] == 0 and str(folder) in status["file_mistakes"][0]

"""From nothing to a vendor: what `credence setup` prints is enough for the vendor, and `credence check` finds what is missing."""

import json
import os
import time

import pytest

from harness.authority import Up
from harness.claude import Claude, rule
from harness.fixtures import ALICE, NOBODY
from harness.openbao import ROOT_TOKEN, OpenBao
from harness.peers import CREDENCE, bao, published
from harness.processes import Scratch, free_port, wait_until
from harness.resources import ORGANIZATION

WEB = "spiffe://example.org/web"
CHECKS = ["agent", "resource", "identity", "grant", "svid", "algorithm", "lifetime", "issuer", "host", "connection", "tls", "clock",
          "exchange"]


@pytest.fixture(scope="module")
def scratch_of_module():
    with Scratch("setup") as scratch:
        yield scratch


@pytest.fixture(scope="module")
def up(scratch_of_module):
    """`credence up` with one entry, ALICE's."""
    up = Up(scratch_of_module, flags=["-trustDomain", "example.org"])
    up.ok("entry", "create", "-spiffeID", WEB, "-selector", f"unix:uid:{ALICE}")
    setup(up, "openbao", "first", address="http://127.0.0.1:1", role="reader", audience="openbao")
    wait_until(lambda: found(up, "first", "-exchange=false")["identity"]["result"] == "ok", 20, "the agent has ALICE's entry")
    return up


@pytest.fixture(scope="module")
def openbao(up):
    return OpenBao(up.scratch, up.facts["oidc_issuer"])


def setup(up, adapter, name, *more, expected=0, **settings):
    """What `credence setup` says, as JSON."""
    flags = [word for key, value in settings.items() for word in ("-set", f"{key}={value}")]
    result = up.cli("setup", adapter, "-name", name, "-spiffeID", WEB, "-issuer", up.facts["oidc_issuer"],
                    "-resources", up.facts["resources"], *flags, "-yes", "-output", "json", *more)
    assert result.returncode == expected, f"{result.returncode} {result.stdout}{result.stderr}"
    return json.loads(result.stdout)


def found(up, name, *more, uid=ALICE):
    """The findings of `credence check`, by name of the check."""
    result = up.cli("check", name, "--output", "json", *more, uid=uid, seconds=120)
    answer = json.loads(result.stdout)
    assert answer["ok"] == (result.returncode == 0)
    assert [finding["check"] for finding in answer["checks"]] == CHECKS
    return {finding["check"]: finding for finding in answer["checks"]}


def failures(findings):
    for finding in findings.values():
        assert bool(finding["fix"]) == (finding["result"] == "failed"), finding
    return [name for name, finding in findings.items() if finding["result"] == "failed"]


def until_loaded(up, name):
    """The agent notices a new file by itself."""
    wait_until(lambda: found(up, name, "-exchange=false")["resource"]["result"] == "ok", 20, f"{name} is loaded")


def paste(up, lines, steps=lambda line: True):
    """The printed lines as a script, by an operator of OpenBao."""
    programs = up.scratch.folder("operators-programs")
    if not (programs / "bao").exists():
        (programs / "bao").symlink_to(bao())
    script = "set -e\n" + "\n".join(line for line in lines if steps(line))
    result = up.scratch.run(["sh", "-c", script], env={
        "BAO_TOKEN": ROOT_TOKEN, "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(up.scratch.folder("operator"))})
    assert result.returncode == 0, f"{script}\n{result.stdout}{result.stderr}"


# The two ways of giving OpenBao the keys: it fetches them, or they are pasted.
@pytest.mark.parametrize("keys", ["oidc_discovery_url", "jwt_validation_pubkeys"])
def test_openbao_from_nothing(up, openbao, keys):
    name = f"kv-{keys.split('_')[0]}"
    told = setup(up, "openbao", name, address=openbao.url, role="reader", audience="openbao", mount=name)
    assert told["written"] and told["subject"] == WEB and told["audience"] == ["openbao"]
    assert json.loads(told["jwks"]) == json.loads(up.ok("jwks"))
    paste(up, told["setup"], lambda line: "/config" not in line or keys in line)
    until_loaded(up, name)
    findings = found(up, name)
    assert failures(findings) == [], findings
    assert findings["issuer"]["result"] == "ok" and findings["exchange"]["result"] == "ok"
    token = up.ok("get", name, uid=ALICE).strip()
    assert openbao.read_secret(token) == (200, OpenBao.SECRET)


def test_what_openbao_refuses_is_the_exchange_alone(up, openbao):
    setup(up, "openbao", "kv-refused", address=openbao.url, role="nobodys", audience="openbao", mount="jwt")
    until_loaded(up, "kv-refused")
    assert failures(found(up, "kv-refused")) == ["exchange"]
    assert failures(found(up, "kv-refused", "-exchange=false")) == []


def test_each_missing_precondition_is_named(up, openbao):
    setup(up, "openbao", "kv-nowhere", address="http://127.0.0.1:1", role="reader", audience="openbao")
    until_loaded(up, "kv-nowhere")
    nowhere = found(up, "kv-nowhere")
    assert failures(nowhere) == ["connection", "exchange"]
    assert nowhere["tls"]["result"] == nowhere["clock"]["result"] == "skipped"
    setup(up, "openbao", "kv-plain", address=openbao.url.replace("http:", "https:"), role="reader", audience="openbao")
    until_loaded(up, "kv-plain")
    assert failures(found(up, "kv-plain")) == ["tls", "exchange"]
    assert failures(found(up, "kv-nowhere", uid=NOBODY)) == ["identity"]
    unknown = found(up, "no-such-destination")
    assert failures(unknown) == ["resource"] and "credence setup" in unknown["resource"]["fix"]
    setup(up, "openbao", "kv-bob", "-selector", "unix:uid:1", address=openbao.url, role="reader", audience="openbao")
    until_loaded(up, "kv-bob")
    bob = found(up, "kv-bob")
    assert failures(bob) == ["grant"] and "unix:uid:1" in bob["grant"]["fix"]


def test_claude_from_nothing(up):
    name = "claude"
    told = setup(up, "anthropic", name, expected=2)
    assert not told["written"] and len(told["missing"]) == 2
    assert f"     match.subject_prefix      {WEB}" in told["setup"]
    # The stand-in is configured with what was printed: issuer, subject and audience.
    claude = Claude(up.scratch, told["issuer"], [rule("fdrl_web", told["subject"], audience=told["audience"][0])])
    told = setup(up, "anthropic", name, base_url=claude.url, federation_rule_id="fdrl_web", organization_id=ORGANIZATION,
                 service_account_id="svac_demo")
    assert told["written"]
    until_loaded(up, name)
    findings = found(up, name)
    assert failures(findings) == [], findings
    assert findings["exchange"]["result"] == "ok"
    assert up.ok("get", name, uid=ALICE).startswith("sk-ant-oat01-")
    # The console's switch.
    claude.disable("fdrl_web")
    setup(up, "anthropic", "claude-off", base_url=claude.url, federation_rule_id="fdrl_web", organization_id=ORGANIZATION,
          service_account_id="svac_demo")
    until_loaded(up, "claude-off")
    assert failures(found(up, "claude-off")) == ["exchange"]


def test_the_issuer_is_that_of_the_users_own_up(scratch):
    home = scratch.folder("home", 0o755)
    os.chown(home, ALICE, ALICE)
    credence, issuer = published(CREDENCE), "https://issuer.example.org"
    process = scratch.start([credence, "up", "-trustDomain", "example.org", "-port", free_port(), "-oidcPort", 0, "-jwtIssuer", issuer],
                            "home-up.log", uid=ALICE, env={"HOME": home})
    wait_until(lambda: "Credence is up" in process.output(), 40, lambda: f"credence up says that it is up\n{process.output()}")
    told = scratch.run([credence, "setup", "openbao", "-spiffeID", WEB, "-set", "address=http://127.0.0.1:1", "-set", "role=r",
                        "-set", "audience=a", "-yes", "-output", "json"], uid=ALICE, env={"HOME": home})
    assert told.returncode == 0 and json.loads(told.stdout)["issuer"] == issuer, told.stdout + told.stderr


def test_a_second_look_says_that_the_credential_is_not_new(up, openbao):
    openbao.create_role("reader", WEB)
    setup(up, "openbao", "kv-again", address=openbao.url, role="reader", audience="openbao", mount="jwt")
    until_loaded(up, "kv-again")
    first = found(up, "kv-again")["exchange"]
    assert first["result"] == "ok" and "which the agent has since" not in first["detail"]
    time.sleep(1.1)
    assert "which the agent has since" in found(up, "kv-again")["exchange"]["detail"]


def test_a_file_is_never_overwritten_unasked(up, openbao):
    values = {"address": openbao.url, "role": "reader", "audience": "openbao"}
    written = setup(up, "openbao", "kv-twice", **values)["file"]
    with open(written, encoding="utf-8") as file:
        before = file.read()
    again = up.cli("setup", "openbao", "-name", "kv-twice", "-spiffeID", WEB, "-issuer", "https://other.example", "-resources",
                   up.facts["resources"], "-yes", *(word for pair in values.items() for word in ("-set", "=".join(pair))),
                   "-set", "mount=other")
    assert again.returncode == 1 and "-force" in again.stderr
    with open(written, encoding="utf-8") as file:
        assert file.read() == before

"""The built-in trust authority and a real SPIRE server fetch each other's bundles."""

import http.client
import json
import signal
import ssl

import pytest

from harness.agent import Agent
from harness.authority import Authority
from harness.caller import Caller
from harness.certificates import WebRoot, new_key, split_der, write_pem
from harness.fixtures import ALICE, wait_for_identity
from harness.processes import Scratch, free_port, wait_until
from harness.spire import SpireServer

OURS, THEIRS = "example.org", "other.test"
LOCAL = "127.0.0.1"


def server_id(domain):
    return f"spiffe://{domain}/spire/server"


def keys(document):
    """What a bundle document says about its keys, in an order of its own."""
    found = [(key["use"], key.get("kid"), key.get("x"), key.get("x5c", [None])[0]) for key in json.loads(document)["keys"]]
    return sorted(found, key=str)


def held(one, domain):
    """The foreign bundle that it has, as keys() gives them."""
    return keys(one.cli("bundle", "list", "-id", f"spiffe://{domain}", "-format", "spiffe").stdout)


def own(one):
    return keys(one.cli("bundle", "show", "-format", "spiffe").stdout)


def relate(one, domain, port, profile, *more, verb="create"):
    url = f"https://{LOCAL}:{port}"
    identity = ["-endpointSpiffeID", server_id(domain)] if profile == "https_spiffe" and "-endpointSpiffeID" not in more else []
    return one.cli("federation", verb, "-trustDomain", domain, "-bundleEndpointURL", url, "-bundleEndpointProfile", profile,
                   *identity, *more)


def refresh(one, domain, check=True):
    return one.cli("federation", "refresh", "-id", f"spiffe://{domain}", check=check)


def first_bundle(scratch, of):
    """A file with the X.509 authorities alone, so that a fetched bundle shows by its JWT keys."""
    path = scratch.path / f"{of.domain}-first.pem"
    path.write_text(of.cli("bundle", "show").stdout)
    return ["-trustDomainBundlePath", path]


class Pair:
    """Our authority and a SPIRE server, each with a bundle endpoint."""

    def __init__(self, scratch, profile, their_profile="", our_flags=(), env=None):
        self.scratch, self.profile = scratch, profile
        self.our_port, self.their_port = free_port(), free_port()
        self.ours = Authority(scratch, domain=OURS, flags=["-bundleEndpointPort", self.our_port, *our_flags], env=env)
        self.theirs = SpireServer(scratch, domain=THEIRS, env=env, federation=f'''    bundle_endpoint {{
      address = "{LOCAL}"
      port = {self.their_port}
      profile "{profile}" {{ {their_profile} }}
    }}''')


@pytest.fixture(scope="module")
def pair():
    with Scratch("pair") as scratch:
        yield Pair(scratch, "https_spiffe")


@pytest.fixture
def related(pair):
    """With a relationship on our side, which ends with the test."""
    relate(pair.ours, THEIRS, pair.their_port, "https_spiffe", *first_bundle(pair.scratch, pair.theirs))
    yield pair
    pair.ours.cli("bundle", "delete", "-id", THEIRS, "-mode", "dissociate", check=False)
    pair.ours.cli("federation", "delete", "-id", THEIRS, check=False)


def test_FED_7_a_real_server_fetches_our_bundle_by_https_spiffe(pair):
    relate(pair.theirs, OURS, pair.our_port, "https_spiffe", *first_bundle(pair.scratch, pair.ours))
    refresh(pair.theirs, OURS)
    assert held(pair.theirs, OURS) == own(pair.ours)


def test_FED_7_our_authority_fetches_a_real_servers_bundle_by_https_spiffe(related):
    wait_until(lambda: held(related.ours, THEIRS) == own(related.theirs), 20, "the first poll has brought the bundle")
    assert any(use == "jwt-svid" for use, *_ in held(related.ours, THEIRS))
    assert refresh(related.ours, THEIRS).stdout == "Bundle refreshed\n"


def test_FED_21_a_root_that_rotates_is_followed(related):
    prepared = related.theirs.local_authority("x509", "prepare")["prepared_authority"]["authority_id"]
    refresh(related.ours, THEIRS)
    assert held(related.ours, THEIRS) == own(related.theirs)
    related.theirs.local_authority("x509", "activate", "-authorityID", prepared)
    refresh(related.ours, THEIRS)
    assert len([use for use, *_ in held(related.ours, THEIRS) if use == "x509-svid"]) == 2


def test_a_workload_gets_the_bundle_that_was_fetched(related, scratch, protos):
    refresh(related.ours, THEIRS)
    related.ours.create_entry("/friend", f"unix:uid:{ALICE}", flags=["-federatesWith", THEIRS])
    agent = Agent(scratch, related.ours)
    wait_for_identity(agent, ALICE)
    caller = Caller(agent.socket, ALICE)
    try:
        stream = caller.open("/SpiffeWorkloadAPI/FetchX509Bundles", answer_type=protos.workload.X509BundlesResponse)
        while f"spiffe://{THEIRS}" not in (bundles := stream.next(20).bundles):
            pass
        expected = [one for one in related.theirs.cli("bundle", "show").stdout.split("-----BEGIN CERTIFICATE-----") if one.strip()]
        assert len(split_der(bundles[f"spiffe://{THEIRS}"])) == len(expected)
    finally:
        caller.close()


def test_FED_25_a_federation_ends_when_no_entry_needs_it(related):
    entry = related.ours.create_entry("/needs", "unix:uid:1", flags=["-federatesWith", THEIRS])
    refused = related.ours.cli("federation", "delete", "-id", THEIRS, check=False)
    assert refused.returncode == 1 and "registration entries federate with other.test" in refused.stderr
    related.ours.cli("bundle", "delete", "-id", THEIRS, "-mode", "dissociate")
    assert related.ours.json("entry", "show", "-entryID", entry)["entries"][0]["federates_with"] == []
    assert related.ours.cli("federation", "delete", "-id", THEIRS).stdout == "federation relationship deleted.\n"
    assert related.ours.cli("bundle", "list").stdout == ""
    assert refresh(related.ours, THEIRS, check=False).returncode == 1


def test_the_real_servers_commands_say_the_same(related):
    for words in (["federation", "list"], ["federation", "show", "-trustDomain", THEIRS]):
        assert related.ours.cli(*words).stdout == related.ours.cli(*words, program="spire-server").stdout
    refreshed = related.ours.cli("federation", "refresh", "-id", f"spiffe://{THEIRS}", program="spire-server").stdout
    assert refreshed == "Bundle refreshed\n"
    updated = relate(related.ours, THEIRS, related.their_port, "https_spiffe", verb="update").stdout
    assert updated == related.ours.cli(
        "federation", "update", "-trustDomain", THEIRS, "-bundleEndpointURL", f"https://{LOCAL}:{related.their_port}",
        "-bundleEndpointProfile", "https_spiffe", "-endpointSpiffeID", server_id(THEIRS), program="spire-server").stdout
    gone = related.ours.cli("federation", "delete", "-id", f"spiffe://{THEIRS}", program="spire-server").stdout
    assert gone == "federation relationship deleted.\n"


@pytest.mark.hostile
def test_FED_23_an_endpoint_with_another_identity_is_refused(related):
    before = own(related.theirs)
    wait_until(lambda: held(related.ours, THEIRS) == before, 20, "the first poll, under the right identity, has come through")
    relate(related.ours, THEIRS, related.their_port, "https_spiffe", "-endpointSpiffeID", f"spiffe://{THEIRS}/impostor",
           verb="update")
    refused = refresh(related.ours, THEIRS, check=False)
    assert refused.returncode != 0 and f"the server is {server_id(THEIRS)}" in refused.stderr
    assert held(related.ours, THEIRS) == before


@pytest.mark.hostile
def test_FED_9_a_server_without_a_certificate_of_the_web_is_refused_as_https_web(related):
    relate(related.ours, THEIRS, related.their_port, "https_web", verb="update")
    assert refresh(related.ours, THEIRS, check=False).returncode != 0


def test_FED_2_relationship_and_bundle_are_there_after_a_restart(related):
    refresh(related.ours, THEIRS)
    bundle, listed = held(related.ours, THEIRS), related.ours.cli("federation", "list").stdout
    assert related.ours.stop() == 0
    related.ours.start()
    assert held(related.ours, THEIRS) == bundle
    assert related.ours.cli("federation", "list").stdout == listed


def open_context(**versions):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, version in versions.items():
        setattr(context, name, version)
    return context


def ask(port, method="GET", path="/", context=None):
    connection = http.client.HTTPSConnection(LOCAL, port, timeout=10, context=context or open_context())
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_FED_14_FED_15_the_endpoint_serves_everybody_the_bundle_and_nothing_else(pair):
    answer, body = ask(pair.our_port)
    assert answer.status == 200 and answer.getheader("Content-Type") == "application/json"
    assert keys(body.decode()) == own(pair.ours)
    assert ask(pair.our_port, "HEAD")[1] == b""
    assert ask(pair.our_port, path="/other")[0].status == 404
    assert ask(pair.our_port, "POST")[0].status == 405


@pytest.mark.hostile
def test_FED_8_old_tls_is_refused(pair):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context = open_context(maximum_version=ssl.TLSVersion.TLSv1_1, minimum_version=ssl.TLSVersion.TLSv1)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        ask(pair.our_port, context=context)
    assert ask(pair.our_port)[0].status == 200


@pytest.fixture(scope="module")
def web_pair():
    with Scratch("web") as scratch:
        root = WebRoot(scratch.path, "root")
        our_certificate, our_key = root.write("ours")
        their_certificate, their_key = root.write("theirs")
        pair = Pair(scratch, "https_web", env={"SSL_CERT_FILE": root.path, "SSL_CERT_DIR": scratch.folder("none")},
                    our_flags=["-bundleEndpointCertificate", our_certificate, "-bundleEndpointKey", our_key],
                    their_profile=f'serving_cert_file {{ cert_file_path = "{their_certificate}"\n key_file_path = "{their_key}"\n '
                                  'file_sync_interval = "1h" }')
        pair.root = root
        yield pair


def test_FED_7_bundles_go_both_ways_by_https_web(web_pair):
    for one, domain, port, other in ((web_pair.ours, THEIRS, web_pair.their_port, web_pair.theirs),
                                     (web_pair.theirs, OURS, web_pair.our_port, web_pair.ours)):
        relate(one, domain, port, "https_web")
        refresh(one, domain)
        assert held(one, domain) == own(other)


def test_a_renewed_certificate_is_shown_after_sighup(web_pair):
    before = ssl.get_server_certificate((LOCAL, web_pair.our_port))
    web_pair.root.write("ours")
    web_pair.ours.process.signal(signal.SIGHUP)
    wait_until(lambda: ssl.get_server_certificate((LOCAL, web_pair.our_port)) != before, 10, "the new certificate is shown")
    assert ask(web_pair.our_port, context=ssl.create_default_context(cafile=web_pair.root.path))[0].status == 200


@pytest.mark.hostile
def test_FED_18_a_certificate_of_an_unknown_root_is_refused(web_pair, scratch):
    stranger = Authority(scratch, "stranger", domain="stranger.test")
    relate(stranger, THEIRS, web_pair.their_port, "https_web")
    refused = refresh(stranger, THEIRS, check=False)
    assert refused.returncode != 0 and "TLS with" in refused.stderr
    assert stranger.cli("bundle", "list").stdout == ""


@pytest.mark.hostile
@pytest.mark.parametrize("harm", ["missing", "garbage", "another key"])
def test_a_certificate_that_cannot_be_shown_is_named_at_the_start(scratch, harm):
    root = WebRoot(scratch.path, "root")
    certificate_file, key_file = root.write("ours")
    authority = Authority(scratch, start=False, flags=["-bundleEndpointPort", free_port(), "-bundleEndpointCertificate",
                                                       certificate_file, "-bundleEndpointKey", key_file])
    if harm == "missing":
        key_file.unlink()
    elif harm == "garbage":
        key_file.write_text("no key\n")
    else:
        write_pem(key_file, new_key())
    result = scratch.run(authority.command())
    assert result.returncode == 3 and "bundle endpoint" in result.stderr and key_file.name in result.stderr, result.stderr

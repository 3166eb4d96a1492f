"""Rows WA-* of the X.509 profile, over raw gRPC. Source: SPIFFE Workload API."""

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from harness.agent import Agent
from harness.caller import Caller, RpcError
from harness.certificates import certificate, split_der, write_pem
from harness.fixtures import ALICE, MANY, NOBODY, wait_for_identity
from harness.processes import wait_until
from harness.relay import Relay

FETCH = "/SpiffeWorkloadAPI/FetchX509SVID"
BUNDLES = "/SpiffeWorkloadAPI/FetchX509Bundles"
# Short-lived users of tests that add and delete entries.
LEAVER = 20010


@pytest.fixture
def fetch(caller, protos):
    """fetch(uid) is that user's first message."""
    return lambda uid: caller(uid).open(FETCH, answer_type=protos.workload.X509SVIDResponse).next()


def uri_of(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def test_WA_4_path_has_no_package(fetch):
    assert fetch(ALICE).svids


def test_WA_9_first_message_comes_without_delay(caller, fetch):
    fetch(ALICE)
    stream_caller = caller(ALICE)
    begin = time.monotonic()
    stream_caller.open(FETCH).next()
    assert time.monotonic() - begin < 1


def test_WA_16_one_entry_for_each_identity(fetch):
    answer = fetch(MANY)
    assert sorted(svid.spiffe_id for svid in answer.svids) == [
        f"spiffe://example.org/many/{name}" for name in ("one", "three", "two")]


def test_WA_17_all_fields_are_filled(fetch):
    for svid in fetch(MANY).svids:
        assert svid.spiffe_id and svid.x509_svid and svid.x509_svid_key and svid.bundle


def test_WA_18_X509_1_leaf_first_with_one_uri(fetch):
    svid = fetch(ALICE).svids[0]
    chain = split_der(svid.x509_svid)
    assert uri_of(chain[0]) == ["spiffe://example.org/alice"] == [svid.spiffe_id]
    assert not chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_WA_18_chain_ends_in_the_bundle(fetch):
    svid = fetch(ALICE).svids[0]
    chain, roots = split_der(svid.x509_svid), split_der(svid.bundle)
    for child, parent in zip(chain, chain[1:]):
        child.verify_directly_issued_by(parent)
    issuers = [root for root in roots if root.subject == chain[-1].issuer]
    assert issuers
    chain[-1].verify_directly_issued_by(issuers[0])


def private_key_of(svid):
    """The key, after it was seen to be plain PKCS#8 and to sign what the leaf verifies."""
    key = serialization.load_der_private_key(svid.x509_svid_key, password=None)
    pkcs8 = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert len(pkcs8) == len(svid.x509_svid_key)
    public = split_der(svid.x509_svid)[0].public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        public.verify(key.sign(b"x", padding.PKCS1v15(), SHA256()), b"x", padding.PKCS1v15(), SHA256())
    else:
        public.verify(key.sign(b"x", ec.ECDSA(SHA256())), b"x", ec.ECDSA(SHA256()))
    return key


def test_WA_19_key_is_pkcs8_and_matches_the_leaf(fetch):
    key = private_key_of(fetch(ALICE).svids[0])
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"


@pytest.mark.parametrize("key_type,kind,size", [
    ("rsa-2048", rsa.RSAPrivateKey, 2048), ("ec-p384", ec.EllipticCurvePrivateKey, 384)], ids=["rsa-2048", "ec-p384"])
def test_WA_19_key_is_of_the_configured_type(scratch, server, protos, key_type, kind, size):
    agent = Agent(scratch, server, agent_lines=f'\n  workload_x509_svid_key_type = "{key_type}"')
    wait_for_identity(agent, ALICE)
    with Caller(agent.socket, ALICE) as alice:
        key = private_key_of(alice.open(FETCH, answer_type=protos.workload.X509SVIDResponse).next().svids[0])
    assert isinstance(key, kind) and key.key_size == size


def test_WA_20_bundle_holds_certificate_authorities(fetch):
    for root in split_der(fetch(ALICE).svids[0].bundle):
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert uri_of(root) == ["spiffe://example.org"]


def test_WA_22_hints_are_unique(fetch):
    hints = [svid.hint for svid in fetch(MANY).svids]
    assert sorted(hints) == ["one", "three", "two"]


def test_WA_22_of_two_entries_with_one_hint_the_first_is_kept(agent, server, caller, protos):
    """They are as old as each other, so the entry's id decides. Both have arrived when the third has."""
    uid = LEAVER + 1
    ids = server.create_entries(*(
        server.entry(f"/same-hint/{n}", f"unix:uid:{uid}", entry_id=f"same-hint-{n}", hint="same" if n < 3 else "other") for n in (1, 2, 3)))
    try:
        wait_for_identity(agent, uid)
        stream = caller(uid).open(FETCH, answer_type=protos.workload.X509SVIDResponse)
        while len(answer := stream.next(15).svids) < 2:
            pass
        assert sorted((svid.hint, svid.spiffe_id) for svid in answer) == [
            ("other", "spiffe://example.org/same-hint/3"), ("same", "spiffe://example.org/same-hint/1")]
    finally:
        server.delete_entries(*ids)


def test_WA_7_WA_8_WA_26_each_message_is_the_whole_state_and_the_end_is_told(agent, server, caller, protos):
    """Two entries, then one, then none: the stream says each."""
    ids = server.create_entries(*(server.entry(f"/leaver/{n}", f"unix:uid:{LEAVER}") for n in (1, 2)))
    wait_for_identity(agent, LEAVER)
    stream = caller(LEAVER).open(FETCH, answer_type=protos.workload.X509SVIDResponse)
    while len(stream.next(15).svids) != 2:
        pass
    server.delete_entries(ids[0])
    assert [svid.spiffe_id for svid in stream.next(15).svids] == ["spiffe://example.org/leaver/2"]
    server.delete_entries(ids[1])
    with pytest.raises(RpcError) as caught:
        stream.next(15)
    assert caught.value.code == "PERMISSION_DENIED"


def test_WA_10_burst_of_changes_ends_in_the_last_state(agent, server, caller, protos):
    uid = LEAVER + 2
    ids = server.create_entries(*(server.entry(f"/burst/{n}", f"unix:uid:{uid}") for n in range(8)))
    wait_for_identity(agent, uid)
    stream = caller(uid).open(FETCH, answer_type=protos.workload.X509SVIDResponse)
    while len(stream.next(15).svids) != 8:
        pass
    server.delete_entries(*ids[:7])
    for _ in range(8):
        if len(stream.next(15).svids) == 1:
            return
    raise AssertionError("eight messages without the last state")


def test_WA_27_bundles_hold_the_own_trust_domain(caller, protos, server):
    answer = caller(ALICE).open(BUNDLES, answer_type=protos.workload.X509BundlesResponse).next()
    assert list(answer.bundles) == ["spiffe://example.org"]
    from_server = x509.load_pem_x509_certificates(server.cli("bundle", "show", "-format", "pem").stdout.encode())
    assert split_der(answer.bundles["spiffe://example.org"]) == from_server


def test_WA_51_order_is_stable(fetch):
    first = [svid.spiffe_id for svid in fetch(MANY).svids]
    for _ in range(10):
        assert [svid.spiffe_id for svid in fetch(MANY).svids] == first


def test_WA_24_refusal_ends_the_stream(caller):
    with pytest.raises(RpcError) as caught:
        caller(NOBODY).open(FETCH).next()
    assert caught.value.code == "PERMISSION_DENIED"


def test_WA_45_jwt_key_does_not_make_an_x509_svid(scratch, server):
    """A server whose certificate was signed by the JWT key is nobody; the same one signed by the authority's key is believed."""
    authority = x509.load_pem_x509_certificates(server.bundle_path.read_bytes())[0]
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = {signer: write_pem(scratch.path / f"{signer}.pem", certificate(
        "server", key, authority.subject, server.private_key(signer), False, uri="spiffe://example.org/spire/server"), key)
        for signer in ("JWT-Signer", "x509-CA")}
    with Relay(server.port) as relay:
        agent = Agent(scratch, server, port=relay.port)
        wait_for_identity(agent, ALICE)
        for signer, outcome in (("x509-CA", "accepted"), ("JWT-Signer", "refused")):
            relay.impersonate(leaf[signer])
            wait_until(lambda: relay.handshakes, 30, lambda: f"a handshake\n{agent.process.tail()}")
            assert {one.split(":")[0] for one in relay.handshakes} == {outcome}, (signer, relay.handshakes)

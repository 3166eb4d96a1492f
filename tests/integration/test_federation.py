"""Bundles of a second trust domain, with a second real SPIRE server."""

import json

import pytest
from cryptography import x509

from harness.caller import RpcError
from harness.certificates import split_der
from harness.fixtures import ALICE, wait_for_identity
from harness.processes import Scratch
from harness.spire import SpireServer
from harness.tokens import part, signed

OWN, OTHER = "spiffe://example.org", "spiffe://other.test"
# Has an entry that federates with other.test.
FRIEND = 20040


@pytest.fixture(scope="module")
def other():
    with Scratch("other") as scratch:
        yield SpireServer(scratch, domain="other.test")


@pytest.fixture(scope="module")
def federated(agent, server, other):
    """The shared agent once FRIEND's entry and the bundle it names have arrived."""
    server.federate(other)
    entry = server.create_entry("/friend", f"unix:uid:{FRIEND}", federates_with=[OTHER])
    wait_for_identity(agent, FRIEND)
    yield agent
    server.delete_entries(entry)


def first(caller, uid, method, answer_type):
    return caller(uid).open(f"/SpiffeWorkloadAPI/{method}", answer_type=answer_type).next()


def validate(caller, protos, uid, token):
    request = protos.workload.ValidateJWTSVIDRequest(audience="x", svid=token)
    return caller(uid).call("/SpiffeWorkloadAPI/ValidateJWTSVID", request, protos.workload.ValidateJWTSVIDResponse)


def authorities(server):
    return x509.load_pem_x509_certificates(server.cli("bundle", "show", "-format", "pem").stdout.encode())


def test_WA_21_federated_bundle_comes_with_the_svid(federated, other, caller, protos):
    answer = first(caller, FRIEND, "FetchX509SVID", protos.workload.X509SVIDResponse)
    assert list(answer.federated_bundles) == [OTHER]
    assert split_der(answer.federated_bundles[OTHER]) == authorities(other)
    assert split_der(answer.svids[0].bundle) != authorities(other)


def test_WA_27_x509_bundles_are_the_own_and_the_federated_one(federated, server, other, caller, protos):
    bundles = first(caller, FRIEND, "FetchX509Bundles", protos.workload.X509BundlesResponse).bundles
    assert {name: split_der(der) for name, der in bundles.items()} == {OWN: authorities(server), OTHER: authorities(other)}


def test_WA_37_WA_38_jwt_bundles_are_the_own_and_the_federated_one(federated, server, other, caller, protos):
    bundles = first(caller, FRIEND, "FetchJWTBundles", protos.workload.JWTBundlesResponse).bundles
    kids = {name: {key["kid"] for key in json.loads(jwks)["keys"]} for name, jwks in bundles.items()}
    assert kids == {OWN: jwt_kids(server), OTHER: jwt_kids(other)}


def jwt_kids(server):
    return {key["kid"] for key in json.loads(server.spiffe_bundle())["keys"] if key["use"] == "jwt-svid"}


def test_bundles_are_for_those_whose_entry_federates(federated, caller, protos):
    answer = first(caller, ALICE, "FetchX509SVID", protos.workload.X509SVIDResponse)
    assert not answer.federated_bundles
    assert list(first(caller, ALICE, "FetchX509Bundles", protos.workload.X509BundlesResponse).bundles) == [OWN]
    assert list(first(caller, ALICE, "FetchJWTBundles", protos.workload.JWTBundlesResponse).bundles) == [OWN]


def test_WA_15_token_of_the_other_domain_is_valid_only_with_its_bundle(federated, other, caller, protos):
    token = other.mint_jwt("/stranger", "x")
    answer = validate(caller, protos, FRIEND, token)
    assert answer.spiffe_id == f"{OTHER}/stranger"
    assert set(answer.claims.keys()) == {"sub", "aud", "exp"}, "other claims of a foreign domain are not passed on"
    with pytest.raises(RpcError) as caught:
        validate(caller, protos, ALICE, token)
    assert caught.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("subject,signer", [(OTHER, "own"), (OWN, "other")])
def test_WA_44_bundle_of_the_subjects_domain_decides(federated, server, other, caller, protos, subject, signer):
    """Both bundles are loaded; a key of one does not speak for the other, whatever kid the token names."""
    by = {"own": server, "other": other}[signer]
    kid = {name: part(one.mint_jwt("/minted", "x"), 0)["kid"] for name, one in ((OWN, server), (OTHER, other))}
    key, domain = by.private_key("JWT-Signer"), f"spiffe://{by.domain}"
    assert validate(caller, protos, FRIEND, signed(key, kid[domain], f"{domain}/w", "x")).spiffe_id == f"{domain}/w"
    for named in kid.values():
        with pytest.raises(RpcError) as caught:
            validate(caller, protos, FRIEND, signed(key, named, f"{subject}/w", "x"))
        assert caught.value.code == "INVALID_ARGUMENT"


def test_WA_8_WA_29_WA_39_end_of_federation_reaches_open_streams(federated, server, other, caller, protos):
    """Last in this file: it ends the federation."""
    held = [(caller(FRIEND).open(f"/SpiffeWorkloadAPI/{method}", answer_type=kind), field) for method, kind, field in (
        ("FetchX509SVID", protos.workload.X509SVIDResponse, "federated_bundles"),
        ("FetchX509Bundles", protos.workload.X509BundlesResponse, "bundles"),
        ("FetchJWTBundles", protos.workload.JWTBundlesResponse, "bundles"))]
    for stream, field in held:
        assert OTHER in getattr(stream.next(), field)
    token = other.mint_jwt("/stranger", "x")
    assert validate(caller, protos, FRIEND, token)
    server.end_federation(other)
    for stream, field in held:
        while OTHER in getattr(stream.next(30), field):
            pass
    with pytest.raises(RpcError) as caught:
        validate(caller, protos, FRIEND, token)
    assert caught.value.code == "INVALID_ARGUMENT"

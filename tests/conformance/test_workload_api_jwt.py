"""Rows WA-* and JWT-* of the JWT profile, over raw gRPC. Source: SPIFFE Workload API, JWT-SVID."""

import json
import time

import pytest
from cryptography.hazmat.primitives import serialization

from harness.caller import RpcError
from harness.fixtures import ALICE, MANY, NOBODY
from harness.tokens import encoded, part, signed, signed_with_secret

FETCH = "/SpiffeWorkloadAPI/FetchJWTSVID"
VALIDATE = "/SpiffeWorkloadAPI/ValidateJWTSVID"
BUNDLES = "/SpiffeWorkloadAPI/FetchJWTBundles"
ALICE_ID = "spiffe://example.org/alice"


@pytest.fixture
def fetch(caller, protos):
    def do(uid, *audience, spiffe_id=""):
        request = protos.workload.JWTSVIDRequest(audience=audience, spiffe_id=spiffe_id)
        return caller(uid).call(FETCH, request, protos.workload.JWTSVIDResponse).svids
    return do


@pytest.fixture
def validate(caller, protos):
    def do(token, audience, uid=ALICE):
        request = protos.workload.ValidateJWTSVIDRequest(audience=audience, svid=token)
        return caller(uid).call(VALIDATE, request, protos.workload.ValidateJWTSVIDResponse)
    return do


def code_of(function, *arguments, **named):
    with pytest.raises(RpcError) as caught:
        function(*arguments, **named)
    return caught.value.code


@pytest.mark.parametrize("audience", [["x"], ["a", "b", "c"], ["https://api.example/?q=1#f", "ein Gruß", "\u2603"]],
                         ids=["one", "three", "odd"])
def test_WA_31_audience_becomes_aud(fetch, audience):
    claims = part(fetch(ALICE, *audience)[0].svid, 1)
    aud = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    assert sorted(aud) == sorted(audience)


def test_WA_31_cache_is_keyed_on_the_whole_set(fetch):
    both = fetch(ALICE, "set-a", "set-b")[0].svid
    one = fetch(ALICE, "set-a")[0].svid
    assert part(both, 1)["aud"] != part(one, 1)["aud"]


def test_WA_32_without_an_id_one_token_for_each_identity(fetch):
    assert sorted(svid.spiffe_id for svid in fetch(MANY, "x")) == [
        f"spiffe://example.org/many/{name}" for name in ("one", "three", "two")]


def test_WA_33_with_an_id_only_that_one(fetch):
    assert [svid.spiffe_id for svid in fetch(MANY, "x", spiffe_id="spiffe://example.org/many/two")] == ["spiffe://example.org/many/two"]


@pytest.mark.parametrize("malformed", ["alice", "spiffe://", "spiffe://Example.org/a", "spiffe://example.org/a/", "spiffe://example.org/%61",
                                       "http://example.org/a", "spiffe://example.org/a?x=1", "x" * 3000])
def test_WA_33_malformed_id_is_InvalidArgument(fetch, malformed):
    assert code_of(fetch, ALICE, "x", spiffe_id=malformed) == "INVALID_ARGUMENT"


def test_WA_34_fields_are_filled(fetch):
    for svid in fetch(MANY, "x"):
        assert svid.spiffe_id == part(svid.svid, 1)["sub"]


def test_WA_35_hints_are_unique(fetch):
    assert sorted(svid.hint for svid in fetch(MANY, "x")) == ["one", "three", "two"]


def test_WA_36_id_of_another_is_PermissionDenied(fetch):
    assert code_of(fetch, ALICE, "x", spiffe_id="spiffe://example.org/bob") == "PERMISSION_DENIED"


def test_WA_36_no_identity_is_PermissionDenied(fetch):
    assert code_of(fetch, NOBODY, "x") == "PERMISSION_DENIED"


@pytest.mark.parametrize("audience", [[], [""]], ids=["none", "empty"])
def test_WA_13_empty_audience_is_InvalidArgument(fetch, audience):
    assert code_of(fetch, ALICE, *audience) == "INVALID_ARGUMENT"


def test_WA_37_WA_38_bundles_are_jwk_sets_without_x509_keys(caller, protos):
    answer = caller(ALICE).open(BUNDLES, answer_type=protos.workload.JWTBundlesResponse).next()
    assert list(answer.bundles) == ["spiffe://example.org"]
    keys = json.loads(answer.bundles["spiffe://example.org"])["keys"]
    assert keys
    for key in keys:
        assert key["kty"] in ("RSA", "EC") and key["kid"]
        assert key.get("use") in (None, "jwt-svid") and "x5c" not in key


def test_WA_37_token_is_signed_by_a_key_of_the_bundle(caller, protos, fetch):
    answer = caller(ALICE).open(BUNDLES, answer_type=protos.workload.JWTBundlesResponse).next()
    kids = [key["kid"] for key in json.loads(answer.bundles["spiffe://example.org"])["keys"]]
    assert part(fetch(ALICE, "x")[0].svid, 0)["kid"] in kids


def test_WA_40_validation_returns_the_claims(fetch, validate):
    token = fetch(ALICE, "x")[0].svid
    answer = validate(token, "x")
    assert answer.spiffe_id == ALICE_ID
    assert answer.claims["sub"] == ALICE_ID and list(answer.claims["aud"]) == ["x"]
    assert answer.claims["exp"] == part(token, 1)["exp"]


def test_WA_41_token_of_the_server_itself_is_valid(server, validate):
    assert validate(server.mint_jwt("/minted", "x"), "x").spiffe_id == "spiffe://example.org/minted"


class TestForgedTokens:
    """Signed with the server's own keys, taken from its key file."""

    def key_id(self, server):
        return part(server.mint_jwt("/minted", "x"), 0)["kid"]

    def test_WA_41_control_token_signed_by_the_jwt_key_is_valid(self, server, validate):
        token = signed(server.private_key("JWT-Signer"), self.key_id(server), ALICE_ID, "x")
        assert validate(token, "x").spiffe_id == ALICE_ID

    @pytest.mark.parametrize("with_kid", [True, False], ids=["kid", "no-kid"])
    def test_WA_30_key_of_the_x509_authority_does_not_sign_tokens(self, server, validate, with_kid):
        token = signed(server.private_key("x509-CA"), self.key_id(server) if with_kid else None, ALICE_ID, "x")
        assert code_of(validate, token, "x") == "INVALID_ARGUMENT"


    @pytest.mark.parametrize("claim,seconds", [("exp", -600), ("nbf", 3600)], ids=["ended", "not-begun"])
    def test_WA_41_token_out_of_its_time(self, server, validate, claim, seconds):
        token = signed(server.private_key("JWT-Signer"), self.key_id(server), ALICE_ID, "x", **{claim: int(time.time()) + seconds})
        assert code_of(validate, token, "x") == "INVALID_ARGUMENT"

    def test_WA_44_subject_of_another_trust_domain(self, server, validate):
        token = signed(server.private_key("JWT-Signer"), self.key_id(server), "spiffe://elsewhere.org/alice", "x")
        assert code_of(validate, token, "x") == "INVALID_ARGUMENT"

    def test_WA_41_key_id_that_is_unknown(self, server, validate):
        token = signed(server.private_key("JWT-Signer"), "nobody-knows", ALICE_ID, "x")
        assert code_of(validate, token, "x") == "INVALID_ARGUMENT"

    @pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER], ids=["PEM", "DER"])
    def test_WA_41_public_key_as_a_shared_secret(self, server, validate, encoding):
        public = server.private_key("JWT-Signer").public_key()
        secret = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert code_of(validate, signed_with_secret(secret, self.key_id(server), ALICE_ID, "x"), "x") == "INVALID_ARGUMENT"


@pytest.mark.parametrize("audience,token", [("", "a.b.c"), ("x", "")], ids=["no-audience", "no-token"])
def test_WA_42_WA_13_empty_field_is_InvalidArgument(validate, audience, token):
    assert code_of(validate, token, audience) == "INVALID_ARGUMENT"


class TestRefusedTokens:
    """WA-41, JWT-*: what must not validate. Each starts from a good token."""

    @pytest.fixture
    def token(self, fetch):
        return fetch(ALICE, "x")[0].svid

    def refused(self, validate, token):
        assert code_of(validate, token, "x") == "INVALID_ARGUMENT"

    def test_WA_41_wrong_audience(self, validate, token):
        assert code_of(validate, token, "y") == "INVALID_ARGUMENT"

    def test_WA_41_changed_signature(self, validate, token):
        head, claims, signature = token.split(".")
        self.refused(validate, f"{head}.{claims}.{'B' if signature[9] == 'A' else 'A'}{signature[1:]}"
                     if signature[0] not in "AB" else f"{head}.{claims}.Q{signature[1:]}")

    def test_WA_41_changed_claims(self, validate, token):
        head, _, signature = token.split(".")
        claims = part(token, 1) | {"sub": "spiffe://example.org/bob"}
        self.refused(validate, f"{head}.{encoded(claims)}.{signature}")

    def test_WA_41_algorithm_none(self, validate, token):
        self.refused(validate, f"{encoded({'alg': 'none'})}.{token.split('.')[1]}.")

    def test_WA_41_symmetric_algorithm(self, validate, token):
        header = part(token, 0) | {"alg": "HS256"}
        self.refused(validate, f"{encoded(header)}.{token.split('.', 1)[1]}")

    @pytest.mark.parametrize("garbage", ["x", "..", "a.b", "a.b.c.d", "é.é.é", "." * 5000], ids=["x", "dots", "two", "four", "utf8", "long"])
    def test_WA_41_garbage(self, validate, garbage):
        self.refused(validate, garbage)

    def test_WA_41_trailing_characters(self, validate, token):
        self.refused(validate, token + " ")

    def test_WA_41_json_serialization(self, validate, token):
        head, claims, signature = token.split(".")
        self.refused(validate, json.dumps({"protected": head, "payload": claims, "signature": signature}))


def test_JWT_lifetime_is_in_the_future_and_not_too_long(fetch):
    claims = part(fetch(ALICE, "lifetime")[0].svid, 1)
    assert claims["exp"] > time.time() and claims["exp"] - claims["iat"] <= 300

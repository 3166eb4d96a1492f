"""The authority's OIDC issuer over HTTPS."""

import http.client
import json
import signal
import socket
import ssl

import pytest

from harness import resources
from harness.agent import Agent
from harness.authority import Authority
from harness.certificates import WebRoot
from harness.fixtures import ALICE, wait_for_identity
from harness.openbao import OpenBao
from harness.processes import wait_until

LOCAL = "127.0.0.1"
DISCOVERY = "/.well-known/openid-configuration"


def fetch(authority, path, context):
    connection = http.client.HTTPSConnection(LOCAL, authority.oidc_port, timeout=5, context=context)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    return json.loads(answer.read())


def test_a_credential_by_an_issuer_with_a_certificate_of_files(scratch):
    root = WebRoot(scratch.path, "root")
    certificate, key = root.write("issuer")
    authority = Authority(scratch, flags=["-oidcCertificate", certificate, "-oidcKey", key])
    authority.create_entry("/alice", f"unix:uid:{ALICE}")
    bao = OpenBao(scratch, authority.issuer, issuer_ca=root.path)
    bao.create_role("alice", "spiffe://example.org/alice")
    agent = Agent(scratch, authority, resources=resources.together(
        resources.openbao("kv", bao.url, "alice"), resources.grant("g", "/alice", "kv")))
    wait_for_identity(agent, ALICE)
    assert agent.credential("kv", ALICE)["fields"]
    document = fetch(authority, DISCOVERY, ssl.create_default_context(cafile=root.path))
    assert document["issuer"] == authority.issuer and document["jwks_uri"] == f"{authority.issuer}/keys"

    before = ssl.get_server_certificate((LOCAL, authority.oidc_port))
    root.write("issuer")
    authority.process.signal(signal.SIGHUP)
    wait_until(lambda: ssl.get_server_certificate((LOCAL, authority.oidc_port)) != before, 10, "the new certificate is shown")


def test_an_issuer_with_the_authoritys_own_svid(scratch):
    authority = Authority(scratch, flags=["-oidcSpiffe"])
    context = ssl.create_default_context(cadata=authority.cli("bundle", "show").stdout)
    context.check_hostname = False  # the name in it is a SPIFFE ID
    assert fetch(authority, "/keys", context)["keys"]
    with context.wrap_socket(socket.create_connection((LOCAL, authority.oidc_port))) as connection:
        assert ("URI", "spiffe://example.org/spire/server") in connection.getpeercert()["subjectAltName"]


@pytest.mark.hostile
def test_who_does_not_speak_tls_gets_no_document(scratch):
    authority = Authority(scratch, flags=["-oidcSpiffe"])
    connection = http.client.HTTPConnection(LOCAL, authority.oidc_port, timeout=5)
    connection.request("GET", "/keys")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    assert authority.process.alive()


@pytest.mark.hostile
@pytest.mark.parametrize("flags, named", [
    (["-oidcCertificate", "tls.pem"], "--oidcKey"),
    (["-oidcCertificate", "tls.pem", "-oidcKey", "tls.key", "-oidcSpiffe"], "--oidcSpiffe"),
    (["-oidcAddress", "0.0.0.0"], "--jwtIssuer"),
])
def test_what_cannot_be_served_is_bad_usage(scratch, flags, named):
    authority = Authority(scratch, start=False, flags=flags)
    result = scratch.run(authority.command())
    assert result.returncode == 2 and named in result.stderr, result.stderr


@pytest.mark.hostile
def test_a_certificate_that_is_missing_is_named_at_the_start(scratch):
    authority = Authority(scratch, start=False, flags=["-oidcCertificate", scratch.path / "no.pem", "-oidcKey", scratch.path / "no.key"])
    result = scratch.run(authority.command())
    assert result.returncode == 3 and "OIDC issuer" in result.stderr and "no.pem" in result.stderr, result.stderr

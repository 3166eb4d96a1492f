"""A real OpenBao in dev mode that trusts the issuer of a SPIRE server."""

import json
import urllib.error
import urllib.request

from .peers import bao
from .processes import free_port, wait_until

ROOT_TOKEN = "root"


class OpenBao:
    SECRET = "the value only OpenBao knows"

    def __init__(self, scratch, issuer, name="openbao", issuer_ca=None):
        """`issuer_ca` is a PEM file for an issuer over HTTPS, which is then found by OIDC discovery."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = scratch.start(
            [bao(), "server", "-dev", f"-dev-root-token-id={ROOT_TOKEN}", f"-dev-listen-address=127.0.0.1:{self.port}"],
            f"{name}.log", env={"HOME": scratch.folder(f"{name}-home", 0o700)})
        wait_until(lambda: self._reachable(), 30, "OpenBao answers")
        self._trust(issuer, issuer_ca)

    def _reachable(self):
        assert self.process.alive(), self.process.tail()
        try:
            return self.request("GET", "/v1/sys/health")[0] == 200
        except OSError:
            return False

    def request(self, method, path, body=None, token=ROOT_TOKEN):
        """(status, decoded answer or None)"""
        request = urllib.request.Request(
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": token, "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        return status, json.loads(text) if text else None

    def must(self, method, path, body=None):
        status, answer = self.request(method, path, body)
        assert status in (200, 204), f"OpenBao {method} {path}: {status} {answer}"
        return answer

    def _trust(self, issuer, issuer_ca):
        source = {"oidc_discovery_url": issuer, "oidc_discovery_ca_pem": issuer_ca.read_text()} if issuer_ca else {
            "jwks_url": f"{issuer}/keys"}
        self.must("POST", "/v1/sys/auth/jwt", {"type": "jwt"})
        self.must("POST", "/v1/auth/jwt/config", {
            **source, "bound_issuer": issuer, "jwt_supported_algs": ["RS256", "ES256"]})
        self.must("PUT", "/v1/sys/policies/acl/reader", {"policy": 'path "secret/data/app" { capabilities = ["read"] }'})
        self.must("POST", "/v1/secret/data/app", {"data": {"greeting": self.SECRET}})

    def create_role(self, role, subject, audience="openbao", ttl="120s", max_ttl="600s"):
        self.must("POST", f"/v1/auth/jwt/role/{role}", {
            "role_type": "jwt", "user_claim": "sub", "bound_subject": subject, "bound_audiences": [audience],
            "token_policies": ["reader"], "token_ttl": ttl, "token_max_ttl": max_ttl})

    def read_secret(self, token):
        """(status, value or None) of the secret, as the holder of `token`."""
        status, answer = self.request("GET", "/v1/secret/data/app", token=token)
        return status, answer["data"]["data"]["greeting"] if status == 200 else None

    def token_alive(self, token):
        return self.request("GET", "/v1/auth/token/lookup-self", token=token)[0] == 200

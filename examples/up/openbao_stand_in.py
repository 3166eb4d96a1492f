#!/usr/bin/python3
"""A strict stand-in for the part of OpenBao that the demo needs: login with a JWT, one secret, renewal and revocation of
tokens. A JWT is checked as by OpenBao's role_type=jwt: signature (by openssl, with the keys that the issuer publishes now),
issuer, time, audience and subject. `./dev demo --spire` has the real OpenBao."""

import argparse
import base64
import http.server
import json
import secrets
import subprocess
import tempfile
import time
import urllib.request

LEEWAY = 60  # seconds that clocks may differ
# What stands before the point of a P-256 key in its DER form.
P256_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


class Refused(Exception):
    """(HTTP status, what is said to the caller)"""


def decoded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def fetched(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def der_integer(number):
    content = number.lstrip(b"\0") or b"\0"
    content = b"\0" + content if content[0] & 0x80 else content
    return bytes([2, len(content)]) + content


def signature_is_good(key, signed, signature):
    """ES256. JWS has the two numbers of the signature side by side, openssl wants them in DER."""
    point = b"\4" + decoded(key["x"]) + decoded(key["y"])
    numbers = der_integer(signature[:32]) + der_integer(signature[32:])
    with tempfile.NamedTemporaryFile() as key_file, tempfile.NamedTemporaryFile() as signature_file:
        pem = base64.encodebytes(P256_KEY + point)
        key_file.write(b"-----BEGIN PUBLIC KEY-----\n" + pem + b"-----END PUBLIC KEY-----\n")
        signature_file.write(bytes([0x30, len(numbers)]) + numbers)
        key_file.flush()
        signature_file.flush()
        command = ["openssl", "dgst", "-sha256", "-verify", key_file.name, "-signature", signature_file.name]
        return subprocess.run(command, input=signed, capture_output=True, check=False).returncode == 0


def verified_claims(jwt, role):
    """The claims of a JWT that the role accepts."""
    try:
        header, claims, signature = jwt.split(".")
        facts, signature_bytes = json.loads(decoded(header)), decoded(signature)
        algorithm, key_id = facts["alg"], facts["kid"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(400, "error parsing token") from error
    discovery = fetched(f"{role.issuer}/.well-known/openid-configuration")
    keys = [key for key in fetched(discovery["jwks_uri"])["keys"] if (key.get("kid"), key.get("crv")) == (key_id, "P-256")]
    if discovery["issuer"] != role.issuer or algorithm != "ES256" or len(keys) != 1 or len(signature_bytes) != 64 or \
            not signature_is_good(keys[0], f"{header}.{claims}".encode(), signature_bytes):
        raise Refused(400, "error verifying token signature: no known key successfully validated the token signature")
    return checked_claims(json.loads(decoded(claims)), role)


def checked_claims(claims, role):
    audiences = claims.get("aud", [])
    audiences = [audiences] if isinstance(audiences, str) else audiences
    now = time.time()
    if claims.get("iss") != role.issuer:
        raise Refused(400, "error validating token: invalid issuer (iss) claim")
    if not claims.get("exp", 0) + LEEWAY > now or claims.get("nbf", claims.get("iat", 0)) - LEEWAY > now:
        raise Refused(400, "error validating token: it is expired or not yet valid")
    if role.bound_audience not in audiences:
        raise Refused(400, "error validating claims: aud claim does not match any bound audience")
    if claims.get("sub") != role.bound_subject:
        raise Refused(400, "error validating claims: sub claim does not match bound subject")
    return claims


class SecretStore:
    def __init__(self, role):
        self.role, self.secret = role, {"greeting": "only the secret store knew this"}
        self.tokens = {}  # token: when it ends

    def answer(self, method, path, token, body):
        """(status, what stands in the answer beside request_id)"""
        if (method, path) == ("POST", "/v1/auth/jwt/login"):
            return 200, self.login(body)
        if self.tokens.get(token, 0) < time.time():
            raise Refused(403, "permission denied")
        if (method, path) == ("GET", "/v1/secret/data/app"):
            return 200, {"data": {"data": self.secret}}
        if (method, path) == ("POST", "/v1/auth/token/renew-self"):
            return 200, self.lease(token)
        if (method, path) == ("POST", "/v1/auth/token/revoke-self"):
            del self.tokens[token]
            return 204, {}
        raise Refused(403, "permission denied")

    def login(self, body):
        if body.get("role") != self.role.role:
            raise Refused(400, f"role {json.dumps(body.get('role'))} could not be found")
        claims = verified_claims(str(body.get("jwt")), self.role)
        print(f"login of {claims['sub']}", flush=True)
        return self.lease("s." + secrets.token_urlsafe(24))

    def lease(self, token):
        self.tokens[token] = time.time() + self.role.ttl
        return {"auth": {"client_token": token, "accessor": secrets.token_urlsafe(18), "lease_duration": self.role.ttl,
                         "renewable": True}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = None

    def do_GET(self):
        self.serve({})

    def do_POST(self):
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        except ValueError:
            body = None
        self.serve(body)

    def serve(self, body):
        try:
            if not isinstance(body, dict):
                raise Refused(400, "error parsing JSON")
            status, answer = self.store.answer(self.command, self.path, self.headers.get("X-Vault-Token"), body)
            answer["request_id"] = secrets.token_hex(16)
        except Refused as refused:
            status, answer = refused.args[0], {"errors": [refused.args[1]]}
            print(f"refused: {refused.args[1]}", flush=True)
        except OSError as error:
            status, answer = 500, {"errors": [f"the issuer's keys: {error}"]}
        text = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Nothing: what matters is printed where it happens."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True, help="whose JWTs it believes; the keys come from its discovery document")
    parser.add_argument("--role", required=True)
    parser.add_argument("--bound-subject", required=True)
    parser.add_argument("--bound-audience", required=True)
    parser.add_argument("--ttl", type=int, default=300, help="life of a token in seconds")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.store = SecretStore(parser.parse_args())
    print(f"listens on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

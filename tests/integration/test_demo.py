"""The demo of `./dev demo`, as it is run there, and that its secret store is as strict as it says."""

import base64
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from harness.peers import CREDENCE, ROOT
from harness.processes import base_env, wait_until

DEMO = ROOT / "examples/up"


def start(cwd):
    # As from a terminal: a shell cannot trap a signal that was ignored when it started, as SIGINT is in the background.
    command = ["env", "--default-signal=INT,HUP,TERM", DEMO / "demo.sh"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, cwd=cwd, env=base_env({"CREDENCE_BIN": CREDENCE}), start_new_session=True)


def folder_in(output):
    return next(word for word in output.split() if word.startswith("/tmp/credence-demo-")).split("/data")[0]


def left_of(folder):
    """Command lines that name the demo's folder, which holds each program that it leaves running in the background."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if folder in command:
            found.append(command)
    return found


def output_until(demo, text):
    seen = ""
    while text not in seen:
        line = demo.stdout.readline()
        assert line, seen
        seen += line
    return seen


def test_the_demo_shows_the_main_job(scratch):
    with start(scratch.path) as demo:
        output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    for text in ("Credence is up", "X509-SVID spiffe://example.org/summarizer", "URI:spiffe://example.org/summarizer",
                 "JWT-SVID spiffe://example.org/summarizer", '"kty":"EC"', "ok       exchange",
                 "only the secret store knew this", "a token of", 'no grant gives "kv-demo" to spiffe://example.org/reporter', "unix:uid:20003",
                 "no identity issued", "nothing is left running"):
        assert text in output, f"no {text!r} in\n{output}"
    decisions = output[output.index("7. Each decision"):]
    assert decisions.count(" allowed get kv-demo ") == 3 and decisions.count(" denied get kv-demo ") == 2
    assert left_of(folder_in(output)) == []
    assert not os.path.exists(folder_in(output))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_demo_that_is_stopped_leaves_nothing(scratch, number):
    with start(scratch.path) as demo:
        seen = output_until(demo, "2. Two workloads")
        assert len(left_of(folder_in(seen))) >= 3, "credence up and its two children"
        while demo.poll() is None:
            os.killpg(demo.pid, number)  # as the terminal does it; again, as bash loses one between its fork and the command's exec
            time.sleep(0.05)
        seen += demo.communicate(timeout=20)[0]
    assert left_of(folder_in(seen)) == []
    assert demo.returncode == 128 + number, seen
    assert "Stopped; nothing is left running" in seen
    assert not os.path.exists(folder_in(seen))


def test_a_demo_that_is_killed_takes_its_processes_along(scratch):
    with start(scratch.path) as demo:
        folder = folder_in(output_until(demo, "2. Two workloads"))
        demo.kill()
        demo.wait(10)
        wait_until(lambda: left_of(folder) == [], 10, "they end with it")
    shutil.rmtree(folder)


def encoded(content):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Issuer:
    """An OIDC issuer with one key. `jwt` makes what the store accepts, but for what is asked to be different."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                documents = {"/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                             "/keys": {"keys": [issuer.jwk()]}}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(documents[self.path]).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def jwk(self):
        numbers = self.key.public_key().public_numbers()
        return {"kid": "one", "kty": "EC", "crv": "P-256", "alg": "ES256", "x": encoded(numbers.x.to_bytes(32, "big")),
                "y": encoded(numbers.y.to_bytes(32, "big"))}

    def jwt(self, header=None, key=None, **different):
        now = int(time.time())
        claims = {"iss": self.url, "sub": "spiffe://example.org/web", "aud": ["openbao"], "iat": now, "exp": now + 60}
        claims |= different
        signed = f"{encoded({'alg': 'ES256', 'kid': 'one'} | (header or {}))}.{encoded(claims)}"
        r, s = utils.decode_dss_signature((key or self.key).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Store:
    """The stand-in with a role for the issuer's JWTs."""

    def __init__(self, scratch, issuer, *flags):
        self.process = scratch.start(
            [DEMO / "openbao_stand_in.py", "--issuer", issuer.url, "--role", "web", "--bound-audience", "openbao",
             "--bound-subject", "spiffe://example.org/web", *flags], "store.log")
        said = wait_until(lambda: "listens on" in self.process.output() and self.process.output(), 10, "the store listens")
        self.url = said.split()[-1]

    def request(self, path, token="", body=None):
        """(status, answer)"""
        request = urllib.request.Request(f"{self.url}/v1/{path}", data=None if body is None else json.dumps(body).encode(),
                                         headers={"X-Vault-Token": token})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def login(self, jwt, role="web"):
        return self.request("auth/jwt/login", body={"role": role, "jwt": jwt})


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()


def test_the_store_gives_a_token_for_a_good_jwt_only(scratch, issuer):
    store, now = Store(scratch, issuer), int(time.time())
    # Numbers of a signature may begin with zeros or a high bit: enough signatures that both occur.
    for number in range(40):
        assert store.login(issuer.jwt(n=number))[0] == 200
    good = issuer.jwt()
    assert store.login(good, role="other")[0] == 400
    unsigned = f"{encoded({'alg': 'none', 'kid': 'one'})}.{good.split('.')[1]}."
    bad = {
        "another's key": issuer.jwt(key=ec.generate_private_key(ec.SECP256R1())),
        "changed claims": ".".join([good.split(".")[0], issuer.jwt(exp=now + 600).split(".")[1], good.split(".")[2]]),
        "no signature": good.rsplit(".", 1)[0] + ".", "none": unsigned, "another algorithm": issuer.jwt({"alg": "HS256"}),
        "an unknown key": issuer.jwt({"kid": "two"}), "an empty signature": good.rsplit(".", 1)[0] + "." + encoded(bytes(64)),
        "issuer": issuer.jwt(iss="https://other.example"), "subject": issuer.jwt(sub="spiffe://example.org/web/more"),
        "audience": issuer.jwt(aud=["vault"]), "expired": issuer.jwt(exp=now - 120), "no expiry": issuer.jwt(exp=0),
        "too early": issuer.jwt(nbf=now + 600), "no JWT": "x", "no JSON": f"{encoded(b'{')}.{encoded(b'{')}.{encoded(b'x')}"}
    assert {name: status for name, jwt in bad.items() if (status := store.login(jwt)[0]) != 400} == {}


def test_the_store_gives_its_secret_for_a_living_token_only(scratch, issuer):
    store = Store(scratch, issuer, "--ttl", "2")
    token = store.login(issuer.jwt())[1]["auth"]["client_token"]
    assert store.request("secret/data/app", "s.wrong")[0] == 403
    assert store.request("secret/data/app")[0] == 403
    status, answer = store.request("secret/data/app", token)
    assert status == 200 and answer["data"]["data"]["greeting"]
    assert store.request("auth/token/renew-self", token, {})[1]["auth"]["client_token"] == token
    other = store.login(issuer.jwt())[1]["auth"]["client_token"]
    assert store.request("auth/token/revoke-self", other, {})[0] == 204
    assert store.request("secret/data/app", other)[0] == 403
    wait_until(lambda: store.request("secret/data/app", token)[0] == 403, 10, "the token ends")

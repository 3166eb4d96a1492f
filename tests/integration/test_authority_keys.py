"""Signing keys rotated by hand, as agents and operators see it."""

import hashlib
import time

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.agent import Agent
from harness.authority import Authority
from harness.caller import Caller
from harness.fixtures import ALICE, wait_for_identity
from harness.peers import CREDENCE, published
from harness.processes import wait_until
from harness.tokens import part

# A key is known everywhere after a twelfth of its life: ten seconds. Agents look every second.
SHORT_LIVES = ["-caTTL", "2m", "-jwtKeyTTL", "2m", "-x509SVIDTTL", "1m", "-agentTTL", "1m"]


def active(authority, kind="X509"):
    keys = authority.json("authority", "status")["keys"]
    return next(key["id"] for key in keys if key["kind"] == kind and key["state"] == "active")


@pytest.mark.parametrize("program", ["credence", "spire-agent"])
def test_no_handshake_fails_while_keys_are_rotated(scratch, program):
    authority = Authority(scratch, flags=SHORT_LIVES)
    authority.create_entry("/alice", f"unix:uid:{ALICE}")
    agent = Agent(scratch, authority, program=program)
    wait_for_identity(agent, ALICE)
    before = {kind: active(authority, kind) for kind in ("X509", "JWT")}
    rotated = authority.json("authority", "rotate")["rotated"]
    assert [(one["kind"], one["state"], one["replaced_id"]) for one in rotated] == [
        ("X509", "prepared", before["X509"]), ("JWT", "prepared", before["JWT"])]
    assert all(one["activates_at"] for one in rotated)
    end = time.monotonic() + 18
    while time.monotonic() < end:
        agent.probe("x509", uid=ALICE)
        agent.probe("jwt", "-audience", "x", uid=ALICE)
        if program == "credence":
            assert not agent.status()["sync_error"]
        time.sleep(0.3)
    for one in rotated:
        assert active(authority, one["kind"]) == one["id"], f"{one} {authority.json('authority', 'status')}\n{authority.process.tail()}"
    authority.create_entry("/late", "unix:uid:20061")
    wait_for_identity(agent, 20061)
    assert "handshake" not in agent.process.output()


def test_a_leaked_key_is_replaced_at_once_and_agents_get_over_it(scratch):
    authority = Authority(scratch)
    authority.create_entry("/alice", f"unix:uid:{ALICE}")
    agent = Agent(scratch, authority)
    wait_for_identity(agent, ALICE)
    before = active(authority)
    out = authority.cli("authority", "rotate", "-x509", "-taint", "-now").stdout
    assert before in out and "tainted" in out
    assert active(authority) != before
    authority.create_entry("/late", "unix:uid:20062")
    wait_for_identity(agent, 20062)
    wait_until(lambda: not agent.status()["sync_error"], 20, "the agent is in step")
    keys = {key["id"]: key for key in authority.json("authority", "status")["keys"]}
    assert keys[before]["tainted"] and keys[before]["state"] == "old"


def signer(authority, certificate):
    """The ID of the key in the bundle that signed it."""
    for one in x509.load_pem_x509_certificates(authority.cli("bundle", "show").stdout.encode()):
        public = one.public_key()
        try:
            public.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(certificate.signature_hash_algorithm))
        except InvalidSignature:
            continue
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()[:40]
    raise AssertionError("signed by nobody in the bundle")


def test_what_a_tainted_key_signed_is_replaced_as_soon_as_the_next_one_signs(scratch, protos):
    authority = Authority(scratch, flags=SHORT_LIVES)
    authority.create_entry("/alice", f"unix:uid:{ALICE}")
    agent = Agent(scratch, authority)
    wait_for_identity(agent, ALICE)
    with Caller(agent.socket, ALICE) as alice:
        def certificate():
            return x509.load_der_x509_certificate(alice.x509_svid(protos).x509_svid)

        def kid():
            return part(agent.probe("jwt", "-audience", "x", uid=ALICE)["token"], 0)["kid"]

        def node_serial():
            (one,) = authority.json("agent", "list")["agents"]
            return one["x509svid_serial_number"]
        first, node = certificate(), node_serial()
        assert (signer(authority, first), kid()) == (active(authority), active(authority, "JWT"))
        (new_x509,) = authority.json("authority", "rotate", "-x509", "-taint")["rotated"]
        (new_jwt,) = authority.json("authority", "rotate", "-jwt", "-taint")["rotated"]
        wait_until(lambda: active(authority) == new_x509["id"] and active(authority, "JWT") == new_jwt["id"], 20, "the new keys sign")
        wait_until(lambda: certificate() != first, 5, lambda: f"another X509-SVID\n{agent.process.tail()}")
        second = certificate()
        assert signer(authority, second) == new_x509["id"]
        life = first.not_valid_after_utc - first.not_valid_before_utc
        assert second.not_valid_before_utc - first.not_valid_before_utc < 0.4 * life, "its life was not half over"
        wait_until(lambda: kid() == new_jwt["id"], 5, "the JWT-SVID is replaced")
        wait_until(lambda: node_serial() != node, 5, "the agent's own SVID is replaced")
        assert len(x509.load_pem_x509_certificates(authority.cli("bundle", "show").stdout.encode())) == 2


def test_a_restart_before_the_new_key_signs_leaves_it_prepared(scratch):
    authority = Authority(scratch)
    before = active(authority, "JWT")
    planned = authority.json("authority", "rotate", "-jwt")["rotated"][0]
    authority.kill()
    authority.start()
    status = authority.json("authority", "status")
    keys = {key["id"]: key for key in status["keys"]}
    assert keys[planned["id"]]["state"] == "prepared" and not keys[planned["id"]]["activates_at"]
    assert active(authority, "JWT") == before
    again = authority.json("authority", "rotate", "-jwt")["rotated"][0]
    assert again["id"] == planned["id"] and again["activates_at"]
    assert len(status["keys"]) == 3


def test_status_counts_what_is_there(scratch):
    authority = Authority(scratch)
    authority.create_entry("/alice", f"unix:uid:{ALICE}")
    out = authority.cli("authority", "status").stdout
    assert "trust domain   example.org" in out and "entries        1\n" in out and "JWT key        active" in out


@pytest.mark.hostile
def test_another_user_cannot_rotate(scratch):
    authority = Authority(scratch)
    before = active(authority)
    denied = scratch.run([published(CREDENCE), "authority", "rotate", "-now", "-socketPath", authority.socket], uid=ALICE)
    assert denied.returncode == 4 and str(authority.socket.parent) in denied.stderr
    assert active(authority) == before

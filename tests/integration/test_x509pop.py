"""Node attestation by possession of an X.509 key, and the disk key manager that goes with it."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from harness.agent import UNIX_ATTESTOR, Agent
from harness.fixtures import ALICE, create_usual_entries, wait_for_identity
from harness.processes import wait_until
from harness.spire import NODE, SpireServer


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, ca):
    now = datetime.datetime.now(datetime.UTC)
    builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=1))
               .not_valid_after(now + datetime.timedelta(days=1))
               .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
               .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True))
    return builder.sign(issuer_key, hashes.SHA256())


def write_pem(path, *things):
    data = b""
    for thing in things:
        if isinstance(thing, x509.Certificate):
            data += thing.public_bytes(serialization.Encoding.PEM)
        else:
            data += thing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(data)
    path.chmod(0o600)
    return path


@pytest.fixture
def authority(scratch):
    key = ec.generate_private_key(ec.SECP256R1())
    root = certificate("pop root", key, "pop root", key, True)
    return key, root, write_pem(scratch.path / "pop-ca.pem", root)


@pytest.fixture
def pop_server(scratch, authority):
    server = SpireServer(scratch, x509pop_ca=authority[2])
    create_usual_entries(server)
    server.cli("entry", "create", "-node", "-spiffeID", NODE, "-selector", "x509pop:subject:cn:node-1")
    return server


def plugins(scratch, key_path, certificate_path, intermediates=""):
    keys = scratch.folder("keys", 0o700)
    return [f'''  NodeAttestor "x509pop" {{ plugin_data {{
    private_key_path = "{key_path}"
    certificate_path = "{certificate_path}"
    {intermediates}
  }} }}''', f'  KeyManager "disk" {{ plugin_data {{ directory = "{keys}" }} }}', UNIX_ATTESTOR]


@pytest.mark.parametrize("make_key", [lambda: ec.generate_private_key(ec.SECP256R1()), lambda: rsa.generate_private_key(65537, 2048)],
                         ids=["ec", "rsa"])
def test_attests_and_serves(scratch, authority, pop_server, make_key):
    key = make_key()
    leaf = certificate("node-1", key, "pop root", authority[0], False)
    agent = Agent(scratch, pop_server, join_token=False, plugins=plugins(
        scratch, write_pem(scratch.path / "node.key", key), write_pem(scratch.path / "node.pem", leaf)))
    wait_for_identity(agent, ALICE)
    assert "/spire/agent/x509pop/" in agent.status()["agent_id"]


def test_intermediate_file_is_sent_along(scratch, authority, pop_server):
    middle_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    middle = certificate("pop middle", middle_key, "pop root", authority[0], True)
    leaf = certificate("node-1", key, "pop middle", middle_key, False)
    extra = f'intermediates_path = "{write_pem(scratch.path / "middle.pem", middle)}"'
    agent = Agent(scratch, pop_server, join_token=False, plugins=plugins(
        scratch, write_pem(scratch.path / "node.key", key), write_pem(scratch.path / "node.pem", leaf), extra))
    wait_for_identity(agent, ALICE)


def test_restart_uses_the_stored_identity(scratch, authority, pop_server):
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = certificate("node-1", key, "pop root", authority[0], False)
    agent = Agent(scratch, pop_server, join_token=False, plugins=plugins(
        scratch, write_pem(scratch.path / "node.key", key), write_pem(scratch.path / "node.pem", leaf)))
    first = agent.status()["agent_id"]
    assert agent.stop() == 0
    agent.start()
    agent.wait_ready()
    wait_for_identity(agent, ALICE)
    assert agent.status()["agent_id"] == first


def test_certificate_of_a_stranger_is_refused_and_said_so(scratch, pop_server):
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = certificate("node-1", key, "stranger", key, False)
    agent = Agent(scratch, pop_server, join_token=False, start=False, plugins=plugins(
        scratch, write_pem(scratch.path / "node.key", key), write_pem(scratch.path / "node.pem", leaf)))
    agent.start()
    wait_until(lambda: "x509pop" in agent.process.output() or not agent.process.alive(), 30, agent.process.tail)
    assert pop_server.cli("agent", "list").stdout.count("/x509pop/") == 0


def test_key_that_does_not_match_is_a_mistake_that_names_both_files(scratch, authority, pop_server):
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    leaf = certificate("node-1", key, "pop root", authority[0], False)
    agent = Agent(scratch, pop_server, join_token=False, start=False, plugins=plugins(
        scratch, write_pem(scratch.path / "node.key", other), write_pem(scratch.path / "node.pem", leaf)))
    agent.start()
    wait_until(lambda: not agent.process.alive() or "node." in agent.process.output(), 20, agent.process.tail)
    assert "node.key" in agent.process.output() or "node.pem" in agent.process.output()

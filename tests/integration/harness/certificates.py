"""X.509 certificates made by the tests: for node attestation, and forged ones."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def certificate(subject, key, issuer, issuer_key, ca, uri=None, address=None):
    """Valid for a day. `subject` is a common name; `issuer` is one too, or the x509.Name of a real authority. The alternative name
    is a URI or an IP address."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer) if isinstance(issuer, str) else issuer)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(days=1))
               .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
               .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True))
    if uri or address:
        alternative = x509.UniformResourceIdentifier(uri) if uri else x509.IPAddress(ipaddress.ip_address(address))
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def write_pem(path, *things):
    """Certificates and private keys, in this order, for root alone."""
    data = b""
    for thing in things:
        if isinstance(thing, x509.Certificate):
            data += thing.public_bytes(serialization.Encoding.PEM)
        else:
            data += thing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def split_der(der):
    """Concatenated DER certificates, one by one."""
    found = []
    while der:
        assert der[0] == 0x30, "a certificate is a SEQUENCE"
        size = der[1]
        header = 2
        if size & 0x80:
            header += size & 0x7F
            size = int.from_bytes(der[2:header], "big")
        found.append(x509.load_der_x509_certificate(der[:header + size]))
        der = der[header + size:]
    return found


class WebRoot:
    """A root of the web, and the server certificates below it."""

    def __init__(self, folder, name):
        self.folder, self.name, self.key = folder, name, new_key()
        self.certificate = certificate(name, self.key, name, self.key, True)
        self.path = write_pem(folder / f"{name}.pem", self.certificate)

    def write(self, file):
        """A new certificate for 127.0.0.1 and its key."""
        key = new_key()
        leaf = certificate(file, key, self.name, self.key, False, address="127.0.0.1")
        return write_pem(self.folder / f"{file}.crt", leaf), write_pem(self.folder / f"{file}.key", key)


class NodeAuthority:
    """Makes the certificates by which nodes prove who they are to the x509pop attestor."""

    def __init__(self, folder):
        self.folder, self.key = folder, new_key()
        self.root = certificate("pop root", self.key, "pop root", self.key, True)
        self.path = write_pem(folder / "pop-ca.pem", self.root)

    def plugin(self, folder, node, key, leaf, middle=None):
        """The agent's NodeAttestor "x509pop" block for this key and these certificates, which are written to `folder`."""
        more = f'intermediates_path = "{write_pem(folder / "middle.pem", middle)}"' if middle else ""
        return f'''  NodeAttestor "x509pop" {{ plugin_data {{
    private_key_path = "{write_pem(folder / f"{node}.key", key)}"
    certificate_path = "{write_pem(folder / f"{node}.pem", leaf)}"
    {more}
  }} }}'''

    def plugin_for(self, folder, node, key=None):
        """The same for a sound node called `node`."""
        key = key or new_key()
        return self.plugin(folder, node, key, certificate(node, key, "pop root", self.key, False))

"""JWTs: taken apart, and forged with keys that only the SPIRE server should have."""

import base64
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils


def part(token, number):
    """The header (0) or the claims (1), decoded."""
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def encoded(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(key, kid, subject, audience, **claims):
    """A token that is good for a minute, unless `claims` say otherwise; `kid` None leaves it out."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    header = {"alg": algorithm, "typ": "JWT"} | ({"kid": kid} if kid else {})
    now = int(time.time())
    text = f"{encoded(header)}.{encoded({'sub': subject, 'aud': [audience], 'iat': now, 'exp': now + 60} | claims)}"
    if algorithm == "RS256":
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        numbers = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        signature = b"".join(number.to_bytes(32, "big") for number in numbers)
    return f"{text}.{encoded(signature)}"


def signed_with_secret(secret, kid, subject, audience):
    """What a verifier takes that uses a public key as a shared secret."""
    now = int(time.time())
    header, claims = {"alg": "HS256", "typ": "JWT", "kid": kid}, {"sub": subject, "aud": [audience], "iat": now, "exp": now + 60}
    text = f"{encoded(header)}.{encoded(claims)}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"

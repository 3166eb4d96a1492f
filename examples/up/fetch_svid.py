#!/usr/bin/python3
"""The smallest SPIFFE client: the two calls that an SDK makes, with curl for HTTP/2 and openssl to read the certificate."""

import base64
import os
import subprocess
import sys

SOCKET = os.environ["SPIFFE_ENDPOINT_SOCKET"].removeprefix("unix://")


def call(method, message):
    """The first answer: X509-SVIDs come as a stream, and a program would go on listening for the next."""
    command = ["curl", "-sN", "--http2-prior-knowledge", "--unix-socket", SOCKET, "--max-time", "10", "-D", "/dev/fd/2",
               "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "workload.spiffe.io: true",
               "--data-binary", "@-", f"http://localhost/SpiffeWorkloadAPI/{method}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as curl:
        curl.stdin.write(b"\0" + len(message).to_bytes(4, "big") + message)
        curl.stdin.close()
        prefix = curl.stdout.read(5)
        answer = curl.stdout.read(int.from_bytes(prefix[1:], "big"))
        curl.terminate()
        if not answer:
            status = [line for line in curl.stderr.read().decode().splitlines() if line.startswith("grpc-")]
            sys.exit(f"{method}: {', '.join(status) or 'no answer'}")
    return answer


def fields(message):
    """Number to value of a protobuf message whose fields are strings, bytes and messages; the first of each number."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                return value

    while at < len(message):
        number, length = varint() >> 3, varint()
        found.setdefault(number, message[at:at + length])
        at += length
    return found


def print_x509():
    svid = fields(fields(call("FetchX509SVID", b""))[1])
    print(f"X509-SVID {svid[1].decode()}, and its private key", flush=True)
    # The chain begins with the SVID itself; openssl reads no further.
    subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-issuer", "-dates", "-ext", "subjectAltName"],
                   input=svid[2], check=True)


def print_jwt(audience):
    request = b"\x0a" + bytes([len(audience)]) + audience.encode()
    svid = fields(fields(call("FetchJWTSVID", request))[1])
    print("JWT-SVID", svid[1].decode())
    for part in svid[2].split(b".")[:2]:
        print(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)).decode())


print_x509()
print_jwt(sys.argv[1])

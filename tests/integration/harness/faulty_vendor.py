"""A token endpoint that misbehaves on request. It takes what the Claude adapter sends and keeps every assertion."""

import json
import socket
import struct
import threading

GOOD = json.dumps({"access_token": "sk-ant-oat01-from-the-faulty-vendor", "token_type": "Bearer", "expires_in": 600})


def _answer(status, body, content_type="application/json", extra=""):
    body = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\nrequest-id: req_faulty\r\n{extra}connection: close\r\n\r\n"
    return head.encode() + body


class FaultyVendor:
    """`mode` decides what the next requests get; `assertions` and `paths` hold what was sent, in order."""

    def __init__(self, mode="good"):
        self.mode, self.assertions, self.paths = mode, [], []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closed.set()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while not self.closed.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(30)
            try:
                self._read_request(connection)
                getattr(self, "_" + self.mode.replace("-", "_"))(connection)
            except OSError:
                pass  # the client went away, as it may

    def _read_request(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(connection)
        head, body = data.split(b"\r\n\r\n", 1)
        size = int(next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")))
        while len(body) < size:
            body += self._more(connection)
        self.paths.append(head.split(b" ", 2)[1].decode())
        self.assertions.append(json.loads(body)["assertion"])

    @staticmethod
    def _more(connection):
        data = connection.recv(65536)
        if not data:
            raise OSError("the client hung up")
        return data

    # ---- what a vendor may do

    def _good(self, connection):
        connection.sendall(_answer("200 OK", GOOD))

    def _hang(self, _):
        self.closed.wait(120)

    def _slow(self, connection):
        """Good, one byte now and then: longer than any reasonable deadline."""
        for byte in _answer("200 OK", GOOD):
            connection.sendall(bytes([byte]))
            if self.closed.wait(1):
                return

    def _rate_limited(self, connection):
        connection.sendall(_answer("429 Too Many Requests", '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}',
                                   extra="retry-after: 2\r\n"))

    def _broken(self, connection):
        connection.sendall(_answer("500 Internal Server Error", '{"type":"error","error":{"type":"api_error","message":"oops"}}'))

    def _html(self, connection):
        connection.sendall(_answer("200 OK", "<html><body>Please log in to this hotel's network</body></html>", "text/html"))

    def _huge(self, connection):
        connection.sendall(_answer("200 OK", '{"access_token":"sk-ant-oat01-' + "A" * 10_000_000 + '","expires_in":600}'))

    def _endless_header(self, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200_000):
            connection.sendall(b"x-filler: " + b"y" * 100 + b"\r\n")

    def _truncated(self, connection):
        connection.sendall(_answer("200 OK", GOOD)[:-20])

    def _reset(self, connection):
        """Processed, and then the connection breaks: the outcome is unknown to the client."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _redirect(self, connection):
        connection.sendall(_answer("307 Temporary Redirect", "", extra=f"location: {self.url}/elsewhere\r\n"))

    def _wrong_shape(self, connection):
        connection.sendall(_answer("200 OK", '{"access_token":["no","string"],"expires_in":"soon"}'))

    def _denied(self, connection):
        connection.sendall(_answer("401 Unauthorized", '{"type":"error","error":{"type":"authentication_error","message":"Authentication failed"}}'))

    def _denied_old(self, connection):
        connection.sendall(_answer("400 Bad Request", '{"error":"invalid_grant","error_description":"no"}'))

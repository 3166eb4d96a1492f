"""Stands between an agent and its SPIRE server, and takes the server's place on request."""

import socket
import ssl
import threading


class Relay:
    """Passes connections to `port` until impersonate() is called. `handshakes` then tells how each TLS handshake ended."""

    def __init__(self, port):
        self.target, self.context, self.handshakes, self.open = port, None, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def impersonate(self, certificate_file):
        """Cuts what is open and answers from now on with this certificate and key; None gives the way free again."""
        self.handshakes = []
        self.context = None
        if certificate_file:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate_file)
            context.set_alpn_protocols(["h2"])
            self.context = context
        while self.open:
            _end(self.open.pop())

    def close(self):
        _end(self.listener)
        self.impersonate(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pretend if self.context else self._pass, args=(client,), daemon=True).start()

    def _pretend(self, client):
        client.settimeout(10)
        handshakes = self.handshakes
        try:
            with self.context.wrap_socket(client, server_side=True) as tls:
                tls.recv(1)  # with TLS 1.3 the client's opinion of our certificate comes after our side is done
                handshakes.append("accepted")
        except OSError as error:
            handshakes.append(f"refused: {error}")

    def _pass(self, client):
        server = socket.create_connection(("127.0.0.1", self.target))
        self.open += [client, server]
        threading.Thread(target=_pump, args=(server, client), daemon=True).start()
        _pump(client, server)


def _pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    _end(source)
    _end(target)


def _end(one):
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()

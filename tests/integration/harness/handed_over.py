"""A connection to the agent that one process opened and another, of another user, uses.

As a module it is the tests' side: HandedOver(scratch, socket, connector, user). Run as a program it connects to the
agent as user `connector`; then either a child of it that has become `user` passes bytes between the connection and the
socket `front`, or it becomes `user` and does so itself. Whoever calls through `front` thus writes with the hands of `user`.
"""

import os
import pathlib
import socket
import subprocess
import sys
import threading


class HandedOver:
    """`fork` tells whether the connector stays what it was and a child of it uses the connection."""

    def __init__(self, scratch, agent_socket, connector, user, fork=True):
        self.front = pathlib.Path(scratch.path) / f"front-{connector}-{user}-{fork}.sock"
        self.connector = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, __file__, str(agent_socket), str(connector), str(user),
             str(self.front), "fork" if fork else "stay"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.connector.stdout.readline() == "ready\n", "the connection is handed over"

    def end_connector(self):
        """The process that connected ends; its child keeps the connection."""
        self.connector.kill()
        self.connector.wait()

    def close(self):
        self.end_connector()
        self.connector.stdin.close()  # the child's sign to end
        self.connector.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def become(user):
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def pass_on(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def use(listener, connection):
    """Serves the one client of `front`, and ends when the tests' side hangs up."""
    def serve():
        client, _ = listener.accept()
        threading.Thread(target=pass_on, args=(connection, client), daemon=True).start()
        pass_on(client, connection)
    threading.Thread(target=serve, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


def main(agent_socket, connector, user, front, how):
    os.setgroups([])
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(front)
        os.chmod(front, 0o777)
        listener.listen()
        # Effective ids are what the kernel records; root as the saved one lets the child become somebody else.
        os.setresgid(connector, connector, 0)
        os.setresuid(connector, connector, 0)
        connection.connect(agent_socket)
        if how == "stay" or os.fork() == 0:
            os.setresuid(0, 0, 0)
            become(user)
            use(listener, connection)
        become(connector)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:6])

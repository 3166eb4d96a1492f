"""One local user without any entry does its worst; everybody else is served as if it were not there."""

import concurrent.futures
import json
import socket
import subprocess
import threading
import time

import pytest

from harness.agent import Agent
from harness.caller import Caller, RpcError
from harness.fixtures import ALICE, BOB, NOBODY, wait_for_identity
from harness.peers import memory_limit_kb, peer, published
from harness.processes import as_user, base_env

pytestmark = pytest.mark.hostile

# As spire-agent behaves it cannot serve anybody after four seconds of the first two.
FLOODS = {
    "unanswered": ["-connections", "8", "-duration", "4s"],
    "hangup": ["-connections", "1", "-count", "200", "-duration", "4s"],
    "reset": ["-connections", "8", "-duration", "2s"],
    "ping": ["-connections", "8", "-duration", "2s"],
    "settings": ["-connections", "8", "-duration", "2s"],
}
BURSTS = 10


@pytest.fixture(scope="module")
def target(session_scratch, server):
    agent = Agent(session_scratch, server, name="flooded")
    wait_for_identity(agent, ALICE)
    yield agent
    agent.stop()


def test_thousand_callers_in_one_instant_ten_times_over_are_all_served(target):
    """First in this file, while the agent's memory is that of a quiet one."""
    for number in range(BURSTS):
        seen = target.probe("burst", "-count", "1000", "-timeout", "30s", uid=ALICE, seconds=60)
        assert seen["served"] == 1000, (number, seen)
    assert target.probe("x509", uid=ALICE)
    assert target.peak_kb() < memory_limit_kb()


@pytest.mark.parametrize("kind", FLOODS)
def test_flood_costs_others_nothing(target, kind):
    target.forget_peak()
    stop, slow, failures = threading.Event(), [], []

    def ask_all_the_time():
        while not stop.is_set():
            begin = time.monotonic()
            result = target.try_probe("x509", "-timeout", "10s", uid=ALICE)
            if result.returncode != 0:
                failures.append(result.stderr)
            slow.append(time.monotonic() - begin)
    asker = threading.Thread(target=ask_all_the_time)
    asker.start()
    try:
        flood = target.probe("flood", "-kind", kind, *FLOODS[kind], uid=NOBODY)
    finally:
        stop.set()
        asker.join()
    assert flood["rounds"] > 0 or flood["connections"] > 0
    assert failures == []
    assert max(slow) < 5, "served, but slowly"
    assert target.peak_kb() < memory_limit_kb()
    begin = time.monotonic()
    assert target.probe("x509", uid=ALICE)["spiffe_id"] == "spiffe://example.org/alice"
    assert time.monotonic() - begin < 2, "and at once afterwards"
    assert target.status()["sync_error"] == ""


def test_streams_held_by_one_user_do_not_keep_another_out(target):
    """1,000 connections of alice are open while bob comes."""
    probe = published(peer("probe"))
    holder = subprocess.Popen(as_user(ALICE, [probe, "hold", "-socket", target.socket, "-count", "1000"]), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, env=base_env())
    try:
        assert json.loads(holder.stdout.readline())["held"] == 1000
        assert target.probe("x509", uid=BOB)["spiffe_id"] == "spiffe://example.org/bob"
    finally:
        holder.stdin.close()
        holder.wait(20)
        holder.stdout.close()


GARBAGE = {
    "http1": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "random": bytes(range(256)) * 64,
    "nothing": b"",
    "half-preface": b"PRI * HTTP/2.0\r\n\r\nSM",
    "huge-frame": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 70000,
    "endless-continuation": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
                            b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x00" + b"\x00\x00\x01\x09\x00\x00\x00\x00\x01\x00" * 20000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_on_the_socket(target, name):
    def send():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(target.socket))
            try:
                client.sendall(GARBAGE[name])
                while client.recv(65536):
                    pass
            except OSError:
                pass  # hung up on, or kept waiting: both are fine
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for _ in range(32):
            pool.submit(send)
    assert target.process.alive()
    assert target.probe("x509", uid=ALICE)


BAD_MESSAGES = {
    "not-protobuf": b"\xff" * 20, "wrong-type": b"\x08\x01", "truncated": b"\x0a\x7f", "not-utf8": b"\x0a\x02\xc3\x28",
    "huge-audience": b"\x0a\x80\x80\xc0\x01" + b"a" * (3 << 20),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_malformed_message_is_a_clear_error(target, calling_processes, name):
    key = (str(target.socket), ALICE)
    caller = calling_processes[key] = calling_processes.get(key) or Caller(*key)
    with pytest.raises(RpcError) as caught:
        caller.call("/SpiffeWorkloadAPI/FetchJWTSVID", BAD_MESSAGES[name], timeout=10)
    assert caught.value.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL")
    assert caught.value.message
    assert target.probe("x509", uid=ALICE)

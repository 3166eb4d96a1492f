"""CPU and memory of Credence and of the real spire-agent, measured the same way in one run.

Both stand before the same SPIRE server and are asked by the same Go client. Each round starts each agent anew; the
table holds medians of the rounds, and the ratio that was aimed for. This reports, it does not judge: the exit code is 0
unless a measurement itself failed.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from harness import resources  # noqa: E402
from harness.agent import JOIN_TOKEN_PLUGIN, MEMORY_KEYS, Agent  # noqa: E402
from harness.fixtures import ALICE, wait_for_identity  # noqa: E402
from harness.openbao import OpenBao  # noqa: E402
from harness.peers import peer, published  # noqa: E402
from harness.processes import Scratch, as_user, base_env  # noqa: E402
from harness.spire import SpireServer  # noqa: E402

BURSTS = 10
BURST_CALLERS = 1000
HELD_STREAMS = 1000
# Aims that are not shares of spire-agent's figures.
MOST_RESIDENT_MB = 64
SLOWEST_CREDENTIAL_MS = 1

# Key, what it says, unit, aim as a share of spire-agent's figure.
ROWS = [
    ("jwt1", "CPU for a warm FetchJWTSVID, 1 caller", "us", 1 / 10),
    ("jwt16", "CPU for a warm FetchJWTSVID, 16 callers", "us", 1 / 10),
    ("fresh", "CPU for a fresh connection with FetchX509SVID", "us", 1 / 6),
    ("held", "memory for a held stream", "KB", 1 / 2),
    ("idle", "resident memory when idle", "MB", 2 / 5),
]


class Subject:
    """One agent in one round."""

    def __init__(self, scratch, server, program, documents):
        self.scratch = scratch
        plugins = [JOIN_TOKEN_PLUGIN, MEMORY_KEYS, '  WorkloadAttestor "unix" { plugin_data {} }']
        self.agent = Agent(scratch, server, name=f"{program}-{time.monotonic_ns()}", program=program, resources=documents,
                           plugins=plugins, log_level="WARN")
        wait_for_identity(self.agent, ALICE)
        self.pid = str(self.agent.process.pid)

    def probe(self, command, *flags):
        return self.agent.probe(command, "-pid", self.pid, *map(str, flags), uid=ALICE, seconds=400)

    def measure(self, calls):
        figures = {}
        time.sleep(3)
        figures["idle"] = self.agent.resident_kb() / 1024
        for callers in (1, 16):
            figures[f"jwt{callers}"] = self.probe("bench-jwt", "-callers", callers, "-count", calls)["cpu_us"]
        figures["fresh"] = self.probe("bench-x509", "-count", calls)["cpu_us"]
        figures["held"] = self.held()
        return figures

    def held(self):
        program = published(peer("probe"))
        holder = subprocess.Popen(
            as_user(ALICE, [program, "hold", "-socket", self.agent.socket, "-count", str(HELD_STREAMS), "-pid", self.pid]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=base_env())
        try:
            seen = json.loads(holder.stdout.readline())
        finally:
            holder.stdin.close()
            holder.wait(30)
            holder.stdout.close()
        return (seen["rss_kb"] - seen["rss_before_kb"]) / HELD_STREAMS

    def bursts(self):
        """(served in all, refused in all, bursts with everybody served, most that was ever resident in MB, served at the end)"""
        served = refused = complete = peak = 0
        for _ in range(BURSTS):
            seen = self.probe("burst", "-count", BURST_CALLERS, "-timeout", "10s")
            served, refused = served + seen["served"], refused + seen["refused"]
            complete += seen["refused"] == 0
            peak = max(peak, seen["peak_kb"] / 1024)
            if seen["served"] == 0:
                break  # it serves nobody any more, and would not for as long as we ask
        after = self.agent.try_probe("x509", "-timeout", "5s", uid=ALICE).returncode == 0
        return {"served": served, "refused": refused, "complete": complete, "peak": peak, "after": after}


def run_round(scratch, server, bao, calls):
    documents = resources.together(resources.openbao("kv", bao.url, "alice"), resources.grant("g", "/alice", "kv"))
    found = {}
    for program in ("spire-agent", "credence"):
        print(f"  {program} ...", flush=True)
        subject = Subject(scratch, server, program, documents)
        found[program] = subject.measure(calls)
        if program == "credence":
            found[program]["credential"] = subject.probe("bench-credential", "-destination", "kv", "-count", calls)
        found[program]["bursts"] = subject.bursts()
        subject.agent.stop()
    return found


def mark(within):
    return "" if within else "  above the aim"


def print_table(rounds):
    def median(program, key):
        return statistics.median(one[program][key] for one in rounds)
    print(f"\n{'':<46}{'spire-agent':>12}{'credence':>12}{'ratio':>9}{'aim':>9}")
    for key, label, unit, aim in ROWS:
        theirs, ours = median("spire-agent", key), median("credence", key)
        ratio = ours / theirs if theirs else float("nan")
        print(f"{label + ' (' + unit + ')':<46}{theirs:>12.1f}{ours:>12.1f}{ratio:>9.3f}{aim:>9.3f}{mark(ratio <= aim)}")
    p50, p99 = (statistics.median(one["credence"]["credential"][key] for one in rounds) / 1000 for key in ("p50_us", "p99_us"))
    print(f"\ncached credential on the socket: p50 {p50:.2f} ms, p99 {p99:.2f} ms (aim: p99 below {SLOWEST_CREDENTIAL_MS} ms)"
          f"{mark(p99 < SLOWEST_CREDENTIAL_MS)}")
    print(f"{BURST_CALLERS} callers in one instant, up to {BURSTS} times, each round (aim: all served, below {MOST_RESIDENT_MB} MB):")
    for program in ("spire-agent", "credence"):
        for one in rounds:
            seen = one[program]["bursts"]
            reached = seen["complete"] == BURSTS and seen["after"] and seen["peak"] < MOST_RESIDENT_MB
            print(f"  {program:<12} served {seen['served']:>6}, refused {seen['refused']:>5}, complete bursts {seen['complete']:>3}, "
                  f"resident at most {seen['peak']:.0f} MB, {'serves' if seen['after'] else 'serves nobody'} afterwards"
                  f"{mark(reached or program != 'credence')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=6400, help="calls for each figure")
    options = parser.parse_args()
    rounds = []
    with Scratch("bench") as scratch:
        server = SpireServer(scratch)
        server.start_oidc()
        server.create_entry("/alice", f"unix:uid:{ALICE}")
        bao = OpenBao(scratch, server.issuer)
        bao.create_role("alice", "spiffe://example.org/alice", ttl="1h", max_ttl="2h")
        for number in range(1, options.rounds + 1):
            print(f"round {number} of {options.rounds}", flush=True)
            rounds.append(run_round(scratch, server, bao, options.calls))
    print_table(rounds)


if __name__ == "__main__":
    main()

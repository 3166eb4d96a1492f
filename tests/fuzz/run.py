"""Runs the fuzz targets side by side, each for some seconds from its committed seeds.

A target that finds something leaves the input in build/fuzz/findings and fails the run; put it among the target's
seeds, where every ordinary build runs it, together with the fix.
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys


def seeds(build):
    """Target to its folder of committed inputs, as CMake wrote it down."""
    return {path.name: pathlib.Path(path.read_text()) for path in (build / "seeds").iterdir()}


def fuzz(binary, seed_folder, work, seconds):
    corpus, findings = work / "corpus" / binary.name, work / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    command = [binary, corpus, seed_folder, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
               "-print_final_stats=1", f"-artifact_prefix={findings}/{binary.name}-"]
    with open(work / f"{binary.name}.log", "w", encoding="utf-8") as log:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT).returncode
    text = (work / f"{binary.name}.log").read_text(errors="replace")
    runs = re.search(r"stat::number_of_executed_units: (\d+)", text)
    return status, int(runs.group(1)) if runs else 0, text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="*", help="such as fuzz_hcl or hcl; all by default")
    options = parser.parse_args()
    wanted = {name if name.startswith("fuzz_") else f"fuzz_{name}" for name in options.targets}
    known = seeds(options.build)
    binaries = [path for path in sorted((options.build / "bin").glob("fuzz_*"))
                if path.name in known and (not wanted or path.name in wanted)]
    missing = sorted((wanted or set(known)) - {path.name for path in binaries})
    failed = len(missing)
    for name in missing:
        print(f"{name}: was not built")
    print(f"{len(binaries)} targets, {options.seconds} s each, {options.jobs} at a time", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(fuzz, path, known[path.name], options.build, options.seconds): path for path in binaries}
        for done in concurrent.futures.as_completed(running):
            status, runs, text = done.result()
            print(f"{running[done].name}: {'ok' if status == 0 else 'FOUND SOMETHING'}, {runs} inputs", flush=True)
            if status != 0:
                failed += 1
                print("\n".join(text.splitlines()[-40:]))
    print(f"{len(binaries) - (failed - len(missing))} passed, {failed} failed")
    return 1 if failed or not binaries else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""All static checks: format, include order, self-contained headers, bans, clang-tidy, GCC's view of tests, shell, Go, file lengths.

Runs every check even after one failed, prints each finding as file:line: message, and ends with 'N passed, N failed',
counting checks. clang-tidy and header results are kept by content, so a second run looks only at what changed.
"""

import argparse
import pathlib
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import banned  # noqa: E402
import compile_checks  # noqa: E402
import include_order  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG_FILE = 400


def tracked(*patterns):
    """Files that git knows or would know, without those that are gone."""
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout
    return [path for path in sorted(set(out.splitlines())) if (ROOT / path).exists()]


def findings_of(command, cwd=ROOT):
    """Output lines of a tool that fails when it has something to say."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    lines = (result.stdout + result.stderr).splitlines()
    return lines or ["failed without a word"] if result.returncode else []


def check_format(_):
    sources = [path for path in tracked("*.cc", "*.h") if not path.startswith("tests/lint/faults")]
    lines = findings_of(["clang-format-19", "--dry-run", "-Werror", *sources])
    files = sorted({line.split(":", 1)[0] for line in lines if "error:" in line})
    return [f"{path}: clang-format-19 -i would change it" for path in files] or lines[:5]


def check_include_order(_):
    sources = tracked("*.cc", "*.h")
    findings = [str(one) for path in sources if not path.startswith("tests/lint/") for one in include_order.check(ROOT, path)]
    if not include_order.check(ROOT, "tests/lint/faults/base/core/upwards.h", as_path="base/core/upwards.h"):
        findings.append("tests/lint/faults/base/core/upwards.h: the include check no longer finds the fault in it")
    return findings


def check_bans(_):
    findings = [one for path in tracked() for one in banned.check(ROOT, path)]
    return findings + banned.unused_exemptions(ROOT)


def check_shell(_):
    scripts = [path for path in tracked() if path.endswith(".sh") or _is_shell(ROOT / path)]
    return findings_of(["shellcheck", "-x", *scripts])


def _is_shell(path):
    with open(path, "rb") as data:
        return data.readline(64).startswith((b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh"))


def check_go(_):
    findings = []
    for module in tracked("*go.mod"):
        folder = ROOT / pathlib.Path(module).parent
        if "absent" in module or folder.name == "spire":
            continue  # stand-ins and a module without code of ours
        unformatted = subprocess.run(["gofmt", "-l", "."], cwd=folder, capture_output=True, text=True, check=True).stdout
        findings += [f"{folder.relative_to(ROOT)}/{name}: not formatted by gofmt" for name in unformatted.splitlines()]
        findings += findings_of(["go", "vet", "-mod=readonly", "./..."], folder)
    return findings


def check_python(_):
    return [line for path in tracked("*.py") for line in _python_findings(path)]


def _python_findings(path):
    try:
        compile((ROOT / path).read_text(encoding="utf-8"), path, "exec")
    except SyntaxError as error:
        return [f"{path}:{error.lineno}: {error.msg}"]
    return []


def report_long_files():
    for path in tracked("*.cc", "*.h", "*.go", "*.py"):
        with open(ROOT / path, encoding="utf-8") as text:
            lines = sum(1 for _ in text)
        limit = LONG_FILE * 3 // 2 if "_test." in path or path.startswith("tests/") else LONG_FILE
        if lines > limit:
            print(f"  note: {path}: {lines} lines, stop and think above {limit}")


CHECKS = {
    "format": check_format,
    "include-order": check_include_order,
    "bans": check_bans,
    "shell": check_shell,
    "python": check_python,
    "go": check_go,
    "headers": lambda options: compile_checks.headers(ROOT, tracked("*.h"), options),
    "gcc": lambda options: compile_checks.gcc(ROOT, options),
    "clang-tidy": lambda options: compile_checks.tidy(ROOT, tracked("*.cc"), options),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path, help="build folder of clang with compile_commands.json")
    parser.add_argument("--gcc-build", required=True, type=pathlib.Path, help="the same of GCC")
    parser.add_argument("--cache", required=True, type=pathlib.Path, help="folder that remembers what is clean")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=sorted(CHECKS), action="append", help="run just this check")
    parser.add_argument("files", nargs="*", help="for headers, gcc and clang-tidy: just these")
    options = parser.parse_args()
    options.build, options.gcc_build = options.build.resolve(), options.gcc_build.resolve()
    failed = 0
    names = options.only or list(CHECKS)
    for name in names:
        begin = time.monotonic()
        try:
            findings = CHECKS[name](options)
        except (OSError, subprocess.CalledProcessError) as failed_to_run:
            findings = [f"could not be run: {failed_to_run}"]  # and the others still are
        print(f"{name}: {f'{len(findings)} findings' if findings else 'clean'} ({time.monotonic() - begin:.0f} s)", flush=True)
        for finding in findings:
            print(f"  {finding}")
        failed += bool(findings)
    report_long_files()
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

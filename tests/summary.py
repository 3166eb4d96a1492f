"""Adds up what the suites of ./dev test counted and ends with 'N passed, N failed'.

Usage: summary.py FAILED LOG-WITHOUT-EXTENSION...; FAILED is 1 if some suite ended badly. Reads what GoogleTest, the seed
runners, go test, pytest and the fuzzer's runner print. A suite without any test is a failure.
"""

import pathlib
import re
import sys

# Each finds (passed, failed) numbers; all matches count.
GTEST_PASSED = re.compile(r"\[  PASSED  \] (\d+) tests?\.")
GTEST_FAILED = re.compile(r"\[  FAILED  \] (\d+) tests?, listed below")
CTEST_LINE = re.compile(r"^\s*\d+/\d+ Test +#\d+: (\S+) \.+ *(.*)$", re.MULTILINE)
GO_LINE = re.compile(r"^\s*--- (PASS|FAIL): ", re.MULTILINE)
FUZZ_LINE = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)
PYTEST_LINE = re.compile(r"^=+ .*\bin [\d.]+s.*=+$", re.MULTILINE)


def count(text):
    passed = sum(map(int, GTEST_PASSED.findall(text))) + GO_LINE.findall(text).count("PASS")
    failed = sum(map(int, GTEST_FAILED.findall(text))) + GO_LINE.findall(text).count("FAIL")
    for name, outcome in CTEST_LINE.findall(text):
        ok = outcome.startswith("Passed")
        if name.endswith("_seeds"):
            passed += ok
            failed += not ok
        elif not ok and "Failed" not in outcome:
            failed += 1  # it crashed or ran out of time, so GoogleTest could not count
    for good, bad in FUZZ_LINE.findall(text):
        passed, failed = passed + int(good), failed + int(bad)
    for line in PYTEST_LINE.findall(text)[-1:]:
        passed += sum(map(int, re.findall(r"(\d+) passed", line)))
        failed += sum(map(int, re.findall(r"(\d+) (?:failed|error|skipped)", line)))
    return passed, failed


def main():
    ended_badly, logs = int(sys.argv[1]), sys.argv[2:]
    all_passed = all_failed = 0
    for log in logs:
        path = pathlib.Path(log + ".log")
        passed, failed = count(path.read_text(errors="replace")) if path.exists() else (0, 0)
        if passed + failed == 0:
            failed = 1
        print(f"{path.stem:<16} {passed:>5} passed {failed:>5} failed")
        all_passed, all_failed = all_passed + passed, all_failed + failed
    if ended_badly and all_failed == 0:
        all_failed = 1
    print(f"{all_passed} passed, {all_failed} failed")
    return 1 if all_failed else 0


if __name__ == "__main__":
    sys.exit(main())

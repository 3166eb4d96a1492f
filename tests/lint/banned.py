"""Words that C++ code here does not use, why, and the few files that may. Source: the house style."""

import re

# (pattern, reason)
BANS = [
    (r"\bdetached\b", "swallows exceptions: spawn through TaskGroup"),
    (r"\bsleep_for\b|\busleep\(|[^\w_]sleep\(", "a sleep is no synchronisation: wait for the event with a Deadline"),
    (r"\bstd::j?thread\b(?!::id)", "one core thread; blocking work goes to the pool with RunOn"),
    (r"\bstd::(shared_|recursive_)?mutex\b", "state belongs to the core thread"),
    (r"catch \(\.\.\.\)", "only TaskGroup catches what is not a failure of ours"),
    (r"\bgetenv\b", "the environment is input: agent/config and agent/cli read it"),
    (r"\bsystem_clock::now\b", "time comes from base/core/clock"),
    (r"\bstd::c(out|err)\b", "commands write through agent/cli/output, daemons log"),
    (r"#include <(boost/asio|boost/beast|boost/json|grpcpp/grpcpp|boost/asio/experimental/.*/all)\.h(pp)?>",
     "umbrella headers cost every compile: include the single ones"),
    (r"\bForTest(ing)?\b|\bFRIEND_TEST\b", "no members for tests: inject a collaborator"),
    (r"\bNOLINT\w*(?!\w*\([a-z0-9,. -]+\): \S)", "NOLINT names its check and a reason: NOLINT(check): why"),
    (r"\b(TODO|FIXME|XXX)\b", "open work belongs in the tracker"),
    (r"\bassert\(", "CREDENCE_CHECK names the belief and stays in release builds"),
    (r"[?:]\s*co_await\b", "GCC 12 gets it wrong: name the awaited value before the choice"),
    (r"[\w>]\(\s*co_await\b|,\s*co_await\b", "GCC 12 gets it wrong: name the awaited value before the call"),
    (r"\bco_await\b[^;]*\[[^\]\s][^\]]*\]\s*[({]", "GCC 12 destroys it twice: name a capturing lambda before co_await"),
]
# Pattern to folders where it is at home.
EXEMPT_FOLDERS = {
    r"\bgetenv\b": ("agent/config/", "agent/cli/"),
}
# Pattern to {file: why it may}.
EXEMPT = {
    r"\bsleep_for\b|\busleep\(|[^\w_]sleep\(": {
        "agent/cli/authority/command_authority_keys.cc": "another process tells nobody when its keys are free again",
        "agent/cli/up/first_contact.cc": "another process's socket tells nobody when it begins to answer"},
    r"\bstd::j?thread\b(?!::id)": {
        "agent/cli/check/check_test.cc": "a vendor for a command that blocks"},
    r"\bstd::(shared_|recursive_)?mutex\b": {
        "base/core/log.cc": "every thread may log",
        "tests/fuzz/authority/memory_datastore.h": "the pool writes what the target looks at",
        "tests/testkit/fake_spire_services.h": "gRPC calls its services on threads of its own",
    },
    r"[\w>]\(\s*co_await\b|,\s*co_await\b": {
        "base/core/testing/run_task.h": "the only argument, of a call that cannot suspend"},
    r"\bstd::c(out|err)\b": {"tests/fuzz/run_seeds.cc": "a program of its own"},
    r"\bsystem_clock::now\b": {"base/core/clock.cc": "the one place that asks"},
}
EXTENSIONS = (".cc", ".h")


def check(root, path):
    if not path.endswith(EXTENSIONS) or path.startswith("tests/lint/faults"):
        return []
    findings = []
    text = (root / path).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//", 1)[0] if "NOLINT" not in line and "TODO" not in line else line
        for pattern, reason in BANS:
            if re.search(pattern, code) and not _exempt(pattern, path):
                findings.append(f"{path}:{number}: {re.search(pattern, code).group(0)}: {reason}")
    return findings


def _exempt(pattern, path):
    return path in EXEMPT.get(pattern, {}) or path.startswith(EXEMPT_FOLDERS.get(pattern, ("\0",)))


def unused_exemptions(root):
    """Exempt files that no longer need it."""
    findings = []
    for pattern, files in EXEMPT.items():
        for path in files:
            full = root / path
            if not full.exists() or not re.search(pattern, full.read_text(encoding="utf-8")):
                findings.append(f"tests/lint/banned.py: {path} no longer needs its exemption from {pattern}")
    return findings

"""Nothing includes upwards: a file may include only what stands at or above its own layer in this list."""

import re

# Top to bottom: what everything stands on, then what stands on it. A layer may include itself and all layers
# before it. Folders without an entry belong to the nearest one above them that has one.
LAYERS = [
    "proto", "base/core", "base/process", "base/spiffe", "base/crypto", "base/svid", "base/http", "base/wire",
    "base/h2", "base/rpc",
    "plugins/contract", "plugins/destinations", "plugins/keymanager", "attestors",
    "agent/config", "agent/upstream", "agent/authority/state", "agent/authority/keys", "agent/authority/web",
    "agent/authority/services", "agent/attestation", "agent/identity", "agent/exchange", "agent/governance",
    "agent/endpoints", "agent/app", "agent/cli", "tests", "examples",
]
# Pairs that are in order by the list but must not know each other: client and server sides are separate houses.
APART = {("base/h2", "base/http"), ("base/rpc", "base/h2"), ("base/rpc", "base/http")}
# Includes that go up on purpose: (file, included or *), each with its reason.
ALLOWED = {
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
GENERATED = re.compile(r"\.pb\.h$")


def layer_of(path):
    """Index in LAYERS, or None for a path outside the house."""
    best = None
    for index, layer in enumerate(LAYERS):
        if path.startswith(layer + "/") and (best is None or len(layer) > len(LAYERS[best])):
            best = index
    return best


def check(root, path, as_path=None):
    """Findings for one file; `as_path` judges it as if it stood there."""
    place = as_path or path
    own = layer_of(place)
    if own is None:
        return [f"{path}:1: stands in no layer; add its folder to tests/lint/include_order.py"]
    is_test = "_test." in place or "/testing/" in place
    findings = []
    with open(root / path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            if GENERATED.search(target):
                continue
            other = layer_of(target)
            if other is None:
                findings.append(f'{path}:{number}: "{target}" is not written from the root of the repository')
            elif not (root / target).exists() and not (root / (target + ".in")).exists():
                findings.append(f'{path}:{number}: "{target}" does not exist')
            elif other > own and not _allowed(place, target, is_test):
                findings.append(f'{path}:{number}: {LAYERS[own]} includes "{target}", which stands on it')
            elif (LAYERS[own], LAYERS[other]) in APART:
                findings.append(f'{path}:{number}: {LAYERS[own]} and {LAYERS[other]} must not know each other')
    return findings


def _allowed(place, target, is_test):
    if is_test and target.startswith("tests/"):
        return True  # a unit test may use the shared fakes
    return any(place == source and wanted in ("*", target) for source, wanted in ALLOWED)

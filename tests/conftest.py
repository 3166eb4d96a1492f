"""Fixtures for integration, conformance and adversarial tests. All of them need root: they run as several users."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "integration"))
pytest_plugins = ["harness.fixtures"]

if os.geteuid() != 0:
    raise SystemExit("these tests start processes of several users: run them as root, ./dev test does")

"""The strict stand-in for the Claude API (tests/fakes/claude)."""

import json
import os
import urllib.request

from .peers import peer
from .processes import wait_until
from .resources import ORGANIZATION


def rule(rule_id, subject, **more):
    return {"id": rule_id, "service_account_id": "svac_demo", "subject_prefix": subject, "token_lifetime_seconds": 600} | more


class Claude:
    """Trusts `issuer`, whose keys it fetches by OIDC discovery. `settings` are further keys of its configuration."""

    def __init__(self, scratch, issuer, rules, name="claude", issuer_settings=None, **settings):
        conf = scratch.path / f"{name}.json"
        conf.write_text(json.dumps({
            "organization_id": ORGANIZATION, "issuer": {"url": issuer, **(issuer_settings or {})}, "rules": rules, **settings}))
        self.process = scratch.start([peer("claude"), "-config", conf], f"{name}.log")
        wait_until(lambda: "\n" in self.process.output(), 10, "the stand-in is ready")
        addresses = json.loads(self.process.output().splitlines()[0])
        self.url, self.admin = addresses["api"], addresses["admin"]

    def history(self):
        """Exchanges so far, oldest first: outcome, jti, assertion_sha256, sub, request_id."""
        return self._ask("GET", "/history")

    def add_fault(self, kind, **more):
        self._ask("POST", "/faults", {"kind": kind, **more})

    def disable(self, rule_id):
        self._ask("POST", f"/rules/{rule_id}/disable")

    def enable(self, rule_id):
        self._ask("POST", f"/rules/{rule_id}/enable")

    def _ask(self, method, path, body=None):
        request = urllib.request.Request(self.admin + path, method=method, data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def assert_single_use(history):
    """No assertion, and no jti, was ever presented twice."""
    digests = [attempt["assertion_sha256"] for attempt in history]
    assert len(set(digests)) == len(digests)
    ids = [attempt["jti"] for attempt in history if attempt["jti"]]
    assert len(set(ids)) == len(ids)


def python_with_sdk(scratch):
    """(interpreter, environment) with the anthropic SDK for any user."""
    import shutil

    from .peers import sdk_packages
    copy = scratch.path / "python"
    if not copy.exists():
        shutil.copytree(sdk_packages(), copy, copy_function=os.link if os.stat(scratch.path).st_dev == os.stat(sdk_packages()).st_dev else shutil.copy2)
    return "/usr/bin/python3", {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}

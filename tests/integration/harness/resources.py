"""Texts of Destination and Grant resources. JSON is YAML, so nothing needs quoting."""

import json

API = "credence/v1"
ORGANIZATION = "3f2b8c1e-0000-4000-8000-000000000001"


def _document(kind, metadata, spec):
    return json.dumps({"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}, indent=1)


def destination(name, adapter, settings, **spec):
    return _document("Destination", {"name": name}, {"adapter": adapter, "settings": settings, **spec})


def grant(name, path, target, selectors=(), expires=None, **spec):
    """Gives `target` to spiffe://example.org<path>."""
    metadata = {"name": name} | ({"expires": expires} if expires else {})
    subject = {"spiffe_id": f"spiffe://example.org{path}"}
    if selectors:
        subject["selectors"] = list(selectors)
    subject.update(spec.pop("subject", {}))
    return _document("Grant", metadata, {"subject": subject, "destination": target, **spec})


def openbao(name, address, role, audience="openbao", **spec):
    return destination(name, "openbao", {"address": address, "role": role, "audience": audience}, **spec)


def claude(name, base_url, rule="fdrl_demo", audience=None, **spec):
    return destination(name, "anthropic", {
        "base_url": base_url, "federation_rule_id": rule, "organization_id": ORGANIZATION,
        "service_account_id": "svac_demo"} | ({"audience": audience} if audience else {}), **spec)


def together(*documents):
    return "\n---\n".join(documents) + "\n"

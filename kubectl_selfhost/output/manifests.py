"""Kubernetes objects as kubectl's ``-o`` prints them."""

from __future__ import annotations

import json
from collections.abc import Sequence


def as_text(manifests: Sequence[dict], how: str) -> str:
    """Return ``manifests`` as ``yaml`` (documents), ``json`` (a List) or ``name`` (kind.group/name
    lines).

    ``kubectl apply -f -`` accepts the first two.
    """
    if how == "name":
        return "".join(f"{_name(manifest)}\n" for manifest in manifests)
    if how == "json":
        whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        return json.dumps(whole, indent=4) + "\n"
    import yaml

    return yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True, width=100)


def _name(manifest: dict) -> str:
    group = manifest["apiVersion"].rpartition("/")[0]
    kind = manifest["kind"].lower() + (f".{group}" if group else "")
    return f"{kind}/{manifest['metadata']['name']}"

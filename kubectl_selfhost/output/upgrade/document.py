"""The facts of an upgrade's page as a document for programs.

Its schema is kubectl-selfhost/v1alpha1, kind Upgrade. New versions only add fields.

- ``version`` (the newest API server's), ``target`` (the version that was asked for, or null),
  ``offers[]`` (versions whose images are on every control-plane node)
- ``possible``: nothing blocks (exit status 0); ``next[]``: commands
- ``components[]``: name, node, version (null: nothing tells it), image (null for a kubelet),
  target (its version after the upgrade, or null)
- ``blocking[]``, ``told[]``: what, nodes[] (empty: the whole cluster), value, remedy (or null)
"""

from __future__ import annotations

from typing import Any

from kubectl_selfhost.controlplane.upgrade.findings import KUBELET, Finding, Findings, Running
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.output.document import API_VERSION
from kubectl_selfhost.output.upgrade.page import (
    after,
    next_commands,
    shown_target,
    version_text,
)


def document(found: Findings) -> dict[str, Any]:
    """Return the document as plain data."""
    target = shown_target(found)
    return {
        "apiVersion": API_VERSION,
        "kind": "Upgrade",
        "version": str(found.newest),
        "target": str(found.target.version) if found.target else None,
        "offers": [str(one.version) for one in found.offers],
        "possible": not found.blocking,
        "next": next_commands(found),
        "components": [
            {
                "name": one.component,
                "node": one.node,
                "version": version_text(one.component, one.version) or None,
                "image": one.image or None,
                "target": _target(one, target),
            }
            for one in found.running
        ],
        "blocking": [_finding(one) for one in found.blocking],
        "told": [_finding(one) for one in found.told],
    }


def _target(one: Running, target: Target | None) -> str | None:
    if target is None:
        return None
    if one.component == KUBELET:
        return str(target.version)
    return after(one.component, target, version_text(one.component, one.version))


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "what": one.what,
        "nodes": one.node.split(", ") if one.node else [],
        "value": one.value,
        "remedy": one.remedy or None,
    }

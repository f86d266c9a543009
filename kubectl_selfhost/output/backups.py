"""The status page's part on backups: the manifests that nodes keep, as the journal lists them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

from kubectl_selfhost.controlplane.instance import STATIC, parse_time
from kubectl_selfhost.health.state import ControlPlane
from kubectl_selfhost.health.verdict import Survey
from kubectl_selfhost.output.table import table
from kubectl_selfhost.output.text import age, clean, wrap

_DIGEST = 12


def backups(seen: ControlPlane) -> list[dict[str, Any]]:
    """Return the manifests that nodes keep, as the journal lists them. Ignore unknown entries.

    If the component's static pod exists, its manifest is back, whatever the journal says. A node
    that left the cluster took its manifests along.
    """
    known = {node.name for node in seen.nodes}
    static = {
        (node.name, component)
        for node in seen.nodes
        for component, instances in node.instances.items()
        if any(one.kind == STATIC and not one.ending for one in instances)
    }
    nodes = seen.journal.get("nodes")
    return [
        {**facts, "node": node, "component": component}
        for node, components in _items(nodes)
        for component, facts in _items(components)
        if isinstance(facts, dict) and facts.get("backup") and facts.get("switched_at")
        if (node, component) not in static and node in known
    ]


def _items(thing: object) -> Iterable[tuple[str, Any]]:
    return thing.items() if isinstance(thing, dict) else ()


def blocks(survey: Survey, *, wide: bool) -> list[list[str]]:
    """Return one block for each node, with paths relative to their common directory: so they fit."""
    by_node: dict[str, list[dict[str, Any]]] = {}
    for one in backups(survey.control_plane):
        by_node.setdefault(one["node"], []).append(one)
    found: list[list[str]] = []
    if len(by_node) > 1 and not wide:
        directories = {
            _common_directory([str(one["backup"]) for one in k]) for k in by_node.values()
        }
        where = f"Backups on {', '.join(by_node)} in {', '.join(sorted(directories))}"
        return [wrap(clean(f"{where} (-o wide lists them)"), rest="  ")]
    for node, kept in by_node.items():
        paths = [str(one["backup"]) for one in kept]
        directory = _common_directory(paths)
        digest = None if wide else _DIGEST
        rows = [
            [
                posixpath.relpath(path, directory),
                str(one.get("sha256") or "<unknown>")[:digest],
                age(parse_time(one.get("switched_at")), survey.taken),
            ]
            for one, path in zip(kept, paths, strict=True)
        ]
        title = f"Backups on {clean(node)} in {clean(directory)}"
        found.append([title, *table(("FILE", "SHA256", "SWITCHED"), rows)])
    return found


def _common_directory(paths: Sequence[str]) -> str:
    """Return our directory on the node, in which each component has a directory of its own."""
    above = {posixpath.dirname(posixpath.dirname(path)) for path in paths}
    return above.pop() if len(above) == 1 else "/"

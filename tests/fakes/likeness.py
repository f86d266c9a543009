"""A comparison of two worlds: whether what begins in the one goes as it goes in the other."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fakes.plane import Node
from kubectl_selfhost.names import JOURNAL

if TYPE_CHECKING:
    from fakes.world import World

#: UIDs, made-up ends of pods' names, and identities of leaders; then what only counts on.
_NAMES = r"uid-\d+|-2a[0-9a-f]{3}\b|_\d{4}\b"
_COUNTERS = r'2026-11-26T[\d:.]+Z|"resourceVersion": "\d+"'
_PASSING = re.compile(f"({_NAMES})|{_COUNTERS}")


def likeness(world: World) -> str:
    """Return a text that is the same for worlds which differ in nothing that a run depends on.

    Times, UIDs and versions are left out, and so is the journal: it explains, and never decides.
    """
    names: dict[str, str] = {}

    def plain(match: re.Match[str]) -> str:
        return names.setdefault(match[1], f"#{len(names)}") if match[1] else ""

    objects = sorted(
        ((re.sub(_NAMES, "", "/".join(key)), one) for key, one in world.store.all()),
        key=lambda pair: pair[0],
    )
    kept = [pair for pair in objects if not pair[0].endswith(f"/{JOURNAL}")]
    text = json.dumps([kept, [_of_node(node) for node in world.nodes]], default=_digest)
    return hashlib.sha256(_PASSING.sub(plain, text).encode()).hexdigest()


def _of_node(node: Node) -> Any:
    disk = asdict(node.disk)
    disk["switch"]["deadline"] = None
    disk["held"] = sorted(disk["held"])
    return [
        node.name,
        sorted(node.manifests.items()),
        disk,
        node.credentials.likeness(),
        sorted(
            (
                [
                    *(p.name, p.uid, p.runs, p.ready, p.ends is None, p.shares, p.spoilt),
                    *(p.restarts > 0, p.paused_until > 0),
                ]
                for p in node.processes
            ),
            key=str,
        ),
    ]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

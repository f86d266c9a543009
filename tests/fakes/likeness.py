"""A comparison of two worlds: whether what begins in the one goes as it goes in the other."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from fakes.plane import Node
from kubectl_selfhost.names import JOURNAL

if TYPE_CHECKING:
    from fakes.world import World

#: UIDs, made-up ends of pods' names, and identities of leaders; then what only counts on.
_NAMES = r"uid-\d+|-2a[0-9a-f]{3}\b|_\d{4}\b"
_COUNTERS = r'2026-11-26T[\d:.]+Z|"resourceVersion": "\d+"'
_NAME, _PASSING = re.compile(_NAMES), re.compile(f"({_NAMES})|{_COUNTERS}")


def likeness(world: World) -> str:
    """Return a text that is the same for worlds which differ in nothing that a run depends on.

    Times, UIDs and versions are left out, and so is the journal: it explains, and never decides.
    """
    objects = [(_place("/".join(key)), one) for key, one in _kept(world)]
    texts = []
    for place, one in sorted(objects, key=lambda pair: pair[0]):
        texts += [place, world.store.text(one)]
    texts += [json.dumps(_of_node(node), default=_digest) for node in world.nodes]
    found, names = hashlib.sha256(), dict[str, int]()
    for text in texts:
        plain, passing = _plain(text)
        numbers = [names.setdefault(name, len(names)) for name in passing]
        found.update(f"{plain}{numbers}".encode())
    return found.hexdigest()


def _kept(world: World) -> list[Any]:
    return [pair for pair in world.store.all() if pair[0][2] != JOURNAL]


@cache
def _place(key: str) -> str:
    return _NAME.sub("", key)


@cache
def _plain(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the text without what passes, and the names that were in it."""
    names: list[str] = []

    def note(match: re.Match[str]) -> str:
        if match[1]:
            names.append(match[1])
        return "#" if match[1] else ""

    return _PASSING.sub(note, text), tuple(names)


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
                [p.name, p.uid, p.runs, p.ready, p.ends is None, p.shares, p.spoilt, p.restarts > 0]
                for p in node.processes
            ),
            key=str,
        ),
    ]


@cache
def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

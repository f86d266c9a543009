"""The status page's part on a reboot: whether the API would come back, and by what."""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.health.state import NodeState
from kubectl_selfhost.output.text import clean, wrap


def lines(nodes: Iterable[NodeState]) -> list[str]:
    """Return what a reboot of each pivoted node would mean."""
    alike: dict[str, list[str]] = {}
    for node in nodes:
        if node.pivoted:
            alike.setdefault(_after(node), []).append(clean(node.name))
    return [
        line
        for text, names in alike.items()
        for line in wrap(text.format(nodes=", ".join(names)), first="Reboot:       ")
    ]


def _after(node: NodeState) -> str:
    if not node.guardian:
        return (
            "without a guardian on {nodes}, the API does not come back by itself; "
            "`kubectl selfhost sync` installs one"
        )
    if node.standing_in:
        return "on {nodes} recovery copies stand in: " + ", ".join(node.standing_in)
    if node.guardian_differs:
        return (
            "the guardian on {nodes} (another build's) brings the API back; `kubectl selfhost sync` "
            "renews it"
        )
    return "the guardian on {nodes} brings the API back"

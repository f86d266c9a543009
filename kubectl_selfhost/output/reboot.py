"""The status page's part on a reboot: whether the API comes back, and what brings it back."""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.health.state import NodeState
from kubectl_selfhost.output.text import clean, wrap


def lines(nodes: Iterable[NodeState]) -> list[str]:
    """Return what happens after a reboot of each pivoted node."""
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
            "without a guardian on {nodes} the API does not come back by itself; "
            "`kubectl selfhost sync` installs a guardian"
        )
    if node.standing_in:
        return "recovery copies serve on {nodes} now: " + ", ".join(node.standing_in)
    if node.guardian_differs:
        return (
            "the guardian on {nodes} (another build's program) brings the API back; "
            "`kubectl selfhost sync` updates the guardian"
        )
    return "the guardian on {nodes} brings the API back"

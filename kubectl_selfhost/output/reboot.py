"""What the status page says of a reboot: whether the API would come back, and by what."""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.controlplane.state import NodeState
from kubectl_selfhost.output.text import clean, wrap


def lines(nodes: Iterable[NodeState]) -> list[str]:
    """What a reboot of each pivoted node would mean."""
    return [
        line
        for node in nodes
        if node.pivoted
        for line in wrap(_after(node), first="Reboot:       ")
    ]


def _after(node: NodeState) -> str:
    name = clean(node.name)
    if not node.guardian:
        return (
            f"without a guardian on {name}, the API does not come back by itself; "
            "`kubectl selfhost sync` installs one"
        )
    if node.standing_in:
        return f"on {name} recovery copies stand in: {', '.join(node.standing_in)}"
    return f"the guardian on {name} brings the API back"


def warnings(nodes: Iterable[NodeState]) -> list[str]:
    """Copies that are not what a reboot should bring back, in sentences."""
    return [
        f"The recovery copy of {component} on {node.name} is not what its DaemonSet says: "
        "`kubectl selfhost sync` renews it."
        for node in nodes
        for component in node.outdated
    ]

"""The choices of a person for a revert."""

from __future__ import annotations

from dataclasses import dataclass

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.handover import ways


@dataclass(frozen=True)
class RevertOptions:
    """The choices of a person. ``nodes`` are the names of the nodes to revert (empty: all).
    ``timeout`` is the limit of each wait, in seconds; ``from_backup``: the files as they were
    before the pivot, byte for byte.
    """

    components: tuple[Component, ...] = COMPONENTS
    nodes: tuple[str, ...] = ()
    timeout: float = 300.0
    handover: str = ways.AUTO
    keep_backups: bool = False
    from_backup: bool = False

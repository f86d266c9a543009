"""The choices of a person for a pivot."""

from __future__ import annotations

from dataclasses import dataclass

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.handover import ways


@dataclass(frozen=True)
class PivotOptions:
    """The choices of a person. ``nodes`` are the names of the nodes to pivot (empty: all).
    ``timeout`` is the limit of each wait, in seconds; ``handover`` is the way in which ports change
    hands (``ways``); ``reboot_recovery``: the nodes get a guardian; ``separate``: nodes that differ
    get DaemonSets of their own, and are not refused.
    """

    components: tuple[Component, ...] = COMPONENTS
    nodes: tuple[str, ...] = ()
    timeout: float = 300.0
    handover: str = ways.AUTO
    ignore: tuple[str, ...] = ()
    reboot_recovery: bool = True
    separate: bool = False

    @property
    def allow_admission_changes(self) -> bool:
        return bool({"admission", "all"} & {name.strip().lower() for name in self.ignore})

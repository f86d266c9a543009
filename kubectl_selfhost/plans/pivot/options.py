"""What a person may choose of a pivot."""

from __future__ import annotations

from dataclasses import dataclass

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.handover import ways


@dataclass(frozen=True)
class PivotOptions:
    """What a person may choose. ``nodes`` are the names of those that are meant (none: all).
    ``timeout`` is the limit of each wait, in seconds; ``handover`` the way in which ports change
    hands (``ways``); ``reboot_recovery``: the nodes get a guardian; ``separate``: nodes that differ
    get DaemonSets of their own, where they are refused otherwise."""

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

"""The choices of a person for a roll-out."""

from __future__ import annotations

from dataclasses import dataclass, field

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.handover import ways


@dataclass(frozen=True)
class RolloutOptions:
    """The choices of a person. ``timeout`` is the limit of each wait, in seconds."""

    components: tuple[Component, ...] = COMPONENTS
    change: Change = field(default_factory=Change)
    timeout: float = 300.0
    handover: str = ways.AUTO

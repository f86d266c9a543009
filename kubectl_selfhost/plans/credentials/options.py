"""The choices of a person for a renewal of certificates."""

from __future__ import annotations

from dataclasses import dataclass

from kubectl_selfhost.controlplane.credentials import NAMES
from kubectl_selfhost.plans.rollout.options import RolloutOptions


@dataclass(frozen=True)
class RenewalOptions(RolloutOptions):
    """The choices of a person. ``nodes`` empty: all. ``only`` are names of certificates.

    ``less_than``: only those that end in fewer seconds; None: all. ``looks``: no file is changed.
    """

    nodes: tuple[str, ...] = ()
    only: tuple[str, ...] = NAMES
    less_than: float | None = None
    looks: bool = False

"""The choices of a person for an upgrade."""

from __future__ import annotations

from dataclasses import dataclass

from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.handover import ways


@dataclass(frozen=True)
class UpgradeOptions:
    """The choices of a person. ``version`` is None if a person only looks.

    ``back``: the version is older than the present one. ``keep_etcd``: etcd stays as it is.
    ``unset_flags`` and ``unset_gates`` are names that each component loses that has them.
    ``soak``: for how many seconds the new version is watched before it stays; None: the default.
    ``timeout`` is the limit of each wait, in seconds.
    """

    version: Version | None = None
    back: bool = False
    keep_etcd: bool = False
    unset_flags: tuple[str, ...] = ()
    unset_gates: tuple[str, ...] = ()
    timeout: float = 300.0
    soak: float | None = None
    handover: str = ways.AUTO

    @property
    def words(self) -> list[str]:
        """Return the options that decide about the target's way, as words of the command."""
        return [
            *(["--back"] if self.back else []),
            *[f"--unset-flag={name}" for name in self.unset_flags],
            *[f"--unset-gate={name}" for name in self.unset_gates],
        ]

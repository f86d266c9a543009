"""The leader: the holder of a Lease, as the Lease's object shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.instance import parse_time
from kubectl_selfhost.controlplane.values.hosts import Hosts
from kubectl_selfhost.names import NAMESPACE


@dataclass(frozen=True)
class Leader:
    """The holder of a Lease. ``current`` is False if the Lease has expired. ``namespace`` and
    ``name`` are those of the Lease.
    """

    holder: str
    renewed: datetime | None
    acquired: datetime | None
    transitions: int
    current: bool
    namespace: str = NAMESPACE
    name: str = ""

    def is_on(self, host: Hosts) -> bool:
        """Return whether the holder, whose identity is <host name>_<uuid>, is a process on ``host``."""
        return host.runs(self.holder)


def leader_of(component: Component, leases: list[dict]) -> Leader | None:
    """Return the holder of the component's lease, which is among ``leases``; None without a holder."""
    wanted = (component.lease_namespace, component.lease)
    own = [one for one in leases if (_namespace(one), one["metadata"]["name"]) == wanted]
    return holder(next(iter(own), None), newest_renewal(leases))


def holder(lease: dict | None, newest: datetime | None) -> Leader | None:
    """Return the holder of the lease; None without a holder.

    The newest renewal of any lease decides whether the holder is current, not this machine's clock.
    This clock may differ from the cluster's clock by more than a lease's duration, while the API
    server, the controller-manager and the scheduler renew their leases every 2 to 10 s.
    """
    spec = (lease or {}).get("spec") or {}
    if lease is None or not spec.get("holderIdentity"):
        return None
    renewed = parse_time(spec.get("renewTime"))
    limit = timedelta(seconds=spec.get("leaseDurationSeconds") or 15)
    return Leader(
        holder=spec["holderIdentity"],
        renewed=renewed,
        acquired=parse_time(spec.get("acquireTime")),
        transitions=spec.get("leaseTransitions") or 0,
        current=renewed is not None and (newest is None or newest - renewed <= limit),
        namespace=_namespace(lease),
        name=lease["metadata"]["name"],
    )


def newest_renewal(leases: Iterable[dict]) -> datetime | None:
    times = [parse_time((lease.get("spec") or {}).get("renewTime")) for lease in leases]
    return max((time for time in times if time is not None), default=None)


def _namespace(lease: dict) -> str:
    return str(lease["metadata"].get("namespace", NAMESPACE))

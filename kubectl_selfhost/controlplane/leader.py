"""Who leads: the holder of a Lease, as the Lease's object tells it."""

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
    """Who holds a Lease. ``current`` is False once it wasn't renewed for its duration; ``namespace``
    and ``name`` are the Lease's own."""

    holder: str
    renewed: datetime | None
    acquired: datetime | None
    transitions: int
    current: bool
    namespace: str = NAMESPACE
    name: str = ""

    def is_on(self, host: Hosts) -> bool:
        """Whether the holder is a process on ``host``: it calls itself <host name>_<uuid>."""
        return host.runs(self.holder)


def leader_of(component: Component, leases: list[dict]) -> Leader | None:
    """Return who holds the component's lease, which is among ``leases``; None for nobody."""
    wanted = (component.lease_namespace, component.lease)
    own = [one for one in leases if (_namespace(one), one["metadata"]["name"]) == wanted]
    return holder(next(iter(own), None), newest_renewal(leases))


def holder(lease: dict | None, newest: datetime | None) -> Leader | None:
    """Who holds the lease, None for nobody.

    Whether that is so *now* is judged by the newest renewal of any lease, not by our own clock,
    which may differ from the cluster's by more than a lease's duration: the apiserver, the
    controller-manager and the scheduler renew theirs every 2 to 10 s.
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

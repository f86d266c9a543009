"""Who leads: the lease of a component, before, while and after it changes hands.

The controller-manager doesn't give its lease back when it is told to end: its successor would wait
until the lease has run out (15 s). Once the old process is known to be gone, and only then, the run
removes its name from the lease, and the successor leads at its next try.
"""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import Conflict
from kubectl_selfhost.cluster.kinds import LEASES
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.leader import leader_of
from kubectl_selfhost.controlplane.values.hosts import ONLY_HOST, Hosts


class Leadership:
    """The lease of ``component``, compared with the lease when this object was made.

    Make the object while only the old instance can hold the lease, or an instance on another node:
    ``hosts`` tells the old instance's host from the others (empty: there is no other node).
    """

    def __init__(self, cluster: Cluster, component: Component, *, hosts: Hosts = ONLY_HOST) -> None:
        self._cluster = cluster
        self._hosts = hosts
        self._name = str(component.lease)
        self._namespace = component.lease_namespace
        self._before = self._spec(self._read())

    def is_here(self) -> bool:
        """Return whether the old instance led; a leader calls itself <host name>_<uuid>."""
        return not self._hosts or self._hosts.runs(self._before.get("holderIdentity") or "")

    def release(self) -> bool:
        """Remove the old holder's name from the lease; return False if somebody else holds it by
        now.

        The caller knows that the old holder's process is gone.
        """

        lease = self._read()
        holder = self._spec(lease).get("holderIdentity")
        if lease is None or not holder or holder != self._before.get("holderIdentity"):
            return False
        if lease["spec"].get("strategy"):
            # Coordinated leader election: the API server itself sets the holder. It might choose the
            # one that has just ended, which counts as alive for 5 s after it was last asked. Or it has
            # chosen the new one already, while another node's led no more: who renews it now lives.
            self._before = {"renewTime": lease["spec"].get("renewTime")}
            return False
        lease["spec"] = {**lease["spec"], "holderIdentity": ""}
        try:
            self._cluster.replace(LEASES, lease)
        except Conflict:  # the old holder's last renewal, or the new instance was faster
            return False
        return True

    def is_new(self) -> bool:
        """Return whether a process that lives holds the lease, and it isn't the process from
        before.

        A holder that renews the lease lives. The holder must also be another one, because the old
        holder's last renewal may be seen late.
        """
        now = self._spec(self._read())
        holder = now.get("holderIdentity")
        return (
            bool(holder)
            and holder != self._before.get("holderIdentity")
            and now.get("renewTime") != self._before.get("renewTime")
        )

    def forget_holder(self) -> None:
        """Forget the holder from before: any renewal from now on is the new instance's.

        A switch that another run began needs this.
        """
        self._before = {"renewTime": self._before.get("renewTime")}

    def _read(self) -> dict | None:
        return self._cluster.find(LEASES, self._name, self._namespace)

    @staticmethod
    def _spec(lease: dict | None) -> dict:
        return (lease or {}).get("spec") or {}


def is_held(cluster: Cluster, component: Component) -> bool:
    """Return whether somebody renews the lease of ``component`` now, judged by the newest renewal
    of any lease there: our clock may differ from the cluster's.
    """

    leader = leader_of(component, cluster.list(LEASES, component.lease_namespace))
    return leader is not None and leader.current

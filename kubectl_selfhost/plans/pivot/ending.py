"""The static pods that a pivot has replaced: they end, and everybody can see it.

A stopped API server with open watches lets its last requests finish until its grace period (30 s)
is over. Its successor serves by then, so nobody need wait for this. But the API doesn't tell: the
kubelet shows the mirror of a static pod as Running and Ready until the pod's last process has ended.
So the mirror pod is deleted as any pod is, with its grace period. The API then shows it as
Terminating. The kubelet removes it when the static pod has ended (HandlePodCleanups, Kubernetes 1.25
to 1.37); the static pod itself doesn't notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import Forbidden, Rejected
from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.instance import STATIC, Instance
from kubectl_selfhost.handover.conditions import instances_on
from kubectl_selfhost.names import NAMESPACE


class EndingPods:
    """The static pods of ``components`` on ``node``, which the DaemonSets' pods have replaced.

    ``grace_period`` is for how many seconds they may go on after they are told to end, and
    ``stopped_at`` is when the API server was told (time.monotonic); None if another run did.
    """

    def __init__(
        self,
        cluster: Cluster,
        node: str,
        components: Sequence[Component],
        *,
        grace_period: Callable[[], float],
        stopped_at: Callable[[], float | None],
    ) -> None:
        self._cluster = cluster
        self._node = node
        self._components = components
        self._grace_period = grace_period
        self._stopped_at = stopped_at
        self._deleted: set[str] = set()
        self._ends_by = 0.0

    @property
    def seconds_left(self) -> float:
        """Return after how many seconds at most the former API server ends; 0 if it has ended."""
        return max(0.0, self._ends_by - time.monotonic())

    def are_marked(self) -> bool:
        """Return whether no static pod is there that looks as if it stayed."""
        return not self._unmarked()

    def mark(self) -> bool:
        """Mark every static pod that is there, and return True.

        Raise Waiting while a static pod isn't marked. If the API refuses the deletion, as an
        admission webhook may, this takes until the pod has ended.
        """
        for instance in self._unmarked():
            self._delete(instance)
        left = self._unmarked()
        if left:
            raise Waiting(f"{left[0].pod} lets its last requests finish")
        if any(instance.ending for instance in self._instances(APISERVER)):
            self._ends_by = (self._stopped_at() or time.monotonic()) + self._grace_period()
        return True

    def _delete(self, instance: Instance) -> None:
        """Delete the mirror pod, once: if that is refused, another try would be, too."""
        if instance.uid in self._deleted:
            return
        self._deleted.add(instance.uid)
        with suppress(Forbidden, Rejected):
            self._cluster.delete(PODS, instance.pod, NAMESPACE, uid=instance.uid)

    def _unmarked(self) -> list[Instance]:
        found = [one for component in self._components for one in self._instances(component)]
        return [one for one in found if one.kind == STATIC and not one.ending]

    def _instances(self, component: Component) -> list[Instance]:
        return instances_on(self._cluster, component, self._node)

"""The hand-over of a roll-out: from a DaemonSet's pod to the pod of its next revision, on its node.

The DaemonSet controller does what it always does: it makes the new pod beside the old one
(maxSurge) and deletes the old pod once the new one has been Ready for ``minReadySeconds``. So
whatever becomes of this run, a new instance that doesn't get Ready never costs the old one. The
hand-over adds what the controller can't do: no client meets an apiserver which isn't ready, and the
next instance leads at once.

If two must not run side by side (``beside``), the new pod stands by at its first container, which
waits for the port. Then the run deletes the old pod, which the DaemonSet controller would never do.
"""

from __future__ import annotations

import time
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS, PODS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.daemonset.facts import MIN_READY_SECONDS
from kubectl_selfhost.engine.journal import now
from kubectl_selfhost.handover.conditions import REVISION_LABEL
from kubectl_selfhost.handover.handover import HandOver, Subject
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node.agent import AgentGone

#: On a DaemonSet: when a run last made its controller look at it again.
REMINDED_ANNOTATION = "kubectl-selfhost/reminded-at"
#: Seconds after which a new pod counts as available, and the controller should have seen it.
_OVERDUE = MIN_READY_SECONDS + 3.0


@dataclass(frozen=True)
class Revision(Subject):
    """The pod that is to go, and its DaemonSet before and after the change."""

    before: dict
    after: dict


class BetweenRevisions(HandOver[Revision]):
    """The hand-over from a DaemonSet's pod to its next revision's pod."""

    old_kind = "former"
    _begun: Revision | None = None
    _stood_in = False
    _revision = ""

    def expect(self, subject: Revision) -> None:
        """Have clients kept away from a new instance, which may come at any moment from now on."""
        self._conditions.old_pod = subject.old_uid
        self._begun = subject
        self._revision = self._conditions.revision_of(subject.old_uid)
        # Self-hosted instances share their ports by themselves; only the steward needs an order.
        if self.choice.is_steered:
            self._share(subject)

    def has_come(self) -> bool:
        """Return whether there is a new instance; never raise."""
        return bool(self._conditions.new_instances())

    def stay(self) -> None:
        """Wait until the old instance serves alone again, for a DaemonSet that was restored."""
        with self._cluster.waiting(self._timeout):
            if not self._shares and self._conditions.old_pod_is_gone():
                # The next instance waits until the port is free.
                self._conditions.delete_pods([i.uid for i in self._conditions.new_instances()])
            # The steward keeps clients away from the new instance until its pod is deleted.
            self._wait(
                self._old_serves_alone, f"the former {self.component} to serve alone", self._timeout
            )
            self._stop_steering()

    def wait_until_one_serves(self) -> None:
        """Wait until there is one instance on the node, whichever; instances that are ending don't
        count.
        """
        with self._cluster.waiting(self._timeout):
            self._wait(
                self._conditions.one_serves, f"one {self.component} to serve alone", self._timeout
            )

    def serving(self) -> str:
        """Return the UID of the pod that serves, after the switch; empty if it no longer serves."""
        return next((i.uid for i in self._conditions.new_instances() if i.ready), "")

    def _stop_steering(self) -> None:
        with suppress(AgentGone):
            if self._shared:
                self._agent.unshare(self.component.name, ())

    def _old_serves_alone(self) -> bool:
        if self.component != APISERVER and self._conditions.old_pod_is_gone():
            self._stand_in()
        return self._conditions.old_serves()

    def _stand_in(self) -> None:
        """Make a pod like the old one, bound to its node, which the DaemonSet then adopts.

        If the new instance is Ready and yet can't lead, nobody else would make such a pod: the
        controller-manager makes a DaemonSet's pods, and the scheduler binds them.
        """
        if self._begun is not None and not self._stood_in:
            self._stood_in = True

            self._cluster.create(PODS, stand_in(self._begun.before, self.node, self._revision))

    def _share(self, subject: Revision) -> None:
        """Do nothing: the port was shared when the new instance was expected."""
        if self.choice.is_steered and not self._shared:
            super()._share(subject)

    def _let_new_start(self, subject: Revision) -> None:
        """Do nothing: the DaemonSet controller lets the new instance start."""

    def _stop_old(self, subject: Revision) -> None:
        if not self._shares:
            self._wait(self._stands_by, f"the new {self.component} to stand by")
            self._conditions.delete_pods([subject.old_uid])
        if self.component != APISERVER:
            self._kill_old(subject.old_uid)

    def _stands_by(self) -> bool:
        """Return True when the new pod waits for the port: all that comes before is done."""

        for instance in self._conditions.new_instances():
            if instance.waiting_for_port:
                return True
            raise Waiting(f"{instance.pod}: {instance.phase}")
        raise Waiting("no pod yet")

    def _settle(self) -> None:
        overdue = time.monotonic() + _OVERDUE

        def ends() -> bool:
            nonlocal overdue
            if time.monotonic() >= overdue:
                overdue += _OVERDUE
                self._remind()
            return self._conditions.old_pod_ends()

        self._wait(ends, f"the former {self.component} to be told to end")

    def _remind(self) -> None:
        """Have the DaemonSet controller look again, as it does for each event.

        The controller looks ``minReadySeconds`` after a pod got Ready, but only once for all pods
        that got Ready meanwhile, counted from the first. If the new pod was Ready, not Ready, and
        Ready again, this is too early, and the controller would not look again by itself (seen with
        Kubernetes 1.37: updatePod of its daemon_controller.go, AddAfter of client-go).
        """

        annotations = {REMINDED_ANNOTATION: now()}
        name = self.component.daemonset
        self._cluster.patch(DAEMONSETS, name, {"metadata": {"annotations": annotations}}, NAMESPACE)


def stand_in(daemonset: dict, node: str, revision: str) -> dict:
    """Return the manifest of a pod as the DaemonSet's template describes it, bound to ``node``.

    ``revision`` is the revision of the pod for which it stands in. Without the revision the
    DaemonSet controller, if one works, deletes the pod and makes a pod of its own, which no
    scheduler binds (Kubernetes 1.37: podsShouldBeOnNode of daemon_controller.go).
    """
    template = deepcopy(daemonset["spec"]["template"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": daemonset["metadata"]["name"] + "-",
            "namespace": NAMESPACE,
            "labels": {
                **template["metadata"].get("labels", {}),
                **({REVISION_LABEL: revision} if revision else {}),
            },
            "annotations": template["metadata"].get("annotations", {}),
        },
        "spec": {**template["spec"], "nodeName": node},
    }


def put_back(cluster: Cluster, before: dict) -> None:
    """Restore the DaemonSet as it was ``before``, whatever became of it since."""

    current = cluster.get(DAEMONSETS, before["metadata"]["name"], NAMESPACE)
    current["spec"]["template"] = before["spec"]["template"]
    cluster.replace(DAEMONSETS, current)

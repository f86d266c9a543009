"""The hand-over of a roll-out: from a DaemonSet's pod to the one of its next revision, on its node.

The DaemonSet controller does what it always does: it makes the new pod beside the old one (maxSurge)
and takes the old one away once the new one has been Ready for ``minReadySeconds``. So whatever
becomes of this run, a new instance that doesn't get Ready never costs the old one. What is added is
what the controller can't see to: that no client meets an apiserver which isn't ready, and that the
next one leads at once.

Where there is a leader, the old process is killed, not its pod: the kubelet starts it again, as a
standby, so that somebody leads even if the new one can't.

Where two must not run side by side (``beside``), the new pod stands by at its first container, which
waits for the port. Then the old pod is deleted, which the DaemonSet controller would never do.
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

#: Of a DaemonSet: when its controller was last made to look at it again.
REMINDED_ANNOTATION = "kubectl-selfhost/reminded-at"
#: Seconds after which a new pod counts as available, and the controller should have seen it.
_OVERDUE = MIN_READY_SECONDS + 3.0


@dataclass(frozen=True)
class Revision(Subject):
    """The pod that is to go, and its DaemonSet before and after the change."""

    before: dict
    after: dict


class BetweenRevisions(HandOver[Revision]):
    """DaemonSet to DaemonSet."""

    old_kind = "former"
    _begun: Revision | None = None
    _stood_in = False
    _revision = ""

    def expect(self, subject: Revision) -> None:
        """Has clients kept away from a new instance, which may come at any moment from now on."""
        self._conditions.old_pod = subject.old_uid
        self._begun = subject
        self._revision = self._conditions.revision_of(subject.old_uid)
        # Instances of ours share their ports by themselves; only a steward must be asked for.
        if self.choice.is_steered:
            self._share(subject)

    def has_come(self) -> bool:
        """Whether there is a new instance; never raises."""
        return bool(self._conditions.new_instances())

    def stay(self) -> None:
        """Waits until the old instance serves alone again, for a DaemonSet that says so again."""
        with self._cluster.waiting(self._timeout):
            if not self._shares and self._conditions.old_pod_is_gone():
                # The next one waits until the port is free.
                self._conditions.delete_pods([i.uid for i in self._conditions.new_instances()])
            # The steward keeps clients away from the new one until the DaemonSet has taken it away.
            self._wait(
                self._old_serves_alone, f"the former {self.component} to serve alone", self._timeout
            )
            self._stop_steering()

    def wait_until_one_serves(self) -> None:
        """Waits until there is one instance on the node, whichever, but for those that are ending."""
        with self._cluster.waiting(self._timeout):
            self._wait(
                self._conditions.one_serves, f"one {self.component} to serve alone", self._timeout
            )

    def resume(self) -> None:
        """Lets a new instance go on that was stopped for the moment when it may lead."""
        with suppress(AgentGone):  # an agent that ends lets everybody go on
            self._agent.resume(self.component.name)

    def serving(self) -> str:
        """The UID of the pod that serves, after the switch; empty where it does no more."""
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
        """Makes a pod like the old one, bound to its node, which the DaemonSet then adopts.

        Where the new instance is Ready and yet can't lead, nobody else would: it takes a
        controller-manager to make a DaemonSet's pod, and a scheduler to bind it.
        """
        if self._begun is not None and not self._stood_in:
            self._stood_in = True

            self._cluster.create(PODS, stand_in(self._begun.before, self.node, self._revision))

    def _share(self, subject: Revision) -> None:
        """Once: it was when the new instance was expected."""
        if self.choice.is_steered and not self._shared:
            super()._share(subject)

    def _let_new_start(self, subject: Revision) -> None:
        """The DaemonSet controller has, or will."""

    def _stop_old(self, subject: Revision) -> None:
        if not self._shares:
            self._wait(self._stands_by, f"the new {self.component} to stand by")
            self._conditions.delete_pods([subject.old_uid])
        if self.component != APISERVER:
            self._agent.kill(subject.old_uid)

    def _stands_by(self) -> bool:
        """The new pod waits for the port: all that comes before is done."""

        for instance in self._conditions.new_instances():
            if instance.waiting_for_port:
                return True
            raise Waiting(f"{instance.pod}: {instance.phase}")
        raise Waiting("no pod yet")

    def _wait_until_old_is_gone(self) -> None:
        """It was seen to be; what runs by now is a standby that the kubelet has started."""

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
        """Has the DaemonSet controller look again, as it does for each event.

        It looks ``minReadySeconds`` after a pod got Ready, but only once for all that got Ready
        meanwhile, counted from the first: where the new one was Ready, not Ready, and Ready again,
        that is too early, and by itself it would not look any more (seen with Kubernetes 1.37:
        updatePod of its daemon_controller.go, AddAfter of client-go).
        """

        annotations = {REMINDED_ANNOTATION: now()}
        name = self.component.daemonset
        self._cluster.patch(DAEMONSETS, name, {"metadata": {"annotations": annotations}}, NAMESPACE)


def stand_in(daemonset: dict, node: str, revision: str) -> dict:
    """The manifest of a pod as the DaemonSet's template says it, bound to ``node``.

    ``revision`` is that of the pod which it stands in for. Without it the DaemonSet controller, if one
    works, deletes the pod again for one of its own that no scheduler binds (Kubernetes 1.37:
    podsShouldBeOnNode of daemon_controller.go).
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
    """Has the DaemonSet say again what it said ``before``, whatever became of it since."""

    current = cluster.get(DAEMONSETS, before["metadata"]["name"], NAMESPACE)
    current["spec"]["template"] = before["spec"]["template"]
    cluster.replace(DAEMONSETS, current)

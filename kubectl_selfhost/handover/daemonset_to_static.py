"""The hand-over of a revert: from a DaemonSet's pod to a static pod.

The run puts the static pod's manifest into the kubelet's directory, and the static pod starts
beside the DaemonSet's pod. The agent on the node removes the manifest again by itself unless the
run confirms in time that the static pod serves. Only after this the run deletes the DaemonSet. So
whatever becomes of this run, one of the two serves.

If two must not run side by side (``beside``), the DaemonSet's pod is deleted for the static pod; a
pod that the DaemonSet controller makes meanwhile waits at the hold file.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from kubectl_selfhost.cluster.kinds import DAEMONSETS, PODS
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.handover.handover import HandOver, Subject
from kubectl_selfhost.handover.leadership import Leadership
from kubectl_selfhost.handover.revision_to_revision import stand_in
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node import manifestfile
from kubectl_selfhost.node.agent import AgentGone
from kubectl_selfhost.node.orders import Placement


@dataclass(frozen=True)
class Hosted(Subject):
    """The DaemonSet's pod that is to go, and the static pod's manifest: its file's name, its text."""

    file: str
    content: bytes


class ToStaticPod(HandOver[Hosted]):
    """The hand-over from DaemonSet to static pod."""

    old_kind = "self-hosted"
    new_kind = "static"
    _begun = False
    _revision = ""

    def done(self) -> bool:
        """Return whether there is no DaemonSet any more, or no pod of it here while other nodes
        have some.
        """

        if self._hosts and all(i.kind == STATIC for i in self._conditions.instances()):
            return True
        return self._cluster.find(DAEMONSETS, self.component.daemonset, NAMESPACE) is None

    def do(self, subject: Hosted) -> None:
        self._conditions.old_pod = subject.old_uid
        self._conditions.new_kind = STATIC
        self._begun = True
        self._revision = self._conditions.revision_of(subject.old_uid)
        super().do(subject)

    def remove(self) -> None:
        """Delete the DaemonSet beside a static pod that serves already (a lone node's)."""
        began = time.monotonic()
        with self._cluster.waiting(self._limit):
            self._wait(self._conditions.static_serves, f"the static {self.component} to serve")
            self._delete_daemonset()
        self.seconds = time.monotonic() - began

    def stands(self) -> bool:
        """Return whether the static pod's manifest is in the kubelet's directory already."""
        files = {file.name: file.content for file in self._agent.manifests()}
        return bool(manifestfile.files_of(files, self.component))

    def undo(self) -> None:
        """Remove the static pod unless it was confirmed; wait until the old instance serves."""
        if self.seconds is None and self._begun:
            with self._cluster.waiting(self._timeout):
                self._take_back()

    def take_back(self) -> None:
        """Remove the static pod for a run that was killed, as ``undo`` does."""
        self._begun = self._shared = True
        self.undo()

    def _take_back(self) -> None:
        with suppress(AgentGone):  # an agent that ends removes what wasn't confirmed
            state = self._agent.status()
            if state["component"] == self.component.name:
                if state["state"] == "confirmed" and self.stands():
                    return
                if state["state"] == "placed":
                    reason = "the run that placed the manifest has ended"
                    self._agent.put_back(self.component.name, reason)
            self._agent.release(self.component.name)
            if not self._hosted_here():
                self._stand_in()
        # The steward keeps clients away from the static pod until the kubelet has stopped it.
        self._wait(
            self._conditions.old_serves_alone,
            f"the self-hosted {self.component} to serve alone",
            self._timeout,
        )
        with suppress(AgentGone):
            if self._shared:
                self._agent.unshare(self.component.name, ())

    def _hosted_here(self) -> bool:
        return any(i.kind == DAEMONSET and not i.terminating for i in self._conditions.instances())

    def _stand_in(self) -> None:
        """Make the DaemonSet's pod that was deleted for the static pod, bound to its node.

        The controller-manager would have to make such a pod, and the scheduler to bind it.
        """

        daemonset = self._cluster.find(DAEMONSETS, self.component.daemonset, NAMESPACE)
        if daemonset is not None:
            self._cluster.create(PODS, stand_in(daemonset, self.node, self._revision))

    def _let_new_start(self, subject: Hosted) -> None:
        self._agent.place(
            Placement(
                component=self.component.name,
                file=subject.file,
                content=subject.content,
                port=subject.port,
                # The switch must outlast the wait for readiness, and for the lease.
                limit=int(3 * self._limit) or 1,
            )
        )

    def _stop_old(self, subject: Hosted) -> None:
        if not self._shares:
            self._agent.hold(self.component.name)
            self._let_new_start(subject)
            self._conditions.delete_pods([subject.old_uid])
        if self.component != APISERVER:
            self._kill_old(subject.old_uid)

    def _finish(self, leadership: Leadership | None, *, began: float) -> None:
        super()._finish(leadership, began=began)
        self._delete_daemonset()

    def _new_serves(self) -> bool:
        """Return True when the static pod is Ready: the DaemonSet's pod listens until it is deleted."""
        return self._conditions.is_ready()

    def _settle(self) -> None:
        self._confirm(f"removed the static {self.component}")

    def _delete_daemonset(self) -> None:
        """Delete the DaemonSet and then its pod: in this order the pod isn't made again, whoever
        leads.

        If other nodes need the DaemonSet, it stays, and its pod here stays until the node's label
        goes.
        """

        if self._hosts:
            return
        old = [i for i in self._conditions.instances() if i.kind == DAEMONSET]
        self._cluster.delete(
            DAEMONSETS, self.component.daemonset, NAMESPACE, propagation="Background"
        )
        for instance in old:
            self._cluster.delete(PODS, instance.pod, NAMESPACE, uid=instance.uid)

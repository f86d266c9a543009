"""The hand-over of the pivot: from a static pod to the DaemonSet's pod.

The new instance's pod is up, and waits at its init container until a hold file goes. The agent
stops the old instance by taking its manifest away, and puts the manifest back by itself unless the
run confirms in time that the new instance serves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.engine.lease_errors import LeaseLost
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.conditions import HandOverFailed
from kubectl_selfhost.handover.handover import HandOver, Subject
from kubectl_selfhost.handover.leadership import Leadership
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node.agent import AgentError, AgentGone
from kubectl_selfhost.node.orders import Order

#: Seconds in which something must listen on the port, or the agent puts the static pod back.
LISTEN_LIMIT = 60


@dataclass(frozen=True)
class StaticPod(Subject):
    """The static pod that is to go, with its manifest's file and digest."""

    file: str
    sha256: str


class FromStaticPod(HandOver[StaticPod]):
    """The hand-over from static pod to DaemonSet."""

    old_kind = "static"
    _armed = False

    def resume(self) -> None:
        """Continue a switch that a killed run began; raise as ``do`` does."""
        leadership = None
        self._armed = True
        with self._cluster.waiting(self._limit):
            if self.component.lease is not None:
                leadership = Leadership(self._cluster, self.component)
                leadership.forget_holder()
            self._finish(leadership, began=time.monotonic())

    def undo(self) -> None:
        """Take the component back, or finish if its new instance serves; wait until one of the two
        serves.
        """
        if self.seconds is not None:
            return  # confirmed by this run
        with self._cluster.waiting(self._timeout):
            try:
                if self._is_confirmed() or self._is_finished():
                    return
                self._take_back()
            except AgentGone:
                self._wait_for_either()

    def _is_finished(self) -> bool:
        """Finish the hand-over if the new instance is Ready; return whether it serves now.

        The new instance shares the port and was seen to serve before the old one was told to end:
        going back would cost clients one start of the old instance.
        """
        if not (self._shared and self._armed and self._is_armed()):
            return False
        try:
            self._conditions.is_ready()
            self._tell(f"the self-hosted {self.component} is Ready: finishing its hand-over")
            self._take_over()
        except (AgentGone, LeaseLost):
            raise
        except (SelfhostError, Waiting):
            return False
        return True

    def _is_confirmed(self) -> bool:
        state = self._agent.status() if self._armed else {}
        return state.get("component") == self.component.name and state["state"] == "confirmed"

    def _take_back(self) -> None:
        name = self.component.name
        state = self._agent.status()
        if self._armed and state["component"] == name and state["state"] in ("armed", "put-back"):
            self._agent.put_back(name, "the run that switched the component has ended")
        if self._shared:
            self._agent.unshare(name, self._new_uids())
        if self._armed:
            self._wait(
                self._conditions.static_serves, f"the static {name} to serve again", self._timeout
            )

    def _wait_for_either(self) -> None:
        """Wait until one of the two serves: the agent has put the static pod back before it ended,
        or had no reason to.
        """
        what = f"the static {self.component} to serve again"
        try:
            # First: a new instance that was stopped just now can still be called Ready.
            self._wait(self._conditions.static_serves, what, min(self._timeout, 20.0))
        except SelfhostError:
            if not self.done():
                self._wait(self._conditions.static_serves, what, self._timeout)

    def _let_new_start(self, subject: StaticPod) -> None:  # noqa: ARG002 - it is up, and waits
        self._agent.release(self.component.name)

    def _stop_old(self, subject: StaticPod) -> None:
        order = Order(
            component=self.component.name,
            file=subject.file,
            sha256=subject.sha256,
            port=subject.port,
            static_uid=subject.old_uid,
            instance_uids=self._require_uids(),
            limit=int(self._limit) or 1,
            listen_limit=int(min(self._timeout, LISTEN_LIMIT)) or 1,
        )
        self._armed = True
        try:
            self._agent.arm(order)
        except AgentError as error:
            # An answer may be lost as the API server goes; the order was carried out then.
            if error.code != "state" or not self._is_armed():
                raise

    def _require_uids(self) -> tuple[str, ...]:
        found = self._new_uids()
        if not found:
            raise HandOverFailed(
                f"The self-hosted {self.component} no longer has a pod on node {self.node}.",
                f"Look at `kubectl -n {NAMESPACE} describe daemonset {self.component.daemonset}`.",
            )
        return found

    def _is_armed(self) -> bool:
        state = self._agent.status()
        return state["state"] == "armed" and state["component"] == self.component.name

    def _settle(self) -> None:
        self._confirm(f"took {self.component} back")

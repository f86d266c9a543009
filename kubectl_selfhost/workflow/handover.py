"""A hand-over: on one node, one component goes from instance A to instance B.

Everything we do to a control plane is made of these. A stops only for a B that is up or waiting,
and the agent on the node takes A back by itself unless it is told in time that B serves. How the
port changes hands is the hand-over's *way*; there is one so far:

- ``waiting``: B's init container waits until A has let go of the port. The gap is one start of the
  component. (A process that lacks SO_REUSEPORT can't share its port with a second one.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.instance import Instance, instances_of
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node.agent import AgentError, AgentGone, NodeAgent, Order

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

WAITING = "waiting"

#: The agent's limits, in seconds. An apiserver starts in 1.3 s on an idle 2-core machine; a small
#: ARM board takes much longer, and a limit that is too short turns a slow start into a failure.
SWITCH_LIMIT = 120
LISTEN_LIMIT = 60

#: A restart or two can be a port that wasn't free for a moment; more is a component that can't run.
RESTARTS_THAT_FAIL = 2


class HandOverFailed(SelfhostError):
    """The new instance did not come to serve, or the switch was taken back."""


@dataclass(frozen=True)
class Subject:
    """The static pod that is to go: its manifest's file and digest, its port, its pod's UID.

    ``elects`` says whether the component takes part in a leader election.
    """

    file: str
    sha256: str
    port: int
    static_uid: str
    elects: bool


class HandOver:
    """Static pod to DaemonSet, for one component on one node."""

    def __init__(
        self,
        cluster: Cluster,
        agent: NodeAgent,
        component: Component,
        *,
        timeout: float,
        tell: Callable[[str], None],
    ) -> None:
        """``timeout`` is the limit of each wait in seconds; ``tell`` hears what is waited for."""
        self._cluster = cluster
        self._agent = agent
        self.component = component
        self._timeout = timeout
        self._tell = tell
        self.seconds: float | None = None

    @property
    def node(self) -> str:
        return self._agent.target.node

    def instances(self) -> list[Instance]:
        """The component's instances on this node, as the API shows them."""
        return instances_on(self._cluster, self.component, self.node)

    def done(self) -> bool:
        """Whether the DaemonSet's instance serves alone."""
        found = self.instances()
        return bool(found) and all(i.kind == "daemonset" for i in found) and _ready(found)

    def do(self, subject: Subject) -> None:
        """Switches, waits until the new instance serves as itself, and tells the agent so.

        Raises HandOverFailed with the reason; whoever runs it then calls ``undo``.
        """
        before = self._lease() if subject.elects else None
        began = time.monotonic()
        self._arm(subject)
        self._finish(before, elects=subject.elects, began=began)

    def resume(self) -> None:
        """Goes on with a switch that a run began which was killed; raises as ``do`` does."""
        elects = self.component.lease is not None
        # Who held the lease before the switch is no longer known: any renewal is the new one's.
        before = {"renewTime": self._lease().get("renewTime")} if elects else None
        self._finish(before, elects=elects, began=time.monotonic())

    def _finish(self, before: dict | None, *, elects: bool, began: float) -> None:
        limit = min(self._timeout, SWITCH_LIMIT)
        with self._cluster.waiting(limit):
            self._wait(self._serves, f"the self-hosted {self.component} to serve", limit)
            if elects:
                self._wait(
                    lambda: self._leads(before or {}),
                    f"the self-hosted {self.component} to become the leader",
                    limit,
                )
            self._confirm()
            self.seconds = time.monotonic() - began
            self._wait(self._static_gone, f"the static {self.component} to end", self._timeout)

    def undo(self) -> None:
        """Takes the component back unless its new instance was confirmed; waits until it serves."""
        if self.seconds is not None:
            return  # confirmed by this run
        with self._cluster.waiting(self._timeout):
            try:
                state = self._agent.status()
                if state.get("component") != self.component.name or state["state"] == "confirmed":
                    return
                self._agent.put_back(self.component.name, "the run that switched it was ended")
            except AgentGone:
                self._wait_for_either()
                return
            self._wait(
                self._static_serves, f"the static {self.component} to serve again", self._timeout
            )

    def _wait_for_either(self) -> None:
        """The agent has put the static pod back before it ended, or had no reason to."""
        what = f"the static {self.component} to serve again"
        try:
            # First: a new instance that was stopped just now can still be called Ready.
            self._wait(self._static_serves, what, min(self._timeout, 20.0))
        except SelfhostError:
            if not self.done():
                self._wait(self._static_serves, what, self._timeout)

    def _arm(self, subject: Subject) -> None:
        waiting = [i for i in self.instances() if i.kind == "daemonset"]
        if not waiting:
            raise HandOverFailed(
                f"The self-hosted {self.component} has no pod on node {self.node} any more.",
                f"Look at `kubectl -n {NAMESPACE} describe daemonset {self.component.daemonset}`.",
            )
        order = Order(
            component=self.component.name,
            file=subject.file,
            sha256=subject.sha256,
            port=subject.port,
            static_uid=subject.static_uid,
            instance_uids=tuple(i.uid for i in waiting),
            limit=int(min(self._timeout, SWITCH_LIMIT)) or 1,
            listen_limit=int(min(self._timeout, LISTEN_LIMIT)) or 1,
        )
        with self._cluster.waiting(self._timeout):
            try:
                self._agent.arm(order)
            except AgentError as error:
                # An answer may be lost as the API server goes; the order was carried out then.
                if error.code != "state" or not self._is_armed():
                    raise

    def _is_armed(self) -> bool:
        state = self._agent.status()
        return state["state"] == "armed" and state["component"] == self.component.name

    def _confirm(self) -> None:
        try:
            self._agent.confirm(self.component.name)
        except AgentError as error:
            raise HandOverFailed(
                f"The agent on node {self.node} took {self.component} back just as it served: "
                f"{error.message}",
                _AGAIN,
            ) from error

    def _serves(self) -> bool:
        """The new instance is Ready, the old process gone from the port; or raises why not yet."""
        from kubectl_selfhost.cluster.waits import Waiting

        self._check_switch()
        found = [i for i in self.instances() if i.kind == "daemonset"]
        for instance in found:
            if instance.restarts >= RESTARTS_THAT_FAIL and not instance.ready:
                raise HandOverFailed(
                    f"The self-hosted {self.component} on node {self.node} can't run "
                    f"({instance.restarts} restarts): {instance.reason or instance.phase}.",
                    _AGAIN,
                )
        if not _ready(found):
            phases = ", ".join(_words(i) for i in found) or "no pod"
            raise Waiting(f"self-hosted {self.component}: {phases}")
        if self.component is APISERVER:
            self._cluster.raw("GET", "/readyz")
        return True

    def _check_switch(self) -> None:
        state = self._agent.status()
        if state["state"] == "put-back":
            raise HandOverFailed(
                f"The agent on node {self.node} put the static {self.component} back: "
                f"{state['reason']}.",
                _AGAIN,
            )

    def _static_gone(self) -> bool:
        from kubectl_selfhost.cluster.waits import Waiting

        if any(i.kind == "static" for i in self.instances()):
            raise Waiting(f"the static {self.component} is ending (it lets open requests finish)")
        return True

    def _static_serves(self) -> bool:
        from kubectl_selfhost.cluster.waits import Waiting

        found = [i for i in self.instances() if i.kind == "static"]
        if not _ready(found):
            phases = ", ".join(_words(i) for i in found) or "not started yet"
            raise Waiting(f"static {self.component}: {phases}")
        return True

    def _lease(self) -> dict:
        from kubectl_selfhost.cluster.kinds import LEASES

        lease = self._cluster.find(LEASES, str(self.component.lease), NAMESPACE)
        return (lease or {}).get("spec", {})

    def _leads(self, before: dict) -> bool:
        """Whether a process that lives holds the component's lease: one that renews it.

        The old leader has ended by now, so a lease that is renewed is the new one's; that it is
        another holder as well is asked for because the old one's last renewal may be seen late.
        """
        from kubectl_selfhost.cluster.waits import Waiting

        self._check_switch()
        lease = self._lease()
        same = "holderIdentity" in before and (
            lease.get("holderIdentity") == before["holderIdentity"]
        )
        if (
            same
            or not lease.get("holderIdentity")
            or lease.get("renewTime") == before.get("renewTime")
        ):
            raise Waiting(f"the lease of the static {self.component} has to run out first")
        return True

    def _wait(self, check: Callable[[], bool], what: str, limit: float) -> None:
        from kubectl_selfhost.cluster.waits import wait_until

        wait_until(check, what=what, timeout=limit, tell=self._tell)


_AGAIN = "Mend the cause, then run `kubectl selfhost pivot` again."


def instances_on(cluster: Cluster, component: Component, node: str) -> list[Instance]:
    """The instances of ``component`` on ``node``: one request."""
    from kubectl_selfhost.cluster.kinds import PODS

    labels = ",".join(f"{key}={value}" for key, value in component.labels.items())
    pods = cluster.list(PODS, NAMESPACE, labels=labels, fields=f"spec.nodeName={node}")
    return instances_of(pods, component)


def _ready(instances: list[Instance]) -> bool:
    return any(instance.ready for instance in instances)


def _words(instance: Instance) -> str:
    return f"{instance.phase} ({instance.reason})" if instance.reason else instance.phase

"""A hand-over: on one node, one component goes from instance A to instance B.

Every change of a control plane is made of hand-overs. A stops only for a B that is up or waiting,
and A is taken back unless B is seen to serve. How the port changes hands is the hand-over's *way*
(see ``ways``). If the port is shared, B starts beside A and is Ready before A is stopped. What B
must not do before A is gone (lead), B does at once after.

The subclasses decide what A and B are, and so how B is let start and A is stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.values.hosts import ONLY_HOST, Hosts
from kubectl_selfhost.handover.conditions import AGAIN, Conditions, HandOverFailed
from kubectl_selfhost.handover.leadership import Leadership
from kubectl_selfhost.handover.ways import WAITING, Choice
from kubectl_selfhost.node.agent import AgentError, NodeAgent
from kubectl_selfhost.node.orders import ShareOrder

#: The limit of each wait, in seconds. An apiserver starts in 1.3 s on an idle 2-core machine; a small
#: ARM board takes much longer, and a limit that is too short turns a slow start into a failure.
SWITCH_LIMIT = 120
#: The agent's code if nothing listens on the port that is to be shared (base/failure.h).
_SILENT = "silent"
#: Seconds that a new apiserver gets to become ready if its probes can't tell.
UNTOLD = 10.0


@dataclass(frozen=True)
class Subject:
    """The instance that is to go: its port, and its pod's UID as the kubelet knows it.

    ``retry_period`` is for how many seconds at least a process that doesn't lead waits before it
    tries again; 0 if there is no leader election. ``probe_address`` is where the new instance is
    probed. ``doubt``: why an apiserver's Ready condition can be another instance's
    (``readiness.doubt``).
    """

    port: int
    old_uid: str
    retry_period: float
    probe_address: str
    doubt: str = field(default="", kw_only=True)


S = TypeVar("S", bound=Subject)
H = TypeVar("H", bound="HandOver[Any]")


class HandOver(Generic[S]):
    """The hand-over of one component on one node."""

    #: The name, in messages, of the instance that is to go.
    old_kind = "old"
    #: The name, in messages, of the new instance.
    new_kind = "self-hosted"

    def __init__(
        self,
        cluster: Cluster,
        agent: NodeAgent,
        component: Component,
        *,
        choice: Choice,
        timeout: float,
        tell: Callable[[str], None],
        hosts: Hosts = ONLY_HOST,
        slack: float = 0.0,
    ) -> None:
        """Prepare the hand-over. ``slack`` is what the component's own flags add to a switch
        (``pace.slack``). ``timeout`` is the limit of each wait in seconds; ``tell`` is called with
        what is waited for; ``hosts`` tells the node's host from the others', if the leader may be
        on another.
        """
        self._cluster = cluster
        self._agent = agent
        self.component = component
        self.choice = choice
        self._conditions = Conditions(cluster, agent, component)
        self._timeout = timeout
        self._tell = tell
        self._hosts = hosts
        self._slack = slack
        self._shared = False
        self._leadership: Leadership | None = None
        #: The old pod's UID if its process was killed; the pod is not deleted.
        self._killed = ""
        self._killed_again = False
        self._began_at = 0.0
        self.seconds: float | None = None

    def again(self: H) -> H:
        """Return another hand-over of the same component on the same node, which hasn't begun."""
        return type(self)(
            self._cluster,
            self._agent,
            self.component,
            choice=self.choice,
            timeout=self._timeout,
            tell=self._tell,
            hosts=self._hosts,
            slack=self._slack,
        )

    @property
    def node(self) -> str:
        return self._agent.target.node

    @property
    def stopped_at(self) -> float | None:
        """Return when this run told the old instance to end (time.monotonic); None if it didn't."""
        return self._began_at or None

    def done(self) -> bool:
        """Return whether the new instance serves alone."""
        return self._conditions.alone()

    def do(self, subject: S) -> None:
        """Switch, and wait until the new instance serves as itself.

        Raise HandOverFailed with the reason; the caller then calls ``undo``.
        """
        if self._shares:
            # First: an old instance that is restarting becomes another holder of the lease.
            with self._cluster.waiting(self._limit):
                self._share(subject)
        leadership = None
        if subject.retry_period:  # while the new instance can't hold the lease yet
            leadership = Leadership(self._cluster, self.component, hosts=self._hosts)
            if not leadership.is_here():
                leadership = None  # another node's instance leads, and goes on to lead
        with self._cluster.waiting(self._limit):
            if self._shares:
                self._start_beside(subject)
            self._leadership, self._began_at = leadership, time.monotonic()
            self._stop_old(subject)
            self._take_over()

    def _take_over(self) -> None:
        """Wait until the new instance serves as itself, after the old one was told to end. Call it
        again if it was interrupted.
        """
        if self._leadership is not None:
            self._wait_until_old_is_gone()
            self._leadership.release()
        self._finish(self._leadership, began=self._began_at)

    def undo(self) -> None:
        """Take the component back unless its new instance serves; wait until the old one does."""
        raise NotImplementedError

    def _let_new_start(self, subject: S) -> None:
        """Let the new instance start beside the old one."""
        raise NotImplementedError

    def _stop_old(self, subject: S) -> None:
        """Tell the old instance to end; the new one is up, or waits for the port."""
        raise NotImplementedError

    def _kill_old(self, uid: str) -> None:
        """Kill the old instance's process, not its pod, and return when the process is gone.

        The kubelet starts the process again, as a standby: so somebody leads even if the new
        instance can't.
        """
        self._agent.kill(uid)
        self._killed = uid

    def _wait_until_old_is_gone(self) -> None:
        """Wait until no process of the old instance is left that could think it led."""
        if not self._killed:  # else the process was seen to be gone
            self._wait(
                self._conditions.old_process_gone, f"the {self.old_kind} {self.component} to end"
            )

    def _settle(self) -> None:
        """Complete the hand-over: the new instance serves, and there is no way back from here."""

    def _confirm(self, undone: str) -> None:
        """Tell the agent that the new instance serves. ``undone``: what the agent has done if it was
        faster.
        """
        try:
            self._agent.confirm(self.component.name)
        except AgentError as error:
            raise HandOverFailed(
                f"The agent on node {self.node} {undone} just as it served: {error.message}", AGAIN
            ) from error

    @property
    def _shares(self) -> bool:
        return self.choice.way != WAITING

    def _start_beside(self, subject: S) -> None:
        """Let the new instance start, share the port, and get Ready; clients don't notice."""
        name = self.component.name
        steered = self.choice.is_steered
        self._let_new_start(subject)
        self._wait(
            lambda: self._conditions.is_ready_beside(steered=steered),
            f"the {self.new_kind} {name} to become ready beside the {self.old_kind} one",
        )
        if subject.doubt:
            self._let_it_get_ready()
        if steered:
            self._agent.steer(name)
            # From here on every new connection reaches the new instance.
            self._wait(self._conditions.answers, f"the {self.new_kind} {name} to answer /readyz")

    def _let_it_get_ready(self) -> None:
        """Wait a fixed time if nothing tells that the new instance is ready: it is up after 1 to 3
        s.
        """
        end = time.monotonic() + UNTOLD

        def still_runs() -> bool | None:
            self._conditions.is_ready()
            return True if time.monotonic() >= end else None

        self._wait(still_runs, f"the {self.new_kind} {self.component} to become ready")

    def _share(self, subject: S) -> None:
        self._shared = True
        order = ShareOrder(
            component=self.component.name,
            port=subject.port,
            pod_uid=subject.old_uid,
            instance_uids=self._new_uids(),
            way=self.choice.way,
            probe_address=subject.probe_address,
        )

        def shares() -> bool:
            try:
                self._agent.share(order)
            except AgentError as error:
                # Without an API for 10 s (another component's gap on a slow machine) a leader loses its
                # lease and exits; its kubelet starts it again.
                if error.code == _SILENT:
                    raise Waiting(f"the {self.old_kind} {self.component} is starting") from error
                raise
            return True

        self._wait(shares, f"the {self.old_kind} {self.component} to listen")

    def _finish(self, leadership: Leadership | None, *, began: float) -> None:
        if leadership is not None:
            self._wait(
                lambda: self._new_leads(leadership),
                f"the {self.new_kind} {self.component} to become the leader",
            )
        self._wait(self._new_serves, f"the {self.new_kind} {self.component} to serve")
        self._settle()
        self.seconds = time.monotonic() - began

    def _new_leads(self, leadership: Leadership) -> bool:
        """Return True when the new instance holds the lease; raise Waiting until then."""
        try:
            return self._conditions.leads(leadership)
        except Waiting:
            # A process that has just started asks for the lease at once, and so before the new
            # instance. After a second end within a moment the kubelet waits 10 s with its start.
            if self._killed and not self._killed_again:
                self._killed_again = self._agent.kill(self._killed, by_name=True) > 0
            self._new_serves()
            raise

    def _new_serves(self) -> bool:
        """Return True when the new instance serves as itself; raise Waiting until then."""
        return self._conditions.serves()

    def _new_uids(self) -> tuple[str, ...]:
        return tuple(i.node_uid for i in self._conditions.new_instances())

    @property
    def _limit(self) -> float:
        return min(self._timeout, SWITCH_LIMIT) + self._slack

    def _wait(self, check: Callable[[], bool | None], what: str, limit: float = 0.0) -> None:
        wait_until(check, what=what, timeout=limit or self._limit, tell=self._tell)


def seconds_each(handovers: Iterable[HandOver[Any]]) -> dict[tuple[str, str], float]:
    """Return how many seconds each switch of this run took, by component and node."""
    return {
        (one.component.name, one.node): one.seconds for one in handovers if one.seconds is not None
    }

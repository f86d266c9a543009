"""The steps of every plan that puts an agent on a node: the agent's program, its pod, the address
of the Service ``kubernetes`` meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS, NODES, PODS
from kubectl_selfhost.cluster.waits import TimedOut, Waiting, wait_until
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.program import is_named
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step, looks_itself
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.conditions import api_is_ready, instances_on
from kubectl_selfhost.handover.handover import HandOver
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.names import (
    ADDRESS_SLICE,
    GUARDIAN_PROGRAM_ANNOTATION,
    NAMESPACE,
    guardian_pod,
)
from kubectl_selfhost.node import program
from kubectl_selfhost.plans.shared import etcd, service_address
from kubectl_selfhost.plans.shared.node_part import NodePart
from kubectl_selfhost.reboot.guardian import PROGRAM

#: Seconds. An API server that stays puts its address back within 10 s; an API server that drains beside
#: it, with open watches, ends after 30 s.
ADDRESS_LIMIT = 60.0

H = TypeVar("H", bound=HandOver[Any])


class CommonSteps:
    """The steps of one node that plans share; each method makes one step."""

    def __init__(
        self,
        cluster: Cluster,
        part: NodePart,
        *,
        timeout: float,
        observer: Observer,
    ) -> None:
        """Prepare the steps of ``part``; ``timeout`` is each wait's limit in seconds."""
        self._cluster = cluster
        self._agent = part.agent
        self._node = part.node
        #: The node's address in the Service ``kubernetes``.
        self._address = part.advertise_address()
        self._timeout = timeout
        self._observer = observer
        self._tell = observer.step_waiting
        self._hosts = part.hosts
        #: For the titles of steps that don't name the node otherwise.
        self._there = f" on {self._node}" if self._hosts else ""

    def program(self) -> Step:
        arch = self._agent.target.arch
        return Step(
            name=self.named("agent-program"),
            title=f"Store the node agent's program in a Secret of {NAMESPACE} ({arch})",
            why="the program runs in an image that the node has, so the node pulls nothing",
            done=lambda: bool(program.uid(self._cluster, arch)),
            do=lambda: program.store(self._cluster, arch),
            undo=self.unless_self_hosted(lambda: program.remove(self._cluster, arch)),
        )

    def handover_of(
        self, kind: type[H], component: Component, choice: Choice, *, slack: float
    ) -> H:
        """Return the hand-over of ``component`` on the node, which hasn't begun; ``slack`` is what
        the component's own flags add to a switch, in seconds.
        """
        return kind(
            self._cluster,
            self._agent,
            component,
            choice=choice,
            timeout=self._timeout,
            tell=self._tell,
            hosts=self._hosts,
            slack=slack,
        )

    def node_labels(self) -> dict[str, str]:
        """Return the Node's labels, as they are now."""
        labels: dict[str, str] = self._cluster.get(NODES, self._node)["metadata"].get("labels", {})
        return labels

    def start_agent(self) -> dict:
        """Start the node agent if it doesn't run; return what ``check_node`` finds."""
        self.run_agent()
        return self.check_node()

    def run_agent(self) -> None:
        """Start the node agent if it doesn't run."""
        if not self._agent.runs():
            self._agent.start(timeout=self._timeout, tell=self._tell)

    def check_node(self) -> dict:
        """Return the agent's answer to ``check``; warn if the guardian's program was replaced.

        The guardian runs a file of the node that only root can write. So this check is no
        protection, but it reveals somebody who was root there before.
        """

        checked = self._agent.check()
        guardian = self._cluster.find(PODS, guardian_pod(self._node), NAMESPACE)
        annotations = (guardian or {}).get("metadata", {}).get("annotations") or {}
        named, digest = annotations.get(GUARDIAN_PROGRAM_ANNOTATION), checked.get("guardian")
        if named and digest and not is_named(digest, named):
            directory = self._agent.target.directory
            self._observer.warning(
                f"the guardian's program on {self._node} ({directory}/{PROGRAM}) is not the program that "
                f"its static pod names ({named}): its SHA-256 is {digest}. Somebody who was root on "
                "the node replaced it. `kubectl selfhost sync` installs this build's program"
            )
        return checked

    def keep_address(self, *others: str) -> Step:
        """Keep the address of this node's API server, and ``others`` that change hands meanwhile."""
        addresses = (self._address, *others)
        # A plan for several nodes shows each step once.
        which = f"{self._node}'s address" if self._hosts and not others else ", ".join(addresses)
        return Step(
            name="keep-addresses" if others else f"keep-address/{self._node}",
            title=f"Keep {which} in the Service kubernetes, with an EndpointSlice of kubectl selfhost",
            why="a stopping API server removes the address; its successor adds it up to 10 s later",
            done=lambda: service_address.is_kept(self._cluster, addresses),
            do=lambda: discard(service_address.keep(self._cluster, addresses)),
            undo=self.give_address_back,
        )

    def release_address(self, *others: str) -> Step:
        """Delete our EndpointSlice, once the addresses are back."""
        return Step(
            name="release-addresses" if others else f"release-address/{self._node}",
            title="Delete this EndpointSlice, once the API server has put the address back",
            why="from then on the API server itself keeps the Service's address",
            done=lambda: not service_address.is_kept(self._cluster),
            do=lambda: self._release_address(self._timeout),
        )

    def _release_address(self, limit: float) -> None:
        service_address.release_when_back(self._cluster, timeout=limit, tell=self._tell)

    def give_address_back(self) -> None:
        """Delete our EndpointSlice as soon as the Service keeps an address without it.

        Raise SelfhostError if no API server puts the address back in time: then our EndpointSlice
        keeps it, and the next run deletes the EndpointSlice.
        """
        if not service_address.is_kept(self._cluster):
            return
        try:
            self._release_address(min(self._timeout, ADDRESS_LIMIT))
        except TimedOut as late:
            raise SelfhostError(
                f"After {late.seconds:.0f} s {late.why or 'the address is not back'}. EndpointSlice "
                f"{ADDRESS_SLICE} keeps the address, and the next run deletes this EndpointSlice."
            ) from late

    def ended(
        self,
        left: Callable[[], list[str]],
        *,
        name: str,
        whose: str,
        grace_period: Callable[[], float],
    ) -> Step:
        """Wait until none is ``left`` of the pods that were told to end, in ``grace_period``
        seconds.
        """

        def none_left() -> bool:
            for one in left():
                raise Waiting(f"{one} finishes its last requests")
            return True

        return Step(
            name=f"{name}/{self._node}",
            title=f"Wait until {whose} have finished their last requests",
            why="an API server with open watches needs 30 s; meanwhile clients use the new one",
            done=lambda: not left(),
            do=lambda: self.wait(none_left, f"{whose} to end", slack=grace_period()),
        )

    def end_agent(self) -> Step:
        return Step(
            name=f"end-agent/{self._node}",
            title=f"Remove the node agent's pod from {self._node}",
            why="no privileged pod stays on the node",
            done=lambda: self._agent.find() is None,
            do=self.stop_agent,
        )

    def settled(self, etcd_members: set[str]) -> Step:
        """Wait until the node serves again, as the others do, and the ``etcd_members`` that were
        Ready before the run are Ready: only then is it the next node's turn.
        """

        def check() -> bool:
            return self._serves() and etcd.require(self._cluster, etcd_members)

        return Step(
            name=f"settled/{self._node}",
            title=f"Wait until {self._node} serves again, and all etcd members are Ready",
            why="the run changes one node at a time, so that at most one node is at risk",
            done=looks_itself,
            do=lambda: self.wait(check, f"{self._node} to serve again"),
        )

    def _serves(self) -> bool:
        """Return True when every component has a Ready instance on the node, and the API answers at
        the address in use.
        """
        for component in COMPONENTS:
            found = instances_on(self._cluster, component, self._node)
            if not any(instance.ready for instance in found):
                raise Waiting(f"{component} on {self._node} is not Ready")
        return api_is_ready(self._cluster)

    def named(self, *parts: object) -> str:
        """Return a step's name: its parts, and the node if there are several."""
        return "/".join(str(part) for part in (*parts, *([self._node] if self._hosts else [])))

    def wait(self, check: Callable[[], bool], what: str, *, slack: float = 0.0) -> None:
        """Wait for ``check`` as ``wait_until`` does, ``slack`` seconds longer, and tell what for."""
        wait_until(check, what=what, timeout=self._timeout + slack, tell=self._tell)

    def stop_agent(self) -> None:
        """Delete the agent's pod and wait until it is gone."""
        self._agent.stop(timeout=self._timeout, tell=self._tell)

    def unless_self_hosted(self, undo: Callable[[], None]) -> Callable[[], None]:
        """Return ``undo``, limited to the case that no self-hosted DaemonSet is left that needs
        what it removes.
        """

        def run() -> None:
            names = [one["metadata"]["name"] for one in self._cluster.list(DAEMONSETS, NAMESPACE)]
            if not any(component.groups_in(names) for component in COMPONENTS):
                undo()

        return run


def discard(_: object) -> None:
    """Drop the result of a lambda."""

"""The plan that settles what an earlier run left; it is shown and asked about first.

Afterwards one instance serves each component, no agent is on a node, and the Service ``kubernetes``
has its addresses from the API servers alone. The verb's plan starts from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import COMPONENTS, Component, component_named
from kubectl_selfhost.controlplane.instance import STATIC
from kubectl_selfhost.engine import session
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.lease_errors import LeaseLost
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Plan, Step
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.conditions import instances_on
from kubectl_selfhost.handover.daemonset_to_static import ToStaticPod
from kubectl_selfhost.handover.handover import SWITCH_LIMIT
from kubectl_selfhost.handover.static_to_daemonset import FromStaticPod
from kubectl_selfhost.handover.ways import SHARED, WAITING, Choice
from kubectl_selfhost.names import ADDRESS_SLICE
from kubectl_selfhost.node import manifestfile, program
from kubectl_selfhost.plans.leftovers.look import LeftOnNode, Leftovers
from kubectl_selfhost.plans.shared import service_address
from kubectl_selfhost.plans.shared.node_part import NodePart
from kubectl_selfhost.plans.shared.situation import Situation, read_kubelet
from kubectl_selfhost.plans.shared.steps import CommonSteps

#: The verb by which the journal knows this part of a run.
VERB = "clean-up"

#: The states of the agent in which a component is between two instances.
_BETWEEN = ("armed", "placed")
_AWAY = "a component that no instance serves now, until an instance serves"


def plan(cluster: Cluster, left: Leftovers, *, timeout: float, observer: Observer) -> Plan:
    """Return the steps that settle ``left``; ``timeout`` is each wait's limit in seconds.

    Raise ForeignProgram if the node agent's program is not ours.
    """
    parts = [NodeSteps(cluster, left.situation, one, timeout, observer) for one in left.nodes]
    program.refuse_foreign(cluster, (part.arch for part in parts))
    steps = [replace(step, node=part.node) for part in parts for step in part.all()]
    return Plan(
        title=f"First: settle what {left.run} left",
        steps=[*steps, *([_release(cluster, left, timeout, observer)] if left.addresses else [])],
        know=[
            "If the new instance of an unfinished hand-over serves, the hand-over is completed; else it "
            "is taken back."
        ]
        if left.nodes
        else [],
    )


def carry_out(
    cluster: Cluster,
    first: Plan,
    *,
    verb: str,
    timeout: float,
    observer: Observer,
    still_ours: Callable[[], None],
) -> None:
    """Run the plan; see ``session.carry_out``. ``verb`` is the person's, for what to do after a
    failure."""
    session.carry_out(
        cluster,
        session.Prepared(
            VERB, None, first, Journal(cluster, warn=observer.warning), timeout, again=verb
        ),
        observer=observer,
        still_ours=still_ours,
    )


def _release(cluster: Cluster, left: Leftovers, timeout: float, observer: Observer) -> Step:
    def release() -> None:
        doubled = service_address.nodes_with_two(cluster, to_stay=True)
        if doubled:  # a later plan ends one of the two, which removes the address as it ends
            observer.note(f"two API servers run on {', '.join(doubled)}: the EndpointSlice stays")
            return
        service_address.release_when_back(cluster, timeout=timeout, tell=observer.step_waiting)

    return Step(
        name="release-address",
        title=f"Delete EndpointSlice {ADDRESS_SLICE}, once {', '.join(left.addresses)} "
        "is back in the Service kubernetes",
        why="an earlier run left it; the API server itself keeps the Service's address",
        done=lambda: not service_address.is_kept(cluster),
        do=release,
    )


class NodeSteps(CommonSteps):
    """The steps that settle one node."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        left: LeftOnNode,
        timeout: float,
        observer: Observer,
    ) -> None:
        part = NodePart(cluster, situation, left.node, read_kubelet(cluster, left.node))
        super().__init__(cluster, part, timeout=timeout, observer=observer)
        self.node = part.node
        self.arch = part.target.arch
        self._situation = situation
        self._left = left

    def all(self) -> list[Step]:
        """Return the steps in their order."""
        return [self.program(), self.agent(), self.finish(), self.end_agent()]

    def agent(self) -> Step:
        return Step(
            name=f"node-agent/{self._node}",
            title=f"Start the node agent on {self._node}, or use the running agent",
            why=self._left.sentence(),
            done=self._agent.runs,
            do=lambda: self._agent.start(timeout=self._timeout, tell=self._tell),
            undo=self.stop_agent,
        )

    def finish(self) -> Step:
        return Step(
            name=f"finish/{self._node}",
            title=f"Complete the unfinished hand-over on {self._node}, or take it back",
            why="the agent knows the state of the hand-over, and where the manifest is",
            done=lambda: not self._is_between() and not self._that_end(),
            do=self._finish,
            # Ctrl-C needs no undo: an agent that is told to end takes back what isn't confirmed.
            unavailable=_AWAY if self._left.unserved or self._left.doubled else "",
        )

    def _is_between(self) -> bool:
        state = self._agent.status()
        return state["state"] in _BETWEEN or self._was_taken_away(state)

    def _was_taken_away(self, state: dict) -> bool:
        """Return whether the agent took a static pod away that is still there."""
        if state["state"] != "taken-away":
            return False
        return component_named(state["component"]) in {*self._left.doubled, *self._left.unserved}

    def _finish(self) -> None:
        state = self._agent.status()
        if state["state"] == "armed":
            component = component_named(state["component"])
            self._resume(self._situation.own(component, self._node), state)
        elif state["state"] == "placed" or self._was_taken_away(state):
            self._take_away(component_named(state["component"]), state)
        self.wait(self._have_ended, f"the static pods on {self._node} to end")

    def _resume(self, component: Component, state: dict) -> None:
        remaining = max(1.0, float(state.get("remaining") or 1.0))
        handover = FromStaticPod(
            self._cluster,
            self._agent,
            component,
            choice=Choice(WAITING),
            timeout=min(self._timeout, remaining),
            tell=self._tell,
            slack=max(0.0, remaining - SWITCH_LIMIT),
        )
        try:
            handover.resume()
            self._observer.note(f"the self-hosted {component} serves")
        except LeaseLost:
            raise
        except SelfhostError as error:
            self._observer.note(f"{error.message} Going back to the static {component}.")
            handover.undo()

    def _take_away(self, component: Component, state: dict) -> None:
        """Remove what a revert placed: the DaemonSet, or the former static pod, goes on."""
        own = self._situation.own(component, self._node)
        if own.daemonset in self._situation.daemonsets:
            returned = ToStaticPod(
                self._cluster,
                self._agent,
                own,
                choice=Choice(SHARED),
                timeout=self._timeout,
                tell=self._tell,
            )
            returned.take_back()
        elif state["state"] == "placed":
            self._agent.put_back(component.name, "the run that placed the manifest has ended")

    def _have_ended(self) -> bool:
        for component in self._that_end():
            raise Waiting(f"the static {component} is ending")
        return True

    def _that_end(self) -> list[Component]:
        """Return the components whose static pod's manifest is away: the pod is on its way out,
        even if its mirror looks Ready.
        """
        files = {file.name: file.content for file in self._agent.manifests()}
        return [
            component
            for component in COMPONENTS
            if not manifestfile.files_of(files, component)
            and any(
                instance.kind == STATIC
                for instance in instances_on(self._cluster, component, self._node)
            )
        ]

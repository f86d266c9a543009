"""The plan of a roll-out: each self-hosted component goes from one revision to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane import change as changes
from kubectl_selfhost.controlplane import difference, staticpod
from kubectl_selfhost.controlplane.change import Change
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset import NodeFacts
from kubectl_selfhost.controlplane.instance import DAEMONSET, Instance
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.workflow import ways
from kubectl_selfhost.workflow.between_revisions import BetweenRevisions, Revision
from kubectl_selfhost.workflow.journal import Journal, now
from kubectl_selfhost.workflow.pivot import host_ip, node_target
from kubectl_selfhost.workflow.rollout_steps import RolloutSteps
from kubectl_selfhost.workflow.runner import Observer
from kubectl_selfhost.workflow.situation import Situation
from kubectl_selfhost.workflow.step import Plan
from kubectl_selfhost.workflow.ways import SHARED, WAITING, Choice

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster


@dataclass(frozen=True)
class RolloutOptions:
    """What a person may choose. ``timeout`` is the limit of each wait, in seconds."""

    components: tuple[Component, ...] = COMPONENTS
    change: Change = field(default_factory=Change)
    timeout: float = 300.0
    handover: str = ways.AUTO


class Rollout:
    """A roll-out on one node, from a situation that was read before."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        node: str,
        static_pod_path: str,
        options: RolloutOptions,
    ) -> None:
        self.cluster = cluster
        self.situation = situation
        self.node = node
        self.options = options
        self.agent = NodeAgent(cluster, node_target(situation, node, static_pod_path))
        self.stamp = now()
        self.handovers: list[BetweenRevisions] = []

    def before(self, component: Component) -> dict:
        """The component's DaemonSet as it is."""
        found = self.situation.daemonsets.get(component.daemonset)
        if found is None:
            raise SelfhostError(
                f"{component} is not self-hosted: there is no DaemonSet {component.daemonset}.",
                "`kubectl selfhost status` shows where the cluster stands.",
            )
        return {"apiVersion": "apps/v1", "kind": "DaemonSet", **found}

    def after(self, component: Component) -> dict:
        """The component's DaemonSet as it shall be."""
        return changes.changed(
            self.before(component), component, self.options.change, now=self.stamp
        )

    def differences(self) -> dict[Component, list[str]]:
        """What will be different in each component's pods, in words."""
        return {
            component: [
                str(one)
                for one in difference.compare(
                    {"spec": self.before(component)["spec"]["template"]["spec"]},
                    {"spec": self.after(component)["spec"]["template"]["spec"]},
                )
            ]
            for component in self.options.components
        }

    def choices(self) -> dict[Component, Choice]:
        """The way in which each component will change hands, as far as that is known from afar."""
        kernel = self.situation.node(self.node)["status"]["nodeInfo"]["kernelVersion"]
        return {c: self._choice(c, kernel) for c in self.options.components}

    def _choice(self, component: Component, kernel: str) -> Choice:
        bound = staticpod.bind_address(self._pod(component), component)
        best = ways.best(component, kernel=kernel, bind_address=bound)
        if best.way == WAITING:  # instances of ours share their ports by themselves
            best = Choice(SHARED, best.why)
        return ways.choose(component, best, self.options.handover)

    def advertise_address(self) -> str:
        """The address of the node's apiserver in the Service ``kubernetes``."""
        told = staticpod.advertise_address(self._pod(APISERVER))
        return told or host_ip(self.situation.node(self.node))

    def node_facts(self) -> NodeFacts:
        """The node, as its recovery copies need to know it."""
        return NodeFacts(
            name=self.node,
            host_ip=host_ip(self.situation.node(self.node)),
            advertise_address=None,
            arch=self.agent.target.arch,
        )

    def instance(self, component: Component) -> Instance:
        """The component's instance that is to go."""
        found = [
            i
            for i in self.situation.instances(component, self.node)
            if i.kind == DAEMONSET and i.ready
        ]
        if len(found) != 1:
            raise SelfhostError(
                f"The self-hosted {component} has {len(found)} Ready pods on node {self.node}, "
                "not one.",
                "Wait until it is healthy: `kubectl selfhost status`.",
            )
        return found[0]

    def subject(self, component: Component) -> Revision:
        """What the hand-over needs to know of the component."""
        pod = self._pod(component)
        after = self.after(component)
        return Revision(
            port=staticpod.secure_port(pod, component),
            old_uid=self.instance(component).uid,
            retry_period=staticpod.retry_period(pod),
            probe_address=changes.probe_address(after) or "127.0.0.1",
            before=self.before(component),
            after=after,
        )

    def _pod(self, component: Component) -> dict:
        """The pod that runs now: its fields are filled in."""
        name = self.instance(component).pod
        return next(pod for pod in self.situation.pods if pod["metadata"]["name"] == name)

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """The steps that bring each component to its next revision."""
        steps = RolloutSteps(self, observer, journal)
        choices = self.choices()
        self.handovers = [
            steps.handover(component, choice) for component, choice in choices.items()
        ]
        bridge = APISERVER in choices
        return Plan(
            title=f"Roll out the self-hosted control plane on node {self.node}",
            steps=[
                steps.program(),
                steps.inspect(),
                *([steps.keep_address()] if bridge else []),
                *[steps.roll_out(handover) for handover in self.handovers],
                steps.former_ended(),
                *([steps.release_address()] if bridge else []),
                *([steps.recovery()] if self.situation.has_guardian(self.node) else []),
                steps.end_agent(),
            ],
            facts={
                "Node": self.node,
                **{str(component): str(choice) for component, choice in choices.items()},
            },
            know=[
                *[
                    f"{component}: {'; '.join(said) or 'nothing but new pods'}"
                    for component, said in self.differences().items()
                ],
                "A new pod that doesn't get Ready never costs the old one: then the DaemonSet says "
                "again what it said.",
            ],
        )

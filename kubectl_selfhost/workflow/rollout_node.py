"""What a roll-out needs to know of one node: what runs there now, and how its ports change hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane import change as changes
from kubectl_selfhost.controlplane import staticpod
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset import NodeFacts
from kubectl_selfhost.controlplane.instance import DAEMONSET, Instance
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.workflow import nodes, ways
from kubectl_selfhost.workflow.between_revisions import Revision
from kubectl_selfhost.workflow.ways import SHARED, WAITING, Choice

if TYPE_CHECKING:
    from kubectl_selfhost.workflow.rollout import Rollout


class NodeRollout:
    """The part of ``whole`` that is on ``node``, whose kubelet reads ``static_pod_path``."""

    def __init__(self, whole: Rollout, node: str, static_pod_path: str) -> None:
        self.whole = whole
        self.situation = whole.situation
        self.node = node
        self.agent = NodeAgent(whole.cluster, nodes.target(self.situation, node, static_pod_path))

    def choices(self) -> dict[Component, Choice]:
        """The way in which each component will change hands, as far as that is known from afar."""
        kernel = self.situation.node(self.node)["status"]["nodeInfo"]["kernelVersion"]
        return {c: self._choice(c, kernel) for c in self.whole.options.components}

    def _choice(self, component: Component, kernel: str) -> Choice:
        bound = staticpod.bind_address(self._pod(component), component)
        best = ways.best(component, kernel=kernel, bind_address=bound)
        if best.way == WAITING:  # instances of ours share their ports by themselves
            best = Choice(SHARED, best.why)
        return ways.choose(component, best, self.whole.options.handover)

    def advertise_address(self) -> str:
        """The address of the node's apiserver in the Service ``kubernetes``."""
        return nodes.advertise_address(self.situation, self.node)

    def facts(self) -> NodeFacts:
        """The node, as its recovery copies need to know it."""
        return nodes.facts(self.situation, self.node)

    @property
    def hosts(self) -> tuple[str, ...]:
        """What its processes may call it, where there are several nodes."""
        return nodes.host_names(self.situation, self.node)

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
        after = self.whole.after(component)
        return Revision(
            port=staticpod.secure_port(pod, component),
            old_uid=self.instance(component).uid,
            retry_period=staticpod.retry_period(pod),
            probe_address=changes.probe_address(after) or "127.0.0.1",
            before=self.whole.before(component),
            after=after,
        )

    def _pod(self, component: Component) -> dict:
        """The pod that runs now: its fields are filled in."""
        name = self.instance(component).pod
        return next(pod for pod in self.situation.pods if pod["metadata"]["name"] == name)

"""The part of a run that is on one node: where its agent works, and what runs there now."""

from __future__ import annotations

from collections.abc import Sequence

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset.facts import NodeFacts
from kubectl_selfhost.controlplane.instance import DAEMONSET, Instance
from kubectl_selfhost.controlplane.values.hosts import Hosts
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.plans.shared import etcd, nodes
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation


class NodePart:
    """The part of a run on ``node``."""

    def __init__(self, cluster: Cluster, situation: Situation, node: str, kubelet: Kubelet) -> None:
        self.cluster = cluster
        self.situation = situation
        self.node = node
        self.target = nodes.target(situation, node, kubelet)
        self.agent = NodeAgent(cluster, self.target)

    @property
    def group(self) -> str:
        """Return the group of nodes (see ``Component.group``) that the node is in."""
        return self.situation.group(self.node)

    def own(self, component: Component) -> Component:
        """Return the component as the node's group of nodes has it, with the lease by which it
        leads.
        """
        return self.situation.led(component.of(self.group), self.node)

    def advertise_address(self) -> str:
        """Return the address of the node's apiserver in the Service ``kubernetes``."""
        return nodes.advertise_address(self.situation, self.node)

    def facts(self) -> NodeFacts:
        """Return the node's facts, as its DaemonSets and recovery copies need them."""
        return nodes.facts(self.situation, self.node)

    @property
    def etcd_members(self) -> set[str]:
        """Return the nodes whose etcd was Ready before the run."""
        return etcd.ready_members(self.situation.pods)

    @property
    def hosts(self) -> Hosts:
        """Return what tells the node's host from the others' in a lease, if there are several
        nodes.
        """
        return nodes.host_names(self.situation, self.node)

    @property
    def kernel(self) -> str:
        """Return the version of the node's kernel."""
        return self.situation.node(self.node)["status"]["nodeInfo"]["kernelVersion"]


def in_words(parts: Sequence[NodePart]) -> str:
    """Return ``node a``, or ``nodes a, b``."""
    return f"node{'s' if len(parts) > 1 else ''} {', '.join(part.node for part in parts)}"


def as_fact(parts: Sequence[NodePart], *, with_cpu: bool = False) -> dict[str, str]:
    """Return the nodes as a plan's fact, on request with the kind of each node's CPU."""
    said = [f"{p.node} ({p.target.arch})" if with_cpu else p.node for p in parts]
    return {"Nodes" if len(parts) > 1 else "Node": ", ".join(said)}


class HostedPart(NodePart):
    """The part of a run on a node whose components are self-hosted, and are to go to another
    instance.
    """

    def instance(self, component: Component) -> Instance:
        """Return the component's instance that is to go. Raise SelfhostError unless there is just
        one.
        """
        found = [
            i
            for i in self.situation.instances(component, self.node)
            if i.kind == DAEMONSET and i.ready
        ]
        if len(found) != 1:
            raise SelfhostError(
                f"The self-hosted {component} has {len(found)} Ready pods on node {self.node}, "
                "not one.",
                "Wait until `kubectl selfhost status` shows one Ready pod, then run the command again.",
            )
        return found[0]

    def pod(self, component: Component) -> dict:
        """Return this instance's pod: its fields are filled in."""
        name = self.instance(component).pod
        return next(pod for pod in self.situation.pods if pod["metadata"]["name"] == name)

    def choose(self, component: Component, wanted: str) -> Choice:
        """Return the way in which the component will change hands, as far as the API tells."""
        best = ways.best_of_ours(component, self.pod(component), kernel=self.kernel)
        return ways.choose(component, best, wanted)

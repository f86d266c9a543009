"""What the pre-flight checks look at: nodes, static pods, kubelets, and the pivot as it would be."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.waits import TimedOut, Waiting, wait_until
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.pivot.plan import Pivot
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import (
    Kubelet,
    Situation,
    read_kubelet,
    read_situation,
)


class Look:
    """The facts for the checks: read once, and judged by each of them."""

    def __init__(
        self, cluster: Cluster, options: PivotOptions, *, tell: Callable[[str], None]
    ) -> None:
        self.cluster = cluster
        self.options = options
        self.situation = wait_for_static_pods(cluster, options, tell=tell)
        self.kubelets: dict[str, Kubelet] = {}

    @cached_property
    def pivot(self) -> Pivot:
        """Return the pivot of the nodes that are meant and not done yet."""
        meant, parts = self.nodes(), self.options.components
        left = [n for n in meant if not all(self.situation.self_hosted(c, n) for c in parts)]
        return Pivot(
            self.cluster,
            self.situation,
            kubelets={node: self.kubelet(node) for node in left or meant},
            options=self.options,
        )

    def kubelet(self, node: str) -> Kubelet:
        """Return the node's kubelet; ask each kubelet once, because several checks need the answer."""
        if node not in self.kubelets:
            self.kubelets[node] = read_kubelet(self.cluster, node)
        return self.kubelets[node]

    def nodes(self) -> list[str]:
        """Return the nodes that are meant, in their order; raise SelfhostError if there is none."""
        found = nodes.chosen(self.situation, self.options.nodes, server=self.cluster.server)
        if not found:
            raise SelfhostError("there is no control-plane node to check")
        return found

    def left_alone(self) -> list[str]:
        """Return nodes without a component, if other nodes have components."""
        alone = nodes.left_alone(self.situation)
        return alone if len(alone) < len(self.situation.nodes) else []


def wait_for_static_pods(
    cluster: Cluster, options: PivotOptions, *, tell: Callable[[str], None]
) -> Situation:
    """Read the situation, again and again until every component is healthy or time is up.

    The check ``StaticPods`` reports what is unhealthy then, together with the other failures.
    """

    latest: list[Situation] = []

    def healthy() -> Situation:
        situation = read_situation(cluster)
        latest[:] = [situation]
        for node in nodes.chosen(situation, options.nodes):
            for component in options.components:
                found = problems(situation, component, node)
                if found and nodes.runs(situation, node):
                    raise Waiting(found[0])
        return situation

    try:
        return wait_until(
            healthy,
            what="a healthy control plane",
            timeout=options.timeout,
            every=1.0,
            tell=tell,
        )
    except TimedOut:
        if not latest:
            raise
        return latest[0]


def problems(situation: Situation, component: Component, node: str) -> list[str]:
    """Return why the component is not healthy on the node; empty if it is, whichever instance
    serves.
    """
    if situation.self_hosted(component, node) or situation.stands_in(component, node):
        return []
    static = [i for i in situation.instances(component, node) if i.kind == "static"]
    if not static:
        return [f"{component} has no static pod on {node}"]
    if not static[0].ready:
        return [f"{component} on {node} is not Ready: {static[0].phase}"]
    return []

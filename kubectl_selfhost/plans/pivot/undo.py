"""What a failed pivot may take back on a node, and what it leaves because it serves."""

from __future__ import annotations

from collections.abc import Callable

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS, PODS
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC, instances_of
from kubectl_selfhost.handover.conditions import instances_on
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node import manifestfile
from kubectl_selfhost.node.agent import AgentGone, NodeAgent


class Undo:
    """The undoing on ``node`` of what nothing uses."""

    def __init__(self, cluster: Cluster, agent: NodeAgent, node: str) -> None:
        self._cluster = cluster
        self._agent = agent
        self._node = node

    def delete_daemonset(self, component: Component) -> None:
        """Delete the component's DaemonSet, if nothing but a static pod serves."""
        instances = instances_on(self._cluster, component, self._node)
        serves = any(i.kind == DAEMONSET and i.ready for i in instances)
        static = any(i.kind == STATIC and i.ready for i in instances)
        # A static pod that was switched is called Ready until it has let its last request finish:
        # only one whose manifest is in its place stays. Where in doubt, the DaemonSet stays.
        in_place = self._is_in_place(component)
        if not static or in_place is False or (in_place is None and serves):
            return
        if self._runs_elsewhere(component):
            return
        self._cluster.delete(DAEMONSETS, component.daemonset, NAMESPACE)

    def _runs_elsewhere(self, component: Component) -> bool:
        """Return whether the component's DaemonSet runs it on another node. A pod whose init
        container has not ended only stands by there, beside the static pod.
        """
        pods = self._cluster.list(PODS, NAMESPACE, labels=f"k8s-app={component.daemonset}")
        elsewhere = [i for i in instances_of(pods, component) if i.node not in ("", self._node)]
        return any(i.kind == DAEMONSET and not i.stands_by for i in elsewhere)

    def unless_it_serves_here(self, undo: Callable[[], None]) -> Callable[[], None]:
        """Return ``undo``, limited to the case that no DaemonSet's instance serves on this node."""

        def run() -> None:
            for component in COMPONENTS:
                found = instances_on(self._cluster, component, self._node)
                hosted = any(i.kind == DAEMONSET for i in found)
                static = any(i.kind == STATIC and i.ready for i in found)
                if hosted and not (static and self._is_in_place(component)):
                    return
            undo()

        return run

    def _is_in_place(self, component: Component) -> bool | None:
        """Return whether the component's manifest is in the kubelet's directory; None: nobody can
        look.
        """
        try:
            files = self._agent.manifests()
        except AgentGone:
            return None
        return bool(manifestfile.files_of({f.name: f.content for f in files}, component))

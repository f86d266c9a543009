"""The start of a run: the objects of the control plane as the API shows them, read once.

A plan is made from the situation and from nothing else, so that the dry run, the question and the
run speak of the same cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS, NODES, PODS
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.component import COMPONENTS, Component, group_of
from kubectl_selfhost.controlplane.daemonset.progress import is_rolled_out
from kubectl_selfhost.controlplane.instance import (
    DAEMONSET,
    STATIC,
    Instance,
    instances_of,
    kind_of,
)
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import pace
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import (
    CONTROL_PLANE_LABEL,
    GUARDIAN,
    MIRROR_ANNOTATION,
    NAMESPACE,
    NODE_LABEL,
    guardian_pod,
)
from kubectl_selfhost.reboot import recovery


@dataclass(frozen=True)
class Situation:
    """API objects (as dicts): control-plane nodes, and the pods and DaemonSets of kube-system.

    ``api_groups`` are the groups that the server serves, ``git_version`` is its version string.
    """

    nodes: list[dict]
    pods: list[dict]
    daemonsets: dict[str, dict]
    git_version: str
    api_groups: list[str]

    @property
    def node_names(self) -> list[str]:
        """Return the control-plane nodes' names."""
        return [node["metadata"]["name"] for node in self.nodes]

    def node(self, name: str) -> dict:
        return next(node for node in self.nodes if node["metadata"]["name"] == name)

    def instances(self, component: Component, node: str) -> list[Instance]:
        """Return the component's instances on a node."""
        return instances_of(self._pods_on(node), component)

    def mirror_pod(self, component: Component, node: str) -> dict | None:
        """Return the mirror pod of the component's static pod on a node, or None."""
        return next((p for p in self._pods_on(node) if kind_of(p, component) == STATIC), None)

    def is_labelled(self, node: str) -> bool:
        """Return whether the node has our label."""
        return NODE_LABEL in (self.node(node)["metadata"].get("labels") or {})

    def group(self, node: str) -> str:
        """Return the group of nodes (see ``Component.group``) that the node's label names."""
        return group_of(self.node(node))

    def own(self, component: Component, node: str) -> Component:
        """Return the component as the node's group of nodes has it, with the lease by which it
        leads.
        """
        return self.led(component.of(self.group(node)), node)

    def led(self, component: Component, node: str) -> Component:
        """Return the component with the lease by which its pod on the node leads."""
        pods = self.pods_of(component, node)
        return staticpod.led_as(pods[0], component) if pods else component

    def pods_of(self, component: Component, node: str) -> list[dict]:
        """Return the pods that run the component on a node: its instances, then a recovery copy."""
        here = self._pods_on(node)
        instances = [pod for pod in here if kind_of(pod, component) is not None]
        return instances + [pod for pod in here if recovery.recovers(pod) == component.name]

    def daemonset(self, component: Component) -> dict:
        """Return the DaemonSet of the component's group as a manifest: the API's list leaves the
        kind out.
        """
        found = self.daemonsets[component.daemonset]
        return {"apiVersion": "apps/v1", "kind": "DaemonSet", **found}

    def self_hosted_daemonsets(self, components: Iterable[Component]) -> list[dict]:
        """Return the DaemonSets of ``components``, of every group, as manifests."""
        return [self.daemonset(own) for one in components for own in one.groups_in(self.daemonsets)]

    def has_guardian(self, node: str) -> bool:
        """Return whether the guardian's static pod is on the node."""
        return any(p["metadata"]["name"] == guardian_pod(node) for p in self._pods_on(node))

    def stands_in(self, component: Component, node: str) -> bool:
        """Return whether a recovery copy of the component serves on the node for its DaemonSet's
        pod.
        """
        copies = recovery.standing_in(self._pods_on(node))
        return component.name in copies and bool(component.groups_in(self.daemonsets))

    def groups_before(self, component: Component, node: str) -> set[str]:
        """Return the groups in which a node that lost its label may have been, by its recovery copy.

        A copy that does not name its group (an older copy) may be of any group that has a
        DaemonSet.
        """
        said = recovery.groups_of(self._pods_on(node), component, self.daemonsets)
        return said or {own.group for own in component.groups_in(self.daemonsets)}

    def self_hosted(self, component: Component, node: str) -> bool:
        """Return whether the DaemonSet's instance serves on the node, Ready, and no static one
        stays.
        """
        found = [i for i in self.instances(component, node) if not i.ending]
        return (
            bool(found)
            and all(i.kind == "daemonset" for i in found)
            and any(i.ready for i in found)
        )

    @property
    def ending_static_pods(self) -> list[dict]:
        """Return the mirror pods of static pods that end (see ``Instance.ending``)."""
        return [
            pod
            for pod in self.pods
            if any(one.ending for component in COMPONENTS for one in instances_of([pod], component))
        ]

    def hosts(self, node: str) -> bool:
        """Return whether a self-hosted DaemonSet has a pod on the node, in whatever state."""
        return any(
            instance.kind == DAEMONSET
            for component in COMPONENTS
            for instance in self.instances(component, node)
        )

    def _pods_on(self, node: str) -> list[dict]:
        return [
            pod
            for pod in self.pods
            if pod["spec"].get("nodeName") == node and pod["metadata"]["namespace"] == NAMESPACE
        ]


def read_situation(cluster: Cluster) -> Situation:
    """Read the control plane's objects, in parallel. Raise the API's error (ApiError)."""

    with ThreadPoolExecutor(max_workers=5) as pool:
        nodes = pool.submit(cluster.list, NODES, labels=CONTROL_PLANE_LABEL)
        pods = pool.submit(cluster.list, PODS, NAMESPACE)
        daemonsets = pool.submit(cluster.list, DAEMONSETS, NAMESPACE)
        version = pool.submit(_json, cluster, "/version")
        groups = pool.submit(_json, cluster, "/apis")
    return Situation(
        nodes=[*nodes.result(), *_nodes_without_label(cluster, nodes.result(), pods.result())],
        pods=pods.result(),
        daemonsets={d["metadata"]["name"]: d for d in daemonsets.result()},
        git_version=version.result().get("gitVersion", ""),
        api_groups=[group["name"] for group in groups.result().get("groups", [])],
    )


def at_rest(cluster: Cluster, *, timeout: float, observer: Observer) -> Situation:
    """Return the situation once nothing is about to go by itself any more. Raise TimedOut.

    After a restart of a node the guardian takes the recovery copies away, in a minute or two. A
    static pod that a pivot has replaced goes when its last requests have finished.
    """
    first = read_situation(cluster)
    if not goes_by_itself(first):
        return first

    def look() -> Situation:
        situation = read_situation(cluster)
        why = goes_by_itself(situation)
        if why:
            raise Waiting(why)
        return situation

    grace = [pace.grace_period(pod) for pod in first.ending_static_pods]
    return wait_until(
        look,
        what="recovery copies and former pods to go",
        timeout=timeout + max(grace, default=0.0),
        every=1.0,
        tell=observer.step_waiting,
    )


def goes_by_itself(situation: Situation) -> str:
    """Return what is about to go by itself, in words; empty for nothing."""
    copies = recovery.standing_in(situation.pods)
    if copies:
        there = ", ".join(sorted(recovery.nodes_with_copies(situation.pods)))
        return (
            f"after a restart of node {there} a recovery copy of {', '.join(copies)} serves; "
            "waiting until the DaemonSet's pod serves"
        )
    former = [pod["metadata"]["name"] for pod in situation.ending_static_pods]
    return f"the former {', '.join(former)} lets its last requests finish" if former else ""


def require_rolled_out(daemonset: dict) -> None:
    """Raise SelfhostError for a DaemonSet that is being rolled out: it has two instances, and
    nobody could say which of them is meant.
    """
    name = daemonset["metadata"]["name"]
    if not is_rolled_out(daemonset):
        raise SelfhostError(
            f"A rollout of DaemonSet {name} is in progress, or is stuck.",
            f"`kubectl -n {NAMESPACE} rollout status daemonset/{name}` shows it. If it is stuck, "
            f"`kubectl -n {NAMESPACE} rollout undo daemonset/{name}` takes the change back. Then run "
            "the command again.",
        )


def _nodes_without_label(cluster: Cluster, nodes: list[dict], pods: list[dict]) -> list[dict]:
    """Return nodes that are guarded and have lost their labels: the Node object was deleted, and
    the kubelet has registered the node anew.
    """

    known = {node["metadata"]["name"] for node in nodes}
    guarded = {
        pod["spec"].get("nodeName", "")
        for pod in pods
        if pod["metadata"]["name"].startswith(f"{GUARDIAN}-")
        and MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or {})
    }
    found = [cluster.find(NODES, name) for name in sorted(guarded - known)]
    return [node for node in found if node is not None]


@dataclass(frozen=True)
class Kubelet:
    """The settings of a node's kubelet: where it reads static pods and writes pods' logs, and
    whether each pod has a cgroup of its own (cgroupsPerQOS).
    """

    static_pod_path: str
    pod_logs_dir: str = "/var/log/pods"
    pod_cgroups: bool = True


def read_kubelet(cluster: Cluster, node: str) -> Kubelet:
    """Read the settings of the node's kubelet from its own configz.

    What an older kubelet doesn't say is the default (podLogsDir came with Kubernetes 1.29). Raise
    SelfhostError if the kubelet has no staticPodPath.
    """
    answer = _json(cluster, f"/api/v1/nodes/{node}/proxy/configz")
    said = answer.get("kubeletconfig", {})
    path = said.get("staticPodPath", "")
    if not path:
        raise SelfhostError(
            f"The kubelet of node {node} has no staticPodPath: it runs no static pods from files.",
            "kubectl selfhost works with kubeadm's static pods only.",
        )
    return Kubelet(
        static_pod_path=path.rstrip("/"),
        pod_logs_dir=(said.get("podLogsDir") or Kubelet.pod_logs_dir).rstrip("/"),
        pod_cgroups=said.get("cgroupsPerQOS") is not False,
    )


def require_kubelet(cluster: Cluster, node: str) -> Kubelet:
    """Read the settings; raise SelfhostError also if pods have no cgroups of their own."""
    kubelet = read_kubelet(cluster, node)
    if not kubelet.pod_cgroups:
        raise SelfhostError(f"{NO_POD_CGROUPS.format(node=node)}: {WHY_CGROUPS}.", SET_CGROUPS)
    return kubelet


#: The cause that is reported of a kubelet with cgroupsPerQOS: false.
NO_POD_CGROUPS = "the kubelet of node {node} gives pods no cgroups (cgroupsPerQOS: false)"
WHY_CGROUPS = "without cgroups a run can't see whether a process of the old instance is left"
SET_CGROUPS = "Set cgroupsPerQOS: true in the kubelet's configuration and restart the kubelet."


def _json(cluster: Cluster, path: str) -> dict:
    _, body = cluster.raw("GET", path)
    return json.loads(body)

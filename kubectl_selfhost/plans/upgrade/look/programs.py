"""The programs of a cluster: which component runs on which node, from which image and container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.upgrade.addons import plain
from kubectl_selfhost.controlplane.upgrade.findings import (
    APISERVER,
    COREDNS,
    ETCD,
    EVERY,
    KUBE_PROXY,
    KUBELET,
    Running,
)
from kubectl_selfhost.controlplane.upgrade.version import Version, tag_of
from kubectl_selfhost.plans.shared.situation import Situation

#: The labels by which kubeadm's own pods are known, and their container's name.
_LABELLED = {
    ETCD: ("component", "etcd", "etcd"),
    KUBE_PROXY: ("k8s-app", "kube-proxy", "kube-proxy"),
    COREDNS: ("k8s-app", "kube-dns", "coredns"),
}


@dataclass(frozen=True)
class Program:
    """A component on a node, its pod, and the container that runs it (both empty for a kubelet)."""

    running: Running
    pod: Mapping
    container: Mapping

    @property
    def component(self) -> str:
        return self.running.component

    @property
    def node(self) -> str:
        return self.running.node


def programs(situation: Situation, nodes: Sequence[dict]) -> list[Program]:
    """Return what runs on all ``nodes`` of the cluster, in the order of an upgrade."""
    found = [*_components(situation), *_labelled(situation), *_kubelets(nodes)]
    return sorted(found, key=lambda one: (EVERY.index(one.component), one.node))


def as_measured(programs: Sequence[Program], said: Mapping[str, Version]) -> list[Program]:
    """Return the programs, with the versions that the API servers ``said`` of themselves by node."""
    return [
        replace(one, running=replace(one.running, version=said[one.node]))
        if one.component == APISERVER and one.node in said
        else one
        for one in programs
    ]


def _components(situation: Situation) -> list[Program]:
    found = []
    for component in COMPONENTS:
        for node in situation.node_names:
            for pod in situation.pods_of(component, node)[:1]:
                container = staticpod.component_container(pod)
                image = str(container.get("image", ""))
                version = Version.of_image(image)
                found.append(Program(Running(component.name, node, version, image), pod, container))
    return found


def _labelled(situation: Situation) -> list[Program]:
    found: dict[tuple[str, str], Program] = {}
    for pod in situation.pods:
        node = pod["spec"].get("nodeName", "")
        for component, (key, value, name) in _LABELLED.items():
            if not node or (pod["metadata"].get("labels") or {}).get(key) != value:
                continue
            for container in pod["spec"].get("containers") or []:
                if container.get("name") == name:
                    image = str(container.get("image", ""))
                    read = Version.of_image if component == KUBE_PROXY else _of_addon
                    running = Running(component, node, read(image), image)
                    found.setdefault((component, node), Program(running, pod, container))
    return list(found.values())


def _of_addon(image: str) -> Version | None:
    return plain(tag_of(image))


def _kubelets(nodes: Sequence[dict]) -> list[Program]:
    found = []
    for node in nodes:
        said = (node.get("status") or {}).get("nodeInfo", {}).get("kubeletVersion", "")
        running = Running(KUBELET, node["metadata"]["name"], Version.parse(said))
        found.append(Program(running, {}, {}))
    return found

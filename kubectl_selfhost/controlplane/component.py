"""The three components that change hands, and what sets them apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kubectl_selfhost.names import NAMESPACE, NODE_LABEL, SHARED_BY_ALL, cut

#: A label's value has 63 characters, and the longest of our DaemonSets' names 35 before the group's.
_LONGEST_GROUP = 27
_DIGEST = 5


@dataclass(frozen=True)
class Component:
    """One component of a kubeadm control plane.

    ``default_port`` and ``default_bind_address`` are those of the component's own flags (Kubernetes
    1.20 and later); a manifest may say otherwise. ``lease`` is its leader election lock in
    ``lease_namespace``, None where there is no leader; a manifest may say otherwise (see
    ``staticpod.led_as``). ``group`` is that of the nodes which are meant, for nodes that differ have
    a DaemonSet of their own (see ``group_of``); it is the same component.
    """

    name: str
    default_port: int
    lease: str | None = field(compare=False)
    lease_namespace: str = field(default=NAMESPACE, compare=False, kw_only=True)
    default_bind_address: str = "0.0.0.0"  # noqa: S104 - nothing is bound here
    group: str = field(default="", compare=False)

    @property
    def daemonset(self) -> str:
        """The DaemonSet's name, as kubeadm named it until 1.20 (also its k8s-app label); that of
        nodes that differ has their group's name behind it."""
        return f"self-hosted-{self.name}{'-' if self.group else ''}{self.group}"

    def of(self, group: str) -> Component:
        """The component on the nodes of ``group``."""
        return replace(self, group=group)

    def runs_as(self, daemonset: str) -> bool:
        """Whether a DaemonSet of that name runs it, of whatever group."""
        everywhere = self.of("").daemonset
        return daemonset == everywhere or daemonset.startswith(f"{everywhere}-")

    def groups_in(self, daemonsets: Iterable[str]) -> list[Component]:
        """The component for each group that has one of the DaemonSets with these names."""
        everywhere = self.of("").daemonset
        names = sorted(name for name in daemonsets if self.runs_as(name))
        return [self.of(name[len(everywhere) :].removeprefix("-")) for name in names]

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which kubeadm and others find the component's pods."""
        return {"component": self.name, "tier": "control-plane"}

    def mirror_pod(self, node: str) -> str:
        """The name of the static pod's mirror: the kubelet appends the node's, in lower case."""
        return f"{self.name}-{node.lower()}"

    def __str__(self) -> str:
        return self.name


APISERVER = Component("kube-apiserver", 6443, lease=None)
CONTROLLER_MANAGER = Component("kube-controller-manager", 10257, lease="kube-controller-manager")
SCHEDULER = Component("kube-scheduler", 10259, lease="kube-scheduler")

#: In the order in which they change hands: each needs the ones before it to recover from a failure.
COMPONENTS = (APISERVER, CONTROLLER_MANAGER, SCHEDULER)


def group_of(node: dict) -> str:
    """The group of a Node object: empty where it shares its DaemonSets with all that are like the
    first, or has none; our label says it."""
    value = (node["metadata"].get("labels") or {}).get(NODE_LABEL, "")
    return "" if value == SHARED_BY_ALL else value


def group_named_after(node: str) -> str:
    """The group that nodes like ``node`` make, which is the first of them."""
    if len(node) <= _LONGEST_GROUP and node != SHARED_BY_ALL:
        return node
    digest = hashlib.sha256(node.encode()).hexdigest()[:_DIGEST]
    return f"{cut(node, _LONGEST_GROUP - _DIGEST - 1)}-{digest}"


def component_named(name: str) -> Component:
    """The component called ``name``; raises KeyError if there is none."""
    for component in COMPONENTS:
        if component.name == name:
            return component
    raise KeyError(name)

"""The three components of a control plane, and their differences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kubectl_selfhost.names import NAMESPACE, NODE_LABEL, SHARED_BY_ALL, cut

#: A label's value has at most 63 characters; the group's name follows up to 35 in a DaemonSet's name.
_LONGEST_GROUP = 27
_DIGEST = 5


@dataclass(frozen=True)
class Component:
    """One component of a kubeadm control plane.

    ``default_port`` and ``default_bind_address`` are the defaults of the component's own flags
    (Kubernetes 1.20 and later); a manifest may set other values. ``lease`` is the component's leader
    election lock in ``lease_namespace``, None for a component without a leader; a manifest may name
    another lease (see ``staticpod.led_as``). ``group`` is the group of nodes (see ``group_of``): nodes
    that differ have separate DaemonSets. The component is the same in every group.
    """

    name: str
    default_port: int
    lease: str | None = field(compare=False)
    lease_namespace: str = field(default=NAMESPACE, compare=False, kw_only=True)
    default_bind_address: str = "0.0.0.0"  # noqa: S104 - nothing is bound here
    group: str = field(default="", compare=False)

    @property
    def daemonset(self) -> str:
        """Return the DaemonSet's name, which is also its label k8s-app. The name is kubeadm's name
        until 1.20; for nodes that differ, the group's name follows.
        """
        return f"self-hosted-{self.name}{'-' if self.group else ''}{self.group}"

    def of(self, group: str) -> Component:
        """Return the component on the nodes of ``group``."""
        return replace(self, group=group)

    def runs_as(self, daemonset: str) -> bool:
        """Return whether a DaemonSet of this name runs the component in any group."""
        everywhere = self.of("").daemonset
        return daemonset == everywhere or daemonset.startswith(f"{everywhere}-")

    def groups_in(self, daemonsets: Iterable[str]) -> list[Component]:
        """Return the component once for each group that has one of the DaemonSets with
        these names.
        """
        everywhere = self.of("").daemonset
        names = sorted(name for name in daemonsets if self.runs_as(name))
        return [self.of(name[len(everywhere) :].removeprefix("-")) for name in names]

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels with which kubeadm and others find the component's pods."""
        return {"component": self.name, "tier": "control-plane"}

    def mirror_pod(self, node: str) -> str:
        """Return the name of the static pod's mirror: the kubelet appends the node's name, in lower
        case.
        """
        return f"{self.name}-{node.lower()}"

    def __str__(self) -> str:
        return self.name


APISERVER = Component("kube-apiserver", 6443, lease=None)
CONTROLLER_MANAGER = Component("kube-controller-manager", 10257, lease="kube-controller-manager")
SCHEDULER = Component("kube-scheduler", 10259, lease="kube-scheduler")

#: The components in hand-over order: to recover from a failure, each needs the components before it.
COMPONENTS = (APISERVER, CONTROLLER_MANAGER, SCHEDULER)


def group_of(node: dict) -> str:
    """Return the group of a Node object, as our label names it. The group is empty if the node
    shares the common DaemonSets, or has no label.
    """
    value = (node["metadata"].get("labels") or {}).get(NODE_LABEL, "")
    return "" if value == SHARED_BY_ALL else value


def group_named_after(node: str) -> str:
    """Return the name of the group of nodes that are like ``node``, the first of the group."""
    if len(node) <= _LONGEST_GROUP and node != SHARED_BY_ALL:
        return node
    digest = hashlib.sha256(node.encode()).hexdigest()[:_DIGEST]
    return f"{cut(node, _LONGEST_GROUP - _DIGEST - 1)}-{digest}"


def component_named(name: str) -> Component:
    """Return the component called ``name``; raise KeyError if there is none."""
    for component in COMPONENTS:
        if component.name == name:
            return component
    raise KeyError(name)

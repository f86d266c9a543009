"""The three components that change hands, and what sets them apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Component:
    """One component of a kubeadm control plane.

    ``default_port`` and ``default_bind_address`` are those of the component's own flags (Kubernetes
    1.20 and later); a manifest may say otherwise. ``lease`` is its leader election lock in
    kube-system, None where there is no leader.
    """

    name: str
    default_port: int
    lease: str | None
    default_bind_address: str = "0.0.0.0"  # noqa: S104 - nothing is bound here

    @property
    def daemonset(self) -> str:
        """The DaemonSet's name, as kubeadm named it until 1.20 (also its k8s-app label)."""
        return f"self-hosted-{self.name}"

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


def component_named(name: str) -> Component:
    """The component called ``name``; raises KeyError if there is none."""
    for component in COMPONENTS:
        if component.name == name:
            return component
    raise KeyError(name)

"""Other programs that manage a control plane.

Cluster API, OpenShift, Deckhouse, Talos, RKE2, kops and similar programs write the control plane's
static pods themselves; k3s, k0s and MicroK8s have no static pods. Such a program would undo a pivot,
or treat the node as broken and replace it (Cluster API's KubeadmControlPlane looks for static pods by
name).

kubespray, KubeOne, kind and minikube use plain kubeadm.
"""

from __future__ import annotations

from collections.abc import Iterable

#: A part of the server's version, and its distribution.
_VERSIONS = {"+rke2": "RKE2", "+k3s": "k3s", "+k0s": "k0s"}
#: An API group, and its owner.
_GROUPS = {"config.openshift.io": "OpenShift", "deckhouse.io": "Deckhouse"}
#: The beginning of a node's label or annotation, and its owner.
_KEYS = {
    "kops.k8s.io/instancegroup": "kops",
    "node.deckhouse.io/": "Deckhouse",
    "rke2.io/": "RKE2",
    "k3s.io/": "k3s",
    "node.k0sproject.io/": "k0s",
    "microk8s.io/": "MicroK8s",
    "node.kubernetes.io/microk8s-controlplane": "MicroK8s",
    "k8sd.io/": "Canonical Kubernetes",
    "rke.cattle.io/": "Rancher (RKE)",
    "worker.gardener.cloud/": "Gardener",
}
#: The beginning of a node's osImage, and its owner.
_SYSTEMS = {"Talos": "Talos"}
_OWNER_KIND = "cluster.x-k8s.io/owner-kind"

#: Programs that create a control plane with kubeadm, and when they write its manifests again.
_REWRITES = {
    "minikube.k8s.io/": ("minikube", "each `minikube start` after a stop"),
}


def owner(nodes: Iterable[dict], *, git_version: str, api_groups: Iterable[str]) -> str | None:
    """Return the name of the program that manages the control plane; None for a kubeadm cluster.

    ``nodes`` are the control-plane Node objects, ``git_version`` the server's version string,
    ``api_groups`` the names of the server's API groups.
    """
    served = set(api_groups)
    found = [name for sign, name in _VERSIONS.items() if sign in git_version]
    found += [name for group, name in _GROUPS.items() if group in served]
    found += [name for node in nodes if (name := _node_owner(node))]
    return found[0] if found else None


def rewriter(nodes: Iterable[dict]) -> tuple[str, str] | None:
    """Return the program that will write the manifests again, and when; None without such a program."""
    for node in nodes:
        for key in _keys(node):
            for sign, found in _REWRITES.items():
                if key.startswith(sign):
                    return found
    return None


def _node_owner(node: dict) -> str | None:
    kind = str((node["metadata"].get("annotations") or {}).get(_OWNER_KIND, ""))
    if kind.endswith("ControlPlane"):
        return f"Cluster API ({kind})"
    system = node.get("status", {}).get("nodeInfo", {}).get("osImage", "")
    found = [name for sign, name in _SYSTEMS.items() if system.startswith(sign)]
    found += [name for key in _keys(node) for sign, name in _KEYS.items() if key.startswith(sign)]
    return found[0] if found else None


def _keys(node: dict) -> list[str]:
    metadata = node["metadata"]
    return [*(metadata.get("annotations") or {}), *(metadata.get("labels") or {})]

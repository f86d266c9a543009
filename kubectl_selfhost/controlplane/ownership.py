"""Who else looks after this control plane.

Cluster API, OpenShift, Talos, RKE2, k3s and kops write the control plane's static pods themselves
(or have none): each would fight a pivot, or call the node broken and replace it (Cluster API's
KubeadmControlPlane looks static pods up by name).
"""

from __future__ import annotations

from collections.abc import Iterable


def owner(nodes: Iterable[dict], *, git_version: str, api_groups: Iterable[str]) -> str | None:
    """The name of what owns the control plane, or None for a plain kubeadm cluster.

    ``nodes`` are the control-plane Node objects, ``git_version`` the server's version string,
    ``api_groups`` the names of the API groups that it serves.
    """
    if "+rke2" in git_version:
        return "RKE2"
    if "+k3s" in git_version:
        return "k3s"
    if "config.openshift.io" in set(api_groups):
        return "OpenShift"
    for node in nodes:
        found = _node_owner(node)
        if found:
            return found
    return None


def _node_owner(node: dict) -> str | None:
    metadata = node["metadata"]
    annotations = metadata.get("annotations") or {}
    labels = metadata.get("labels") or {}
    os_image = node.get("status", {}).get("nodeInfo", {}).get("osImage", "")
    if annotations.get("cluster.x-k8s.io/owner-kind") == "KubeadmControlPlane":
        return "Cluster API (KubeadmControlPlane)"
    if os_image.startswith("Talos"):
        return "Talos"
    if "kops.k8s.io/instancegroup" in labels:
        return "kops"
    if any(key.startswith("rke2.io/") for key in annotations):
        return "RKE2"
    if any(key.startswith("k3s.io/") for key in annotations):
        return "k3s"
    return None

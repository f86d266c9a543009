"""The owner of the control plane, its version, and the person's permissions."""

from __future__ import annotations

import re

from kubectl_selfhost.cluster import access
from kubectl_selfhost.controlplane import ownership
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.pod.status import is_ready
from kubectl_selfhost.engine.preflight import FAILED, WARNING, Finding, ok
from kubectl_selfhost.names import CONTROL_PLANE_LABEL, FIELD_MANAGER, NAMESPACE
from kubectl_selfhost.plans.pivot.checks.look import Look
from kubectl_selfhost.plans.shared import permissions

#: DaemonSet roll-outs with maxSurge are GA since Kubernetes 1.25 (KEP-1591).
OLDEST_MINOR = 25
#: The newest minor version that the cluster tests run on.
NEWEST_TESTED_MINOR = 37
_NOT_KUBEADMS = (
    "kubectl selfhost works with control planes that kubeadm created: static pods of the kubelet"
)


def allowed(look: Look) -> Finding:
    names, parts = look.situation.node_names, look.options.components
    own = [look.situation.own(component, node) for node in names for component in parts]
    needed = [*permissions.for_pivot(), *permissions.for_leases(own)]
    refused = access.denied(look.cluster, needed)
    if not refused:
        return ok("Permissions", f"you have all {len(needed)} permissions that a run needs")
    return Finding(
        "Permissions",
        FAILED,
        "you may not " + "; ".join(str(d) for d in refused),
        "without these permissions the run would fail half-way",
        "Ask for the roles in docs/permissions.md, or use another --user or --context.",
    )


def server_version(look: Look) -> Finding:
    version = look.situation.git_version
    minor = int((re.match(r"v1\.(\d+)", version) or ["", "0"])[1])
    if minor < OLDEST_MINOR:
        return Finding(
            "ServerVersion",
            FAILED,
            f"the server is {version}",
            f"DaemonSets can only be rolled out safely since Kubernetes 1.{OLDEST_MINOR}",
            "Upgrade the cluster first.",
        )
    if minor > NEWEST_TESTED_MINOR:
        return Finding(
            "ServerVersion",
            WARNING,
            f"the server is {version}",
            f"this version was tested up to Kubernetes 1.{NEWEST_TESTED_MINOR}",
            "Upgrade kubectl-selfhost: `kubectl krew upgrade selfhost`.",
        )
    return ok("ServerVersion", f"the server is {version}")


def control_plane_nodes(look: Look) -> Finding:
    names = [node["metadata"]["name"] for node in look.situation.nodes]
    if not names:
        return Finding(
            "ControlPlaneNodes",
            FAILED,
            f"no node has the label {CONTROL_PLANE_LABEL}",
            "the control plane doesn't run on nodes of this cluster, or isn't kubeadm's",
            "kubectl selfhost works with control planes that kubeadm created.",
        )
    unready = [
        n["metadata"]["name"]
        for n in look.situation.nodes
        if not is_ready(n) and n["metadata"]["name"] not in look.left_alone()
    ]
    if unready:
        return Finding(
            "ControlPlaneNodes",
            FAILED,
            f"node {unready[0]} is not Ready",
            "its kubelet would not start the new pods, and a run changes no other node while a "
            "node is away",
            f"`kubectl describe node {unready[0]}` shows the reason.",
            blocks=False,
        )
    meant = look.nodes()
    if look.left_alone():
        alone = ", ".join(look.left_alone())
        return Finding(
            "ControlPlaneNodes",
            WARNING,
            f"{alone} has the label {CONTROL_PLANE_LABEL}, but no static pods",
            "the run skips this node",
            f"If the node is a worker: `kubectl label node {alone} {CONTROL_PLANE_LABEL}-`.",
        )
    are = "is" if len(meant) == 1 else "are"
    return ok("ControlPlaneNodes", f"{', '.join(meant)} {are} Ready")


def owner(look: Look) -> Finding:
    found = ownership.owner(
        look.situation.nodes,
        git_version=look.situation.git_version,
        api_groups=look.situation.api_groups,
    )
    rewriter = ownership.rewriter(look.situation.nodes)
    if found is None and rewriter is not None:
        name, when = rewriter
        return Finding(
            "Ownership",
            WARNING,
            f"{name} writes the static pods' manifests again",
            f"{when} puts static pods beside the self-hosted ones",
            "Before that, run `kubectl selfhost revert`.",
        )
    if found is None:
        return ok("Ownership", "nothing else manages this control plane")
    return Finding(
        "Ownership",
        FAILED,
        f"this control plane belongs to {found}",
        f"{found} would undo the pivot, or treat the node as broken",
        f"Change the control plane with {found} instead.",
    )


def foreign_daemonsets(look: Look) -> Finding:
    foreign = [
        c.daemonset
        for one in COMPONENTS
        for c in one.groups_in(look.situation.daemonsets)
        if not _is_ours(look.situation.daemonsets[c.daemonset])
    ]
    if not foreign:
        return ok("ForeignDaemonSets", "no other DaemonSet has the name of a self-hosted one")
    return Finding(
        "ForeignDaemonSets",
        FAILED,
        f"{', '.join(foreign)} in {NAMESPACE} was not made by kubectl selfhost",
        "the pivot would overwrite it, and somebody may need it",
        f"Look at it (`kubectl -n {NAMESPACE} get daemonset {foreign[0]} -o yaml`). If nobody needs "
        "it, delete it, then run the command again.",
    )


def _is_ours(daemonset: dict) -> bool:
    labels = daemonset["metadata"].get("labels") or {}
    return labels.get("app.kubernetes.io/managed-by") == FIELD_MANAGER

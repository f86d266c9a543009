"""The recovery copy of a component: the DaemonSet's pod as a static one, for after a reboot.

A kubelet learns of DaemonSet pods only from the API, but finds static pods on its disk. So the
guardian starts this copy when nothing serves the component, and removes the copy when the DaemonSet's
own pod serves beside it. Both share the port. A static pod can't refer to objects of the API. The
copy contains the node's facts as values: the kubelet may not know them when it starts the copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset import in_secrets
from kubectl_selfhost.controlplane.daemonset.facts import (
    NODE_VOLUME,
    PROBE_ADDRESSES,
    WAIT_CONTAINER,
    NodeFacts,
)
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.defaults import actions, containers
from kubectl_selfhost.controlplane.program import AGENT_VOLUME
from kubectl_selfhost.engine.journal import mapping
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import (
    DAEMONSET_ANNOTATION,
    FIELD_MANAGER,
    MIRROR_ANNOTATION,
    NAMESPACE,
    RECOVERS_LABEL,
    RECOVERY,
)

#: The address at which the copy of an API server is probed. The DaemonSet's pod has another address.
PROBE_ADDRESS = "127.0.0.4"

#: Fields that only the scheduler and admission use, or that name objects of the API.
_NOT_OF_A_STATIC_POD = (
    "affinity",
    "automountServiceAccountToken",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "serviceAccount",
    "serviceAccountName",
    "tolerations",
)
#: Volumes that the kubelet can only get from the API.
_API_VOLUMES = ("configMap", "csi", "ephemeral", "persistentVolumeClaim", "projected", "secret")
_API_VARIABLES = ("configMapKeyRef", "secretKeyRef")
_SUFFIX = "-recovery"


def pod_name(component: Component) -> str:
    """Return the copy's name, which differs from the names of kubeadm's static pod and its mirror."""
    return f"{component}{_SUFFIX}"


def copy_of(daemonset: dict, component: Component, node: NodeFacts) -> dict:
    """Return the static pod (v1 Pod) that replaces ``daemonset``'s pod on ``node`` after a reboot.

    ``daemonset`` may be the result of ``daemonset.build.build``, or an object of the API. If its pods
    read their credentials from Secrets, the copy reads the node's files. Raise SelfhostError if the
    pods need what a static pod can't have (for example another Secret).
    """
    daemonset = in_secrets.with_host_files(daemonset)
    template = daemonset["spec"]["template"]
    spec = staticpod.from_mirror_pod({"metadata": {}, "spec": deepcopy(template["spec"])})["spec"]
    for field in _NOT_OF_A_STATIC_POD:
        spec.pop(field, None)
    _without_ours(spec)
    _refuse_references(component, spec)
    for container in containers(spec):
        container.pop("ports", None)
        _write_out_fields(container, node)
    container = staticpod.component_container({"metadata": {}, "spec": spec})
    component_flags.with_flag(container, "permit-port-sharing", "true")
    if component == APISERVER:
        _probe_itself(container)
    spec["hostNetwork"] = True
    spec["priorityClassName"] = "system-node-critical"
    spec["priority"] = 2000001000  # for a static pod no admission computes the number
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(component),
            "namespace": NAMESPACE,
            # Without kubeadm's label "component": the copy must not look like the component's static pod.
            "labels": {
                "app.kubernetes.io/name": RECOVERY,
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
                "tier": "control-plane",
                RECOVERS_LABEL: component.name,
            },
            "annotations": {
                "kubectl-selfhost/purpose": (
                    "Serves after a reboot until the pod of the DaemonSet "
                    f"{component.daemonset} serves; then the guardian removes this copy."
                ),
                DAEMONSET_ANNOTATION: daemonset["metadata"]["name"],
            },
        },
        "spec": spec,
    }


def digest(manifest: dict) -> str:
    """Return the SHA-256 of a manifest's meaning, which ignores the order of keys."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def recovers(pod: dict) -> str:
    """Return the name of the component whose recovery copy ``pod`` is, empty for none.

    The mirror pod's name counts, too: somebody may copy a label.
    """
    metadata = pod["metadata"]
    name = (metadata.get("labels") or {}).get(RECOVERS_LABEL, "")
    node = pod["spec"].get("nodeName", "")
    is_mirror = MIRROR_ANNOTATION in (metadata.get("annotations") or {})
    known = is_mirror and name in {component.name for component in COMPONENTS}
    is_copy = known and metadata["name"] == f"{name}{_SUFFIX}-{node.lower()}"
    return name if is_copy else ""


def standing_in(pods: Iterable[dict]) -> tuple[str, ...]:
    """Return the names of the components whose copy is among ``pods``."""
    found = {recovers(pod) for pod in pods}
    return tuple(c.name for c in COMPONENTS if c.name in found)


def groups_of(pods: Iterable[dict], component: Component, daemonsets: Iterable[str]) -> set[str]:
    """Return the groups whose DaemonSet a copy of ``component`` among ``pods`` replaces for a while.

    Only groups that have one of ``daemonsets`` (names) count.
    """
    names = {
        (pod["metadata"].get("annotations") or {}).get(DAEMONSET_ANNOTATION, "")
        for pod in pods
        if recovers(pod) == component.name
    }
    return {own.group for own in component.groups_in(names & set(daemonsets))}


def nodes_with_copies(pods: Iterable[dict]) -> set[str]:
    """Return the names of the nodes on which one of ``pods`` is a copy."""
    return {pod["spec"].get("nodeName", "") for pod in pods if recovers(pod)} - {""}


def outdated(
    daemonsets: Iterable[dict], node: NodeFacts, journal: Mapping[str, Any], *, group: str = ""
) -> tuple[str, ...]:
    """Return the names of the components whose copy on ``node``, in ``group``, differs from their
    DaemonSet.

    The ``journal`` has the digests of the copies; unknown entries are ignored.
    """
    if not node.host_ip:
        return ()  # the node could not be read, so the right content of its copies is unknown
    by_name = {one["metadata"]["name"]: one for one in daemonsets}
    kept = mapping(mapping(journal.get("nodes")).get(node.name))
    found = []
    for component in (each.of(group) for each in COMPONENTS):
        known = mapping(kept.get(component.name)).get("recovery")
        daemonset = by_name.get(component.daemonset)
        if known and daemonset and known != _digest_now(daemonset, component, node):
            found.append(component.name)
    return tuple(found)


def _digest_now(daemonset: dict, component: Component, node: NodeFacts) -> str:
    try:
        return digest(copy_of(daemonset, component, node))
    except SelfhostError:
        return ""  # no static pod can run this DaemonSet


def _without_ours(spec: dict) -> None:
    """Remove the container that waits for the port, and its volumes."""
    waiting = [one for one in spec.get("initContainers", []) if one["name"] != WAIT_CONTAINER]
    spec.pop("initContainers", None)
    if waiting:
        spec["initContainers"] = waiting
    spec["volumes"] = [
        one for one in spec.get("volumes", []) if one["name"] not in (AGENT_VOLUME, NODE_VOLUME)
    ]


def _refuse_references(component: Component, spec: dict) -> None:
    found = [
        f"volume {volume['name']} ({kind})"
        for volume in spec.get("volumes", [])
        for kind in _API_VOLUMES
        if kind in volume
    ]
    for container in containers(spec):
        if container.get("envFrom"):
            found.append(f"envFrom of container {container['name']}")
        found += [
            f"variable {variable['name']} ({kind})"
            for variable in container.get("env", [])
            for kind in _API_VARIABLES
            if kind in (variable.get("valueFrom") or {})
        ]
    if found:
        raise SelfhostError(
            f"There can be no recovery copy of {component}: a static pod can't have "
            f"{', '.join(found)}.",
            "Put this content into a file on the node. Else bring the API back by hand after a reboot.",
        )


def _write_out_fields(container: dict, node: NodeFacts) -> None:
    known = {
        "status.hostIP": node.host_ip,
        "status.podIP": node.host_ip,  # it is on the node's network
        "spec.nodeName": node.name,
    }
    for variable in container.get("env", []):
        path = (variable.get("valueFrom") or {}).get("fieldRef", {}).get("fieldPath")
        if path in known:
            del variable["valueFrom"]
            variable["value"] = known[path]


def _probe_itself(container: dict) -> None:
    for _, handler in actions(container):
        target = handler.get("httpGet", {})
        if target.get("host") in PROBE_ADDRESSES:
            target["host"] = PROBE_ADDRESS

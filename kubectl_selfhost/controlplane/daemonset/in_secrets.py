"""A DaemonSet whose pods mount their credentials from Secrets, and back.

The volumes keep their names, and the container its paths and flags: only what is mounted there is
another. A DaemonSet's template remembers what its pods mounted from the node before. So a recovery copy
can mount the node's files, and the way back is exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy

from kubectl_selfhost.controlplane.pod.staticpod import component_container
from kubectl_selfhost.names import HOST_VOLUMES_ANNOTATION

NODE_NAME = "NODE_NAME"
_SOURCE = {"fieldRef": {"fieldPath": "spec.nodeName"}}


def is_in_secrets(daemonset: dict) -> bool:
    """Return whether the DaemonSet's pods mount their credentials from Secrets."""
    metadata = daemonset["spec"]["template"].get("metadata") or {}
    return HOST_VOLUMES_ANNOTATION in (metadata.get("annotations") or {})


def with_secrets(daemonset: dict, volumes: Mapping[str, dict], files: Mapping[str, str]) -> dict:
    """Return the DaemonSet with these ``volumes``, by name, in place of those of the node.

    ``files``: of a volume that is mounted as one file, the file's name.
    """
    new = with_host_files(daemonset)
    template = new["spec"]["template"]
    spec, container = template["spec"], component_container(template)
    before = {
        "volumes": [one for one in spec["volumes"] if one["name"] in volumes],
        "volumeMounts": [one for one in container["volumeMounts"] if one["name"] in volumes],
        "env": container.get("env"),
        "securityContext": spec.get("securityContext"),
    }
    remembered = json.dumps(before, sort_keys=True)
    spec["volumes"] = [volumes.get(one["name"], one) for one in spec["volumes"]]
    variable = _name_the_node(container)
    for mount in container["volumeMounts"]:
        if mount["name"] in volumes:
            file = files.get(mount["name"])
            mount["subPathExpr"] = f"$({variable})" + (f"/{file}" if file else "")
            mount["readOnly"] = True
    _readable_by_its_user(spec, container)
    metadata = template.setdefault("metadata", {})
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        HOST_VOLUMES_ANNOTATION: remembered,
    }
    return new


def with_host_files(daemonset: dict) -> dict:
    """Return the DaemonSet with the node's own files in place of Secrets; a copy in any case."""
    new = deepcopy(daemonset)
    if not is_in_secrets(new):
        return new
    template = new["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    before = json.loads(annotations.pop(HOST_VOLUMES_ANNOTATION))
    if not annotations:
        del template["metadata"]["annotations"]
    spec, container = template["spec"], component_container(template)
    for holder, field in ((spec, "volumes"), (container, "volumeMounts")):
        was = {(one["name"], one.get("mountPath")): one for one in before[field]}
        holder[field] = [was.get((one["name"], one.get("mountPath")), one) for one in holder[field]]
    _take_off(container, before["env"])
    if before["securityContext"] is None:
        spec.pop("securityContext", None)
    else:
        spec["securityContext"] = before["securityContext"]
    return new


def _take_off(container: dict, before: list[dict] | None) -> None:
    """Remove the variable with the node's name, unless it was there before."""
    was = {one["name"] for one in before or []}
    left = [one for one in container.get("env") or [] if one["name"] in was or not _is_ours(one)]
    if left or before is not None:
        container["env"] = left
    else:
        container.pop("env", None)


def _is_ours(variable: dict) -> bool:
    source = (variable.get("valueFrom") or {}).get("fieldRef") or {}
    named = variable["name"] in (NODE_NAME, f"SELFHOST_{NODE_NAME}")
    return named and source.get("fieldPath") == "spec.nodeName"


def _name_the_node(container: dict) -> str:
    taken = {one["name"]: one for one in container.get("env") or []}
    name = NODE_NAME
    if name in taken and not _is_ours(taken[name]):
        name = f"SELFHOST_{NODE_NAME}"
    if name not in taken:
        container["env"] = [*(container.get("env") or []), {"name": name, "valueFrom": _SOURCE}]
    return name


def _readable_by_its_user(spec: dict, container: dict) -> None:
    """Let a component that isn't root read its keys, by the group that the kubelet gives a volume."""
    contexts = (container.get("securityContext") or {}, spec.get("securityContext") or {})
    users = [
        one[field] for field in ("runAsGroup", "runAsUser") for one in contexts if field in one
    ]
    group = next((one for one in users if one), 0)
    if group:
        spec["securityContext"] = {"fsGroup": group, **(spec.get("securityContext") or {})}

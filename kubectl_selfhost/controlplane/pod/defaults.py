"""The defaults that the API server and the kubelet add to a pod.

A pod from the API has fields that nobody wrote: defaults. `without_defaults` removes them, and so
returns what a person wrote. `with_defaults` adds them to two pods, to compare the pods. Both functions
use one table, so that one adds exactly what the other removes.

Source: ``pkg/apis/core/v1/defaults.go`` and ``zz_generated.defaults.go`` of Kubernetes 1.20 to
1.37. The table has no defaults of volume types that need a driver (iscsi, rbd, azureDisk, scaleIO):
static control planes have no such volumes, and a value that is not removed does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator

#: The classes that every cluster has (pkg/apis/scheduling: SystemPriorityClasses).
PRIORITIES = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}

#: The kubelet adds these to each static pod that it reads from a file (pkg/kubelet/config/common.go).
KUBELET_TOLERATION = {"operator": "Exists", "effect": "NoExecute"}

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
LIFECYCLE_HOOKS = ("postStart", "preStop")

_SPEC = {
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
}
_CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_PROBE_ACTIONS: dict[str, dict] = {
    # protocol: feature H2CContainerProbe, 1.37
    "httpGet": {"path": "/", "scheme": "HTTP", "protocol": "HTTP1"},
    "grpc": {"service": ""},
}
_FILE_MODE = {"defaultMode": 0o644}
_VOLUME_SOURCES: dict[str, dict] = {
    "hostPath": {"type": ""},
    "configMap": _FILE_MODE,
    "secret": _FILE_MODE,
    "downwardAPI": _FILE_MODE,
    "projected": _FILE_MODE,
}
_FIELD_REF = {"apiVersion": "v1"}
_RESOURCE_FIELD_REF = {"divisor": "0"}
_FILE_KEY_REF = {"optional": False}

#: Fields that Go leaves out of JSON if they have their type's zero value: zero and absent mean the
#: same. Pointers (runAsUser, privileged …) are not in the list: for them zero has a meaning.
# fmt: off
_ZERO_MEANS_ABSENT = frozenset((
    "hostNetwork", "hostPID", "hostIPC", "initialDelaySeconds", "readOnly", "stdin", "stdinOnce",
    "tty", "value", "subPath", "subPathExpr", "hostPort", "hostIP", "workingDir", "nodeName",
    "serviceAccountName", "serviceAccount", "hostname", "subdomain", "priorityClassName",
))
#: Fields with other fields inside, for which empty and absent mean the same.
_EMPTY_MEANS_ABSENT = frozenset((
    "annotations", "labels", "nodeSelector", "affinity", "resources", "requests", "limits",
    "securityContext", "dnsConfig", "lifecycle",
))
# fmt: on

#: Mappings whose keys people choose: their content stays as it is.
_FREE = frozenset(("annotations", "labels", "nodeSelector", "matchLabels"))

Place = tuple[dict, dict]


def with_defaults(pod: dict) -> dict:
    """Return a copy of ``pod`` with all defaults of the API server and the kubelet."""
    pod = tidy(pod)
    spec = pod.setdefault("spec", {})
    pod.setdefault("metadata", {}).setdefault("namespace", "default")
    for place, defaults in _places(spec):
        for key, value in defaults.items():
            place.setdefault(key, value)
    spec.setdefault("securityContext", {})
    if spec.get("priorityClassName") in PRIORITIES:
        spec.setdefault("priority", PRIORITIES[spec["priorityClassName"]])
    for container in containers(spec):
        container.setdefault("resources", {})
        container.setdefault("imagePullPolicy", default_pull_policy(container.get("image", "")))
        for port in container.get("ports", []) if spec.get("hostNetwork") else []:
            port.setdefault("hostPort", port.get("containerPort"))
        _requests_from_limits(container["resources"])
    return pod


def without_defaults(pod: dict) -> dict:
    """Return a copy of ``pod`` without defaults; ``with_defaults`` of both is the same.

    The image pull policy and the priority stay, although they follow from other fields, because
    kubeadm's own manifests have them: an image that must not be pulled needs the policy, and the
    kubelet doesn't look up a static pod's priorityClassName (1.37 warns if the number is missing).
    """
    pod = tidy(pod)
    spec = pod.get("spec", {})
    for place, defaults in _places(spec):
        for key, value in defaults.items():
            if place.get(key) == value:
                del place[key]
    for container in containers(spec):
        for port in container.get("ports", []) if spec.get("hostNetwork") else []:
            if port.get("hostPort") == port.get("containerPort"):
                port.pop("hostPort", None)
        resources = container.get("resources", {})
        limits = resources.get("limits", {})
        for name, amount in limits.items():
            if resources.get("requests", {}).get(name) == amount:
                del resources["requests"][name]
    return tidy(pod)


def tidy(value: dict) -> dict:
    """Return a deep copy without nulls, without empty lists, and without zero values that mean the
    same as absent values.

    ``emptyDir: {}`` and similar values stay: the key itself has a meaning.
    """
    found = {}
    for key, item in value.items():
        if isinstance(item, dict):
            item = dict(item) if key in _FREE else tidy(item)
            if not item and key in _EMPTY_MEANS_ABSENT:
                continue
        elif isinstance(item, list):
            if not item:
                continue
            item = [_tidy(entry) for entry in item]
        elif item is None or (key in _ZERO_MEANS_ABSENT and item in ("", 0, False)):
            continue
        found[key] = item
    return found


def _tidy(entry: object) -> object:
    if isinstance(entry, dict):
        return tidy(entry)
    if isinstance(entry, list):
        return [_tidy(one) for one in entry]
    return entry  # other JSON values are immutable in Python


def containers(spec: dict) -> list[dict]:
    """Return all containers of a pod's spec, the init containers first."""
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def default_pull_policy(image: str) -> str:
    """Return the default pull policy: Always for the tag ``latest``, also without a tag."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2] or ("" if digest else "latest")
    return "Always" if tag == "latest" else "IfNotPresent"


def actions(container: dict) -> Iterator[tuple[str, dict]]:
    """Yield each probe and lifecycle hook of a container: its name and its actions."""
    for name in PROBES:
        if name in container:
            yield name, container[name]
    for name in LIFECYCLE_HOOKS:
        if name in container.get("lifecycle", {}):
            yield name, container["lifecycle"][name]


def _requests_from_limits(resources: dict) -> None:
    for name, amount in resources.get("limits", {}).items():
        resources.setdefault("requests", {}).setdefault(name, amount)


def _places(spec: dict) -> Iterator[Place]:
    """Yield each mapping in a pod's spec that has defaults, with the defaults."""
    yield spec, _SPEC
    for container in containers(spec):
        yield from _container_places(container)
    for volume in spec.get("volumes", []):
        yield from _volume_places(volume)


def _container_places(container: dict) -> Iterator[Place]:
    yield container, _CONTAINER
    for port in container.get("ports", []):
        yield port, {"protocol": "TCP"}
    for name, handler in actions(container):
        if name in PROBES:
            yield handler, _PROBE
        for action, defaults in _PROBE_ACTIONS.items():
            if action in handler:
                yield handler[action], defaults
    for variable in container.get("env", []):
        yield from _reference_places(variable.get("valueFrom", {}))


def _volume_places(volume: dict) -> Iterator[Place]:
    for source, defaults in _VOLUME_SOURCES.items():
        if source in volume:
            yield volume[source], defaults
    for source in [volume, *volume.get("projected", {}).get("sources", [])]:
        if "serviceAccountToken" in source:
            yield source["serviceAccountToken"], {"expirationSeconds": 3600}
        for item in source.get("downwardAPI", {}).get("items", []):
            yield from _reference_places(item)


def _reference_places(holder: dict) -> Iterator[Place]:
    if "fieldRef" in holder:
        yield holder["fieldRef"], _FIELD_REF
    if "resourceFieldRef" in holder:
        yield holder["resourceFieldRef"], _RESOURCE_FIELD_REF
    if "fileKeyRef" in holder:
        yield holder["fileKeyRef"], _FILE_KEY_REF

"""From the mirror of a static pod, as the API shows it, back to its manifest.

A mirror pod can't tell the manifest's file name, its comments, the order of its keys, whether a
default was written out, further documents in the same file; finalizers and owners (a manifest has
neither); and a change that admission made to the mirror alone (see ``truth``). So the node keeps
the file itself as it is, and this module serves to know what runs before the file is read.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    SCHEDULER,
    Component,
    component_named,
)
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod import profiles
from kubectl_selfhost.controlplane.pod.defaults import (
    KUBELET_TOLERATION,
    containers,
    tidy,
    without_defaults,
)
from kubectl_selfhost.controlplane.values import durations
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import ADVERTISE_ADDRESS_ANNOTATION, NAMESPACE

#: kubernetes.io/config.hash, .mirror, .seen and .source, all set by the kubelet.
_KUBELET_ANNOTATIONS = "kubernetes.io/config."
#: Copied from the node's labels to its pods by admission (PodTopologyLabels, Kubernetes 1.33).
_TOPOLOGY_LABELS = ("topology.kubernetes.io/", "topology.k8s.io/")
_LIMIT_RANGER = "kubernetes.io/limit-ranger"
_LIMIT_RANGER_SET = re.compile(
    r"(?P<resources>[^;:]+) (?P<kind>request|limit) for (?:init )?container (?P<name>[a-z0-9-]+)"
)
_VARIABLE = re.compile(r"\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")


def from_mirror_pod(pod: dict) -> dict:
    """Return the manifest that a static pod was made of, from its mirror ``pod`` as read through
    the API.

    The result means the same as the file on the node (``difference.meaning`` finds nothing), for
    what kubeadm 1.20 to 1.37 writes and for people's patches of it. ``pod`` may also be a manifest,
    whose meaning stays. ``pod`` itself is not changed.
    """
    pod = tidy(pod)
    _undo_limit_ranger(pod)
    profiles.take_off_copies(pod)
    metadata, spec = pod.get("metadata", {}), pod.get("spec", {})
    node = spec.pop("nodeName", "")
    kept = {
        "name": metadata.get("name", "").removesuffix(f"-{node.lower()}" if node else ""),
        "namespace": metadata.get("namespace", "default"),
        "labels": _without(metadata.get("labels", {}), _TOPOLOGY_LABELS),
        "annotations": _without(metadata.get("annotations", {}), (_KUBELET_ANNOTATIONS,)),
    }
    tolerations = [one for one in spec.get("tolerations", []) if one != KUBELET_TOLERATION]
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": kept,
        "spec": {**spec, "tolerations": tolerations},
    }
    return without_defaults(manifest)


def component_of(pod: dict) -> Component | None:
    """Return the component whose static pod this is, a manifest or a mirror pod; None for no
    component.

    The static pod's name decides, as for the kubelet and kubeadm. Its labels and the names of its
    containers don't: a copy of a manifest under another name has the same.
    """
    metadata, node = pod.get("metadata", {}), pod["spec"].get("nodeName", "")
    if metadata.get("namespace", NAMESPACE) != NAMESPACE:
        return None
    name = metadata.get("name", "").removesuffix(f"-{node.lower()}" if node else "")
    return next((one for one in COMPONENTS if one.name == name), None)


def component_container(pod: dict) -> dict:
    """Return the container of a pod that is the component: it has the component's name, runs its
    program, or is the only container.

    Raise SelfhostError if there is no such container.
    """
    found: list[dict] = pod["spec"].get("containers", [])
    names = {component.name for component in COMPONENTS}
    for container in found:
        if container.get("name") in names:
            return container
    running = [one for one in found if one.get("command") and component_flags.runs(one)]
    if len(running) == 1:
        return running[0]
    if len(found) == 1:
        return found[0]
    name = pod.get("metadata", {}).get("name", "")
    raise SelfhostError(f"None of the containers of pod {name} is named after a component.")


def flags(pod: dict) -> dict[str, str]:
    """Return the component's flags, by name without dashes; of a flag that is given twice, the last
    value.

    ``$(NAME)`` stands for the value in the container's environment, if it is known.
    """
    container = component_container(pod)
    known = _environment(pod, container)
    return {
        name: _VARIABLE.sub(lambda match: known.get(match[1], match[0]), value)
        for name, value in component_flags.of_container(container).items()
    }


def secure_port(pod: dict, component: Component) -> int:
    """Return the port on which the component serves HTTPS; 0 if it serves none.

    Raise SelfhostError if its flag isn't a number.
    """
    port = flags(pod).get("secure-port", str(component.default_port))
    if not port.isdecimal():
        raise SelfhostError(f"The flag --secure-port of {component} is not a port: {port}.")
    return int(port)


def bind_address(pod: dict, component: Component) -> str:
    """Return the address on which the component listens: its flag's value or the default."""
    return flags(pod).get("bind-address", component.default_bind_address)


def is_wildcard(address: str) -> bool:
    """Return whether a bind address means all of a node's addresses (IPv4 and IPv6: Go
    binds both).
    """
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return address == ""


def advertise_address(pod: dict) -> str | None:
    """Return the address that a kube-apiserver gives to the cluster; None if the pod doesn't tell.

    The flag comes first, then kubeadm's annotation, then a bind address that is one address.
    """
    address = flags(pod).get("advertise-address", "")
    if address and "$(" not in address:
        return address
    endpoint = pod.get("metadata", {}).get("annotations", {}).get(ADVERTISE_ADDRESS_ANNOTATION)
    if endpoint:
        return str(endpoint).rpartition(":")[0].strip("[]")
    bound = bind_address(pod, APISERVER)
    return None if is_wildcard(bound) or "$(" in bound else bound


def advertise_endpoint(pod: dict) -> str | None:
    """Return address and port for kubeadm's annotation (``10.0.0.1:6443``, ``[fd00::1]:6443``)."""
    address = advertise_address(pod)
    if address is None:
        return None
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{secure_port(pod, APISERVER)}"


def leader_elects(pod: dict, component: Component) -> bool:
    """Return whether the component works only while it holds its lease (the default, save the
    apiserver).

    A scheduler's own configuration file (``--config``) may change this; the file can't be seen
    here.
    """
    if component.lease is None:
        return False
    return component_flags.boolean(flags(pod).get("leader-elect", "true")) is not False


def led_as(pod: dict, component: Component) -> Component:
    """Return ``component`` with the lease that ``pod`` gives it; without a lease if it elects no
    leader.

    What a scheduler's ``--config`` says can't be seen here; flags override it (see
    ``leads_by_file``).
    """
    default = component_named(component.name)
    if not leader_elects(pod, default):
        return replace(component, lease=None)
    given = flags(pod)
    return replace(
        component,
        lease=given.get("leader-elect-resource-name") or default.lease,
        lease_namespace=given.get("leader-elect-resource-namespace") or default.lease_namespace,
    )


def leads_by_file(pod: dict, component: Component) -> str:
    """Return the configuration file that may name the component's lease, or switch the election
    off; empty if the flags decide all of it.

    A flag of the leader election overrides the file (kube-scheduler's options.go,
    ApplyLeaderElectionTo); kube-controller-manager has no such file.
    """
    given = flags(pod)
    elects = component_flags.boolean(given.get("leader-elect", ""))
    if component != SCHEDULER or elects is False:
        return ""
    if elects and "leader-elect-resource-name" in given:
        return ""
    return given.get("config", "")


def retry_period(pod: dict, component: Component) -> float:
    """Return for how many seconds at least the component waits before it tries again to lead; 0 if
    it works without a lease.

    The value is the flag ``--leader-elect-retry-period``, or the default of 2 s (Kubernetes 1.20 to
    1.37).
    """
    if not leader_elects(pod, component):
        return 0.0
    given = durations.seconds(flags(pod).get("leader-elect-retry-period", ""))
    return 2.0 if given is None else given


def _environment(pod: dict, container: dict) -> dict[str, str]:
    """Return the container's variables, as far as they are written out or known from the pod."""
    status = pod.get("status", {})
    fields = {
        "status.hostIP": status.get("hostIP"),
        "status.podIP": status.get("podIP"),
        "spec.nodeName": pod["spec"].get("nodeName"),
        "metadata.name": pod.get("metadata", {}).get("name"),
        "metadata.namespace": pod.get("metadata", {}).get("namespace"),
    }
    known: dict[str, str] = {}
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef", {}).get("fieldPath")
        value = fields.get(reference) if reference else variable.get("value")
        if value is not None:
            known[variable["name"]] = str(value)
    return known


def _without(mapping: dict[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in mapping.items() if not key.startswith(prefixes)}


def _undo_limit_ranger(pod: dict) -> None:
    """Remove the amounts that a LimitRange gave to the mirror; an annotation of the mirror lists
    them.
    """
    said = pod.get("metadata", {}).get("annotations", {}).pop(_LIMIT_RANGER, "")
    for match in _LIMIT_RANGER_SET.finditer(said.partition(":")[2]):
        for container in containers(pod["spec"]):
            if container.get("name") == match["name"]:
                amounts = container.get("resources", {}).get(f"{match['kind']}s", {})
                for resource in match["resources"].strip().split(", "):
                    amounts.pop(resource, None)

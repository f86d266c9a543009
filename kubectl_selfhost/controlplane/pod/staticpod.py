"""From the mirror of a static pod, as the API shows it, to its manifest.

A mirror pod does not show the manifest's file name, its comments, the order of its keys, further
documents in the same file, or whether a default was written. Its finalizers and owners are not in
the manifest, and admission may have changed only the mirror (see ``truth``). So the node keeps the
file itself. This module shows what runs until the file is read.
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
from kubectl_selfhost.controlplane.values import addresses, durations
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import ADVERTISE_ADDRESS_ANNOTATION, NAMESPACE

#: kubernetes.io/config.hash, .mirror, .seen and .source: the kubelet sets them.
_KUBELET_ANNOTATIONS = "kubernetes.io/config."
#: Admission copies these labels from the node to its pods (PodTopologyLabels, Kubernetes 1.33).
_TOPOLOGY_LABELS = ("topology.kubernetes.io/", "topology.k8s.io/")
_LIMIT_RANGER = "kubernetes.io/limit-ranger"
_LIMIT_RANGER_SET = re.compile(
    r"(?P<resources>[^;:]+) (?P<kind>request|limit) for (?:init )?container (?P<name>[a-z0-9-]+)"
)
_VARIABLE = re.compile(r"\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")


def from_mirror_pod(pod: dict) -> dict:
    """Return a static pod's manifest, made from its mirror ``pod`` in the API.

    The result means the same as the file on the node (``difference.meaning`` finds nothing), for the
    manifests of kubeadm 1.20 to 1.37 and for people's patches of them. ``pod`` may also be a
    manifest, whose meaning stays. This function does not change ``pod``.
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

    The static pod's name decides, as in the kubelet and kubeadm. Labels and container names don't
    decide: a copy of a manifest under another name has the same labels and containers.
    """
    metadata, node = pod.get("metadata", {}), pod["spec"].get("nodeName", "")
    if metadata.get("namespace", NAMESPACE) != NAMESPACE:
        return None
    name = metadata.get("name", "").removesuffix(f"-{node.lower()}" if node else "")
    return next((one for one in COMPONENTS if one.name == name), None)


def component_container(pod: dict) -> dict:
    """Return the component's container: it has the component's name, runs its program, or is the
    pod's only container.

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
    raise SelfhostError(f"No container of pod {name} has a component's name or program.")


def flags(pod: dict) -> dict[str, str]:
    """Return the component's flags by name, without dashes; for a repeated flag, the last value.

    A known value in the container's environment replaces ``$(NAME)``.
    """
    container = component_container(pod)
    known = _environment(pod, container)
    return {
        name: _VARIABLE.sub(lambda match: known.get(match[1], match[0]), value)
        for name, value in component_flags.of_container(container).items()
    }


def secure_port(pod: dict, component: Component) -> int:
    """Return the port on which the component serves HTTPS; 0 if it serves no port.

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
    """Return whether a bind address means all addresses of a node (Go binds IPv4 and IPv6)."""
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return address == ""


def advertise_address(pod: dict) -> str | None:
    """Return the address that a kube-apiserver advertises; None if the pod doesn't show the address.

    The flag comes first, then kubeadm's annotation, then a bind address that is a single address.
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
    host = addresses.in_url(address)
    return f"{host}:{secure_port(pod, APISERVER)}"


def leader_elects(pod: dict, component: Component) -> bool:
    """Return whether the component works only while it holds its lease. This is the default of the
    controller-manager and the scheduler.

    A scheduler's configuration file (``--config``) may change this; this function can't see the file.
    """
    if component.lease is None:
        return False
    return component_flags.boolean(flags(pod).get("leader-elect", "true")) is not False


def led_as(pod: dict, component: Component) -> Component:
    """Return ``component`` with the lease that ``pod`` names; without a lease if leader election is
    off.

    This function can't see a scheduler's ``--config``; flags override the file (see
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
    """Return the configuration file that may name the component's lease or switch the election off;
    empty if the flags decide both.

    A flag of the leader election overrides the file (kube-scheduler's options.go,
    ApplyLeaderElectionTo). kube-controller-manager has no such file.
    """
    given = flags(pod)
    elects = component_flags.boolean(given.get("leader-elect", ""))
    if component != SCHEDULER or elects is False:
        return ""
    if elects and "leader-elect-resource-name" in given:
        return ""
    return given.get("config", "")


def retry_period(pod: dict, component: Component) -> float:
    """Return the minimum of seconds between two tries to lead; 0 for a component without a lease.

    The value is the flag ``--leader-elect-retry-period``, or the default of 2 s (Kubernetes 1.20 to
    1.37).
    """
    if not leader_elects(pod, component):
        return 0.0
    given = durations.seconds(flags(pod).get("leader-elect-retry-period", ""))
    return 2.0 if given is None else given


def _environment(pod: dict, container: dict) -> dict[str, str]:
    """Return the container's variables whose values are in the manifest or known from the pod."""
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
    """Remove the amounts that a LimitRange added to the mirror, as an annotation lists them."""
    said = pod.get("metadata", {}).get("annotations", {}).pop(_LIMIT_RANGER, "")
    for match in _LIMIT_RANGER_SET.finditer(said.partition(":")[2]):
        for container in containers(pod["spec"]):
            if container.get("name") == match["name"]:
                amounts = container.get("resources", {}).get(f"{match['kind']}s", {})
                for resource in match["resources"].strip().split(", "):
                    amounts.pop(resource, None)

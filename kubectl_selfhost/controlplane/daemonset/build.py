"""From a component's static pod to the DaemonSet that runs the component.

The DaemonSet has the name and the labels of kubeadm's own (``kubeadm alpha selfhosting pivot``, until
1.20). The rest follows from the needs of later clusters. Without any of these points a cluster broke:

- No ``ports``: a pod on the host's network reserves them on the node, so the scheduler would never
  place the new instance beside the old one (kubeadm declares ports since 1.34, issue 132776 of
  kubernetes/kubernetes). A probe that names a port gets the port's number.
- The new instance starts beside the old one and shares its port (``maxSurge``,
  ``--permit-port-sharing``). If the old instance doesn't share, an init container waits for the port:
  a server that finds the port in use exits, and the kubelet restarts the server with growing delays.
  If two instances of a component must not run (``beside``), they never share: the second pod waits.
- No service account token: to get a token, the kubelet needs an API server.
- The pod tolerates every taint and has the same priority, as a static pod.
- The pod reads the node's own address from its node, not from the first node's pod.

The rest of the static pod does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset.facts import (
    AGENT_MOUNT,
    HOST_IP,
    MIN_READY_SECONDS,
    NODE_MOUNT,
    NODE_VOLUME,
    PROBE_ADDRESSES,
    WAIT_CONTAINER,
    AgentFacts,
    NodeFacts,
)
from kubectl_selfhost.controlplane.daemonset.fit import (
    advertises_host_ip,
    refuse_what_cannot_be,
    require_fit,
)
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.defaults import actions, containers, tidy
from kubectl_selfhost.controlplane.program import AGENT_VOLUME
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.controlplane.values import resources
from kubectl_selfhost.names import (
    ADVERTISE_ADDRESS_ANNOTATION,
    CONTROL_PLANE_LABEL,
    FIELD_MANAGER,
    NAMESPACE,
    NODE_LABEL,
    SHARED_BY_ALL,
)

#: Ports below this number need CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start).
_FIRST_UNPRIVILEGED_PORT = 1024
#: The official image's kube-apiserver has this capability in its file (kubeadm's RootlessControlPlane
#: adds the capability to the pod's bounding set). Another program under the same user has no such
#: capability. So the container that waits for the port runs as root, and makes its sockets as the
#: component's user.
_LOW_PORT_RIGHTS = {
    "runAsUser": 0,
    "runAsGroup": 0,
    "runAsNonRoot": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "SETUID"]},
}
#: Fields that only a pod bound to its node has, and fields that follow from another field.
_NOT_IN_A_TEMPLATE = ("nodeName", "priority", "preemptionPolicy", "schedulerName")


def build(
    component: Component, static_pod: dict, *, nodes: Sequence[NodeFacts], agent: AgentFacts
) -> dict:
    """Return the DaemonSet (apps/v1) that runs ``component`` as ``static_pod`` did, on all of
    ``nodes``.

    ``kubectl apply -f -`` accepts the result; the same input gives the same output. The DaemonSet
    needs Kubernetes 1.22 (maxSurge). Raise SelfhostError if one DaemonSet can't run all these pods:
    the nodes have different CPUs or need different addresses, the pod is not on the host's network,
    or its command hides the flags.
    """
    static_pod = staticpod.from_mirror_pod(static_pod)
    require_fit(component, static_pod)
    refuse_what_cannot_be(component, static_pod, nodes, agent)
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": component.daemonset,
            "namespace": NAMESPACE,
            "labels": {
                "k8s-app": component.daemonset,
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
            },
        },
        "spec": {
            # Without component and tier: with these labels the selector would match mirror pods, too.
            "selector": {"matchLabels": {"k8s-app": component.daemonset}},
            "minReadySeconds": MIN_READY_SECONDS,
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": _template(component, static_pod, nodes, agent),
        },
    }


def _template(
    component: Component, static_pod: dict, nodes: Sequence[NodeFacts], agent: AgentFacts
) -> dict:
    pod = deepcopy(static_pod)
    metadata, spec = pod.get("metadata", {}), pod["spec"]
    container = staticpod.component_container(pod)
    port = staticpod.secure_port(static_pod, component)
    bound = staticpod.bind_address(static_pod, component)
    _number_named_ports(spec)
    if component == APISERVER:
        _probe_itself(container, port, bound)
        _advertise_node_address(container, nodes)
    if beside.one_at_a_time(component, static_pod):
        component_flags.without_flag(container, "permit-port-sharing")
    else:
        component_flags.with_flag(container, "permit-port-sharing", "true")
    _tell_soon(container)
    _place_like_a_static_pod(component, spec, agent, role=nodes[0].role)
    _wait_for_port(component, spec, container, agent=agent, port=port, bound=bound)
    annotations = _annotations(component, static_pod, nodes)
    labels = {**metadata.get("labels", {}), **component.labels, "k8s-app": component.daemonset}
    return {
        "metadata": {"labels": labels, **({"annotations": annotations} if annotations else {})},
        "spec": spec,
    }


def _annotations(
    component: Component, static_pod: dict, nodes: Sequence[NodeFacts]
) -> dict[str, str]:
    """Return the static pod's own annotations. With several nodes, leave out kubeadm's annotation
    of the address.
    """
    annotations = dict(static_pod.get("metadata", {}).get("annotations", {}))
    annotations.pop(ADVERTISE_ADDRESS_ANNOTATION, None)
    endpoint = staticpod.advertise_endpoint(static_pod) if component == APISERVER else None
    if endpoint and len(nodes) == 1:
        annotations[ADVERTISE_ADDRESS_ANNOTATION] = endpoint
    return annotations


def _number_named_ports(spec: dict) -> None:
    """Remove the containers' ports. In each probe replace a port's name with its number."""
    for container in containers(spec):
        numbers = {
            port["name"]: port["containerPort"]
            for port in container.pop("ports", [])
            if "name" in port
        }
        for _, handler in actions(container):
            for action in ("httpGet", "tcpSocket"):
                target = handler.get(action, {})
                if target.get("port") in numbers:
                    target["port"] = numbers[target["port"]]


def _probe_itself(container: dict, port: int, bound: str) -> None:
    """Set the probes' host to a loopback address, or to the one address where the server listens.

    kubeadm writes the advertise address of the node for which it made the manifest, which is wrong
    on every other node. A hand-over steers only the loopback address to the new instance. A static
    pod from a revert is probed at a loopback address, too: then the new instance gets another one.
    """
    if "$(" in bound:
        return  # the kubelet replaces no variables in a probe
    taken = {handler.get("httpGet", {}).get("host") for _, handler in actions(container)}
    free = next(one for one in PROBE_ADDRESSES if one not in taken)
    host = free if staticpod.is_wildcard(bound) else bound
    for _, handler in actions(container):
        target = handler.get("httpGet", {})
        if target.get("port") in (port, str(port)):
            target["host"] = host


def _tell_soon(container: dict) -> None:
    """Let the kubelet notice at once that the component is up, and report why it is not.

    kubeadm's startup probe asks first after 10 s and then every 10 s. Until this probe passes the
    pod is not Ready, and a hand-over waits for Ready. The time limit of the start stays the same.
    The component's last output gets into the pod's status, for the error of a failed hand-over.
    """
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    probe = container.get("startupProbe")
    if probe is None:
        return
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    probe["failureThreshold"] = probe.pop("initialDelaySeconds", 0) + period * failures
    probe["periodSeconds"] = 1


def _advertise_node_address(container: dict, nodes: Sequence[NodeFacts]) -> None:
    given = component_flags.of_container(container).get("advertise-address")
    if given is None or "$(" in given or not all(advertises_host_ip(node) for node in nodes):
        return
    source = {"fieldRef": {"fieldPath": "status.hostIP"}}
    variables = container.setdefault("env", [])
    taken = {variable["name"]: variable.get("valueFrom") for variable in variables}
    name = HOST_IP if taken.get(HOST_IP, source) == source else f"SELFHOST_{HOST_IP}"
    if name not in taken:
        variables.append({"name": name, "valueFrom": source})
    component_flags.with_flag(container, "advertise-address", f"$({name})")


def _place_like_a_static_pod(
    component: Component, spec: dict, agent: AgentFacts, *, role: str
) -> None:
    for field in _NOT_IN_A_TEMPLATE:
        spec.pop(field, None)
    spec.setdefault("priorityClassName", "system-node-critical")
    spec["automountServiceAccountToken"] = False
    spec["tolerations"] = [{"operator": "Exists"}]
    spec["nodeSelector"] = {
        **spec.get("nodeSelector", {}),
        CONTROL_PLANE_LABEL: role,
        NODE_LABEL: component.group or SHARED_BY_ALL,
        "kubernetes.io/arch": agent.arch,
    }


def _wait_for_port(
    component: Component,
    spec: dict,
    container: dict,
    *,
    agent: AgentFacts,
    port: int,
    bound: str,
) -> None:
    """Add the container that waits for the port, as the last init container.

    The container runs the agent's program in the component's own image, so there is nothing to pull.
    It runs as the component's user, because two processes can share a port only under the same user.
    If this user isn't root and the port is below 1024, the container runs as root, and tries sockets
    of the user (see ``_LOW_PORT_RIGHTS``). While the hold file is on the node, the container waits
    even if the port is free: so a new instance can't take the port of a restored static pod.
    """
    command = [agent.program, WAIT_CONTAINER, "--port", str(port)]
    if not staticpod.is_wildcard(bound):
        command += ["--address", bound]
    command += ["--hold", f"{NODE_MOUNT}/{component.name}/hold"]
    rights = deepcopy(container.get("securityContext"))
    user = _user(spec, container)
    if port < _FIRST_UNPRIVILEGED_PORT and user:
        command += ["--user", str(user)]
        rights = deepcopy(_LOW_PORT_RIGHTS)
    waiter = {
        "name": WAIT_CONTAINER,
        "image": container["image"],
        "imagePullPolicy": container.get("imagePullPolicy"),
        "command": command,
        "env": deepcopy(container.get("env")) if "$(" in bound else None,
        "resources": _waiters_resources(spec, container),
        "securityContext": rights,
        "volumeMounts": [
            {"name": AGENT_VOLUME, "mountPath": AGENT_MOUNT, "readOnly": True},
            {"name": NODE_VOLUME, "mountPath": NODE_MOUNT, "readOnly": True},
        ],
    }
    spec["initContainers"] = [*spec.get("initContainers", []), tidy(waiter)]
    spec["volumes"] = [
        *spec.get("volumes", []),
        programs.volume(agent.secret),
        {
            "name": NODE_VOLUME,
            "hostPath": {"path": agent.node_directory, "type": "DirectoryOrCreate"},
        },
    ]


def _waiters_resources(spec: dict, container: dict) -> dict:
    """Return the resources of the container that waits. They keep the pod's quality of service,
    for which every container counts.

    In a Guaranteed pod the container has the component's own amounts. Init containers run before the
    other containers, so the pod requests no more than before.
    """
    quality = resources.quality_of_service(spec)
    if quality == resources.BEST_EFFORT or spec.get("resources"):
        return {}
    if quality == resources.GUARANTEED:
        return deepcopy(container.get("resources") or {})
    return {"requests": {"cpu": "10m", "memory": "5Mi"}}


def _user(spec: dict, container: dict) -> int:
    """Return the component's user in the pod; 0 for root, or if only the image names the user."""
    for context in (container.get("securityContext"), spec.get("securityContext")):
        user = (context or {}).get("runAsUser")
        if user is not None:
            return int(user)
    return 0

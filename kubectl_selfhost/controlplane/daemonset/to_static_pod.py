"""From a component's DaemonSet back to a static pod's manifest, for what runs now.

This is the inverse of ``daemonset.build.build``. An image or a flag that was changed since the pivot
stays. Fields that only the DaemonSet needed go. Fields that the DaemonSet could not have (ports, a
probe's host, the time limit of the start) come from the manifest from before the pivot. If that
manifest is lost, the values are kubeadm's.

``--permit-port-sharing=true`` stays: with this flag the static pod can start beside the DaemonSet's
pod, so clients notice nothing. If two instances must not run (``beside``), the flag goes. ``kubeadm
upgrade`` writes its own manifests, without the flag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy

from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset.change import ROLLED_OUT_ANNOTATION
from kubectl_selfhost.controlplane.daemonset.facts import (
    NODE_VOLUME,
    PROBE_ADDRESSES,
    WAIT_CONTAINER,
)
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.defaults import (
    PRIORITIES,
    actions,
    containers,
    without_defaults,
)
from kubectl_selfhost.controlplane.program import AGENT_VOLUME
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.controlplane.values.addresses import same_address
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import (
    ADVERTISE_ADDRESS_ANNOTATION,
    CONTROL_PLANE_LABEL,
    FIELD_MANAGER,
    NAMESPACE,
    NODE_LABEL,
)

#: kubeadm's startup probe asks first after this many seconds, and then at this interval.
_KUBEADM_DELAY = _KUBEADM_PERIOD = 10
_OUR_SELECTOR = (
    CONTROL_PLANE_LABEL,
    NODE_LABEL,
    "kubernetes.io/arch",
    "node-role.kubernetes.io/master",  # from kubeadm's own pivot
)
#: The DNS policy of kubeadm's own pivot, with which pods found the cluster's DNS.
_KUBEADM_DNS = "ClusterFirstWithHostNet"
#: Annotations of a template that record its roll-outs.
_OF_ROLL_OUTS = (ROLLED_OUT_ANNOTATION, "kubectl.kubernetes.io/restartedAt")
#: Fields that the DaemonSet needed or could not have: they get their value from before the pivot.
_AS_BEFORE = (
    "automountServiceAccountToken",
    "preemptionPolicy",
    "priority",
    "schedulerName",
    "tolerations",
)
_FROM_THE_API = (
    "configMap",
    "secret",
    "configMapRef",
    "secretRef",
    "configMapKeyRef",
    "secretKeyRef",
)
_STARTUP = ("initialDelaySeconds", "periodSeconds", "failureThreshold")
_VARIABLE = re.compile(r"\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")


def from_daemonset(
    component: Component,
    daemonset: dict,
    backup: dict | None = None,
    *,
    address: str = "",
    probe_host: str = "",
) -> dict:
    """Return the static pod's manifest that runs ``component`` as ``daemonset`` does now.

    ``backup`` is the manifest from before the pivot, None if it is lost. ``address`` is the address
    that the node's API server advertises. ``probe_host`` is the address at which an API server is
    probed after the revert; empty: the address from before the pivot. Raise SelfhostError for what
    a static pod can't have.
    """
    template = deepcopy(daemonset["spec"]["template"])
    before = None if backup is None else staticpod.from_mirror_pod(backup)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(component, template.get("metadata") or {}, before),
        "spec": template["spec"],
    }
    spec = pod["spec"]
    _take_off_ours(spec)
    _refuse_what_only_the_api_has(component, spec)
    if before is None and not is_ours(daemonset) and spec.get("dnsPolicy") == _KUBEADM_DNS:
        del spec["dnsPolicy"]
    _place_as_before(spec, before)
    container = staticpod.component_container(pod)
    if component == APISERVER:
        _advertise(container, _main_before(before), address)
        _probe(container, before, pod, address=address, probe_host=probe_host)
    _tell_kubeadm(component, pod, before)
    if beside.one_at_a_time(component, daemonset["spec"]["template"]):
        component_flags.without_flag(container, "permit-port-sharing")
    else:
        component_flags.with_flag(container, "permit-port-sharing", "true")
    _start_as_before(container, _main_before(before) if before else None)
    for one, former in _pairs(spec, before):
        _name_ports(one, former)
    return without_defaults(pod)


def is_ours(daemonset: dict) -> bool:
    """Return whether kubectl selfhost made the DaemonSet; kubeadm made such DaemonSets
    until 1.20.
    """
    labels = daemonset["metadata"].get("labels") or {}
    return labels.get("app.kubernetes.io/managed-by") == FIELD_MANAGER


def other_probe_address(daemonset: dict) -> str:
    """Return the loopback address that the probes of the DaemonSet's pods do not use."""
    container = staticpod.component_container(daemonset["spec"]["template"])
    hosts = {handler.get("httpGet", {}).get("host") for _, handler in actions(container)}
    return next(one for one in PROBE_ADDRESSES if one not in hosts)


def _metadata(component: Component, template: dict, before: dict | None) -> dict:
    """Return the template's metadata with the labels of ``before``, without the DaemonSet's own
    entries.
    """
    known = component.labels if before is None else before["metadata"].get("labels", {})
    ours = {"k8s-app", *component.labels}
    labels = {k: v for k, v in (template.get("labels") or {}).items() if k not in ours}
    annotations = {
        key: value
        for key, value in (template.get("annotations") or {}).items()
        if key not in _OF_ROLL_OUTS
    }
    return {
        "name": component.name,
        "namespace": NAMESPACE,
        "labels": {**labels, **{key: known[key] for key in sorted(ours & set(known))}},
        "annotations": annotations,
    }


def _take_off_ours(spec: dict) -> None:
    waiters = spec.get("initContainers") or []
    spec["initContainers"] = [one for one in waiters if one["name"] != WAIT_CONTAINER]
    volumes = spec.get("volumes") or []
    spec["volumes"] = [one for one in volumes if one["name"] not in (AGENT_VOLUME, NODE_VOLUME)]
    for field in ("serviceAccount", "serviceAccountName"):
        spec.pop(field, None)


def _refuse_what_only_the_api_has(component: Component, spec: dict) -> None:
    """Refuse a spec that refers to objects of the API, which the kubelet can't fetch without an API."""
    text = json.dumps(spec)
    for field in _FROM_THE_API:
        if f'"{field}":' in text:  # only a field's name: a volume may have this name as its value
            raise SelfhostError(
                f"The DaemonSet of {component} refers to a Secret or a ConfigMap ({field}). A static "
                "pod can't do that.",
                "Write the content into a file on the node, and mount the file instead (hostPath).",
            )


def _place_as_before(spec: dict, before: dict | None) -> None:
    former = (before or {}).get("spec", {})
    for field in _AS_BEFORE:
        spec.pop(field, None)
        if field in former:
            spec[field] = former[field]
    selector = spec.pop("nodeSelector", None) or {}
    known = former.get("nodeSelector", {})
    spec["nodeSelector"] = {
        **{key: value for key, value in selector.items() if key not in _OUR_SELECTOR},
        **{key: value for key, value in known.items() if key in _OUR_SELECTOR},
    }
    if before is None:
        # The kubelet doesn't look up the priority of a static pod's class.
        spec["priority"] = PRIORITIES.get(spec.get("priorityClassName", ""))
    elif "priorityClassName" not in former:
        spec.pop("priorityClassName", None)


def _main_before(before: dict | None) -> dict:
    return staticpod.component_container(before) if before else {}


def _pairs(spec: dict, before: dict | None) -> Iterator[tuple[dict, dict]]:
    """Yield each container with its counterpart from before the pivot."""
    known = {one["name"]: one for one in containers((before or {}).get("spec", {}))}
    for one in containers(spec):
        yield one, known.get(one["name"], {})


def _name_ports(container: dict, former: dict) -> None:
    """Restore a container's ports, and the port's name in each probe that had a name."""
    if not former.get("ports"):
        return
    container.setdefault("ports", deepcopy(former["ports"]))
    numbers = {port["name"]: port["containerPort"] for port in former["ports"] if "name" in port}
    known = dict(actions(former))
    for name, handler in actions(container):
        for action in ("httpGet", "tcpSocket"):
            was = known.get(name, {}).get(action, {}).get("port")
            if action in handler and handler[action].get("port") == numbers.get(was, ""):
                handler[action]["port"] = was


def _probe(
    container: dict, before: dict | None, pod: dict, *, address: str, probe_host: str
) -> None:
    known = dict(actions(_main_before(before)))
    port = staticpod.secure_port(pod, APISERVER)
    bound = staticpod.bind_address(pod, APISERVER)
    for name, handler in actions(container):
        target = handler.get("httpGet", {})
        ours = target.get("host") in PROBE_ADDRESSES
        if probe_host and (ours or target.get("port") in (port, str(port))):
            target["host"] = probe_host
        elif before is not None and (ours or target.get("host") == bound):
            target["host"] = known.get(name, {}).get("httpGet", {}).get("host")
        elif ours:
            target["host"] = address


def _start_as_before(container: dict, former: dict | None) -> None:
    """Undo the settings with which the kubelet notices early that the component is up.

    Changes since the pivot stay: the time limit of the start is the current one.
    """
    known = former or {}
    if container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        container["terminationMessagePolicy"] = known.get("terminationMessagePolicy")
    probe = container.get("startupProbe")
    if probe is None or probe.get("periodSeconds", 10) != 1 or probe.get("initialDelaySeconds"):
        return
    seconds = probe.get("failureThreshold", 3)
    was = known.get("startupProbe", {})
    period, failures = was.get("periodSeconds", 10), was.get("failureThreshold", 3)
    if was and was.get("initialDelaySeconds", 0) + period * failures == seconds:
        probe.update({key: was.get(key) for key in _STARTUP})
    elif former is None and seconds > _KUBEADM_DELAY + _KUBEADM_PERIOD:
        failures = -(-(seconds - _KUBEADM_DELAY) // _KUBEADM_PERIOD)
        probe.update(zip(_STARTUP, (_KUBEADM_DELAY, _KUBEADM_PERIOD, failures), strict=True))


def _tell_kubeadm(component: Component, pod: dict, before: dict | None) -> None:
    """Restore kubeadm's annotation of the address, which a DaemonSet of several nodes can't have.
    If the manifest from before the pivot is lost, add the annotation where kubeadm adds it.
    """
    annotations = pod["metadata"]["annotations"]
    if before is not None:
        known = before.get("metadata", {}).get("annotations", {})
        endpoint = known.get(ADVERTISE_ADDRESS_ANNOTATION)
        if endpoint is None:
            annotations.pop(ADVERTISE_ADDRESS_ANNOTATION, None)
    else:
        endpoint = staticpod.advertise_endpoint(pod) if component == APISERVER else None
    if endpoint is not None:
        annotations.setdefault(ADVERTISE_ADDRESS_ANNOTATION, endpoint)


def _advertise(container: dict, former: dict, address: str) -> None:
    """Replace references to the node's address with the address."""
    given = component_flags.of_container(container).get("advertise-address", "")
    was = component_flags.of_container(former).get("advertise-address", "") if former else ""
    named = _VARIABLE.fullmatch(given)
    variables = container.get("env") or []
    source = {one["name"]: one.get("valueFrom") or {} for one in variables}
    if named is None or was == given or not address:
        return
    if source.get(named[1], {}).get("fieldRef", {}).get("fieldPath") != "status.hostIP":
        return
    spelled = was if was and same_address(was, address) else address
    component_flags.with_flag(container, "advertise-address", spelled)
    kept = {one["name"] for one in former.get("env") or []}
    if named[1] not in kept and f"$({named[1]})" not in json.dumps(container):
        container["env"] = [one for one in variables if one["name"] != named[1]]

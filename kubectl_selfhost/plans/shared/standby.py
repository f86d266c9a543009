"""The wait until a DaemonSet's pod stands by: it runs, or its first container waits for the port.

The wait ends with an error as soon as the cause is known, not when the time limit has passed: an
image that isn't on the node, an admission policy that refuses the pod or changes it into another
one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS, EVENTS, PODS
from kubectl_selfhost.cluster.waits import TimedOut, Waiting, wait_until
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset.admission import admission_changes
from kubectl_selfhost.controlplane.instance import DAEMONSET, Instance, instances_of
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE

#: Words of a container's waiting state that rarely go by themselves, and never soon.
HOPELESS = {
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "CrashLoopBackOff",
}


_LONGEST_GENERATED = 58


class NotStandingBy(SelfhostError):
    """A DaemonSet's pod can't come to stand by."""


def wait_until_standing_by(
    cluster: Cluster,
    component: Component,
    node: str,
    *,
    allow_changes: bool,
    timeout: float,
    tell: Callable[[str], None],
) -> None:
    """Wait for the pod of ``component``'s DaemonSet on ``node``, at most ``timeout`` seconds.

    ``allow_changes``: whether admission may have changed the pod in ways that matter. Raise
    NotStandingBy with the cause and the next step.
    """

    try:
        wait_until(
            lambda: stands_by(cluster, component, node, allow_changes=allow_changes),
            what=f"the pod of {component.daemonset} on {node} to start or to wait for its port",
            timeout=timeout,
            tell=tell,
        )
    except TimedOut as late:
        said = _events(cluster, component)
        if not said:
            raise
        raise NotStandingBy(f"{late.message} Kubernetes says: {said}", _FIX) from late


def stands_by(
    cluster: Cluster, component: Component, node: str, *, allow_changes: bool = False
) -> bool:
    """Return True when the pod runs or waits for its port; raise Waiting, or NotStandingBy if it
    never will.
    """

    pods = {
        pod["metadata"]["name"]: pod
        for pod in cluster.list(PODS, NAMESPACE, labels=f"k8s-app={component.daemonset}")
        if "deletionTimestamp" not in pod["metadata"]
        if pod["spec"].get("nodeName", node) == node
    }
    instances = [i for i in instances_of(pods.values(), component) if i.kind == DAEMONSET]
    if not instances:
        refused = _events(cluster, component)
        if "forbidden" in refused or "denied" in refused:
            raise NotStandingBy(
                f"DaemonSet {component.daemonset} could not create a pod: {refused}", _FIX
            )
        raise Waiting(f"{component.daemonset}: no pod yet" + (f" ({refused})" if refused else ""))
    daemonset = cluster.get(DAEMONSETS, component.daemonset, NAMESPACE)
    for instance in instances:
        if not allow_changes:
            _refuse_changes(daemonset, pods[instance.pod])
        _refuse_hopeless(node, instance)
    for instance in instances:
        if not (instance.ready or instance.waiting_for_port or instance.phase == "Running"):
            raise Waiting(f"{component.daemonset}: {instance.phase}")
    return True


def _refuse_changes(daemonset: dict, pod: dict) -> None:
    changes = admission_changes(daemonset["spec"]["template"], pod)
    if changes:
        raise NotStandingBy(
            f"An admission webhook or policy changed the pod {pod['metadata']['name']}, so it differs "
            f"from the static pod: {'; '.join(changes)}.",
            "Exempt kube-system from the webhook or policy, then run `kubectl selfhost pivot` again. To "
            "allow the change, add --ignore-preflight-errors=Admission.",
        )


def _refuse_hopeless(node: str, instance: Instance) -> None:
    words = {instance.phase.removeprefix("Init:"), (instance.reason or "").split(":")[0]}
    if words & HOPELESS:
        why = instance.reason or instance.phase
        raise NotStandingBy(f"The pod {instance.pod} can't start on node {node}: {why}.", _FIX)


def _events(cluster: Cluster, component: Component) -> str:
    """Return the latest warning that Kubernetes has about the DaemonSet or its pods, or nothing."""

    # Not by the beginning alone: a group's DaemonSet has the shared one's name and more. The API
    # server cuts a generateName (apiserver/pkg/storage/names/generate.go).
    pod = re.compile(re.escape(f"{component.daemonset}-"[:_LONGEST_GENERATED]) + "[a-z0-9]{5}")

    def is_meant(about: dict) -> bool:
        name = about.get("name", "")
        if about.get("kind") == "Pod":
            return pod.fullmatch(name) is not None
        return bool(name == component.daemonset)

    events = [
        event
        for event in cluster.list(EVENTS, NAMESPACE, fields="type=Warning")
        if is_meant(event.get("involvedObject") or {})
    ]
    if not events:
        return ""
    return max(events, key=_when).get("message", "")


def _when(event: dict) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or ""


_FIX = "Fix the cause, then run `kubectl selfhost pivot` again."

"""A component that runs (or should run) on a node, as its pod's object shows it.

All code that waits for a component, or shows a component, reads its pods through this module. So
"Ready", "waits for its port" and the reasons mean the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset.facts import WAIT_CONTAINER
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.status import (
    condition,
    last_exit,
    phase_and_restarts,
    reason,
)
from kubectl_selfhost.names import CONFIG_HASH_ANNOTATION, MIRROR_ANNOTATION

STATIC = "static"
DAEMONSET = "daemonset"


@dataclass(frozen=True)
class Instance:
    """A pod of a component.

    ``kind`` is STATIC or DAEMONSET. ``phase`` is the text in kubectl's column STATUS. ``ready`` is
    the pod's condition Ready, but False for a pod that is being deleted. ``since`` is the start of
    its process; without a process, the creation of the pod. ``restarts`` counts as in kubectl.
    ``waiting_for_port``: the init container of kubectl selfhost waits until the port is free.
    ``reason`` is why the pod isn't Ready; it begins with Kubernetes' own word if there is one, and
    is empty for a Ready pod. ``last_exit`` is how its process last ended; empty if it never ended.
    ``node_uid`` is the pod's UID on its node: a static pod and its mirror have different UIDs. The
    texts are the API's, and not yet ``harmless``.
    """

    kind: str
    pod: str
    uid: str
    node: str
    image: str
    phase: str
    ready: bool
    since: datetime | None
    restarts: int
    waiting_for_port: bool = False
    reason: str = ""
    terminating: bool = False
    last_exit: str = ""
    node_uid: str = ""

    @property
    def stands_by(self) -> bool:
        """Return whether the component was never started here: its init container has not ended."""
        early = self.phase == "Pending" or self.phase.startswith("Init:")
        return not self.ready and (self.waiting_for_port or early)

    @property
    def ending(self) -> bool:
        """Return whether this is a static pod that ends: it listens no more, and lets its last
        requests finish. A run that has replaced a static pod marks its mirror pod so.
        """
        return self.kind == STATIC and self.terminating


def instances_of(pods: Iterable[dict], component: Component) -> list[Instance]:
    """Return the instances of ``component`` among ``pods`` (API objects), in their order.

    A static instance is a mirror pod with the static pod's name. A self-hosted instance belongs to
    a DaemonSet of the component and has its label k8s-app. A pod that a person made by hand with
    such labels is no instance.
    """
    found = []
    for pod in pods:
        kind = kind_of(pod, component)
        if kind is not None:
            found.append(_instance(pod, component, kind))
    return found


def kind_of(pod: dict, component: Component) -> str | None:
    """Return STATIC or DAEMONSET if the pod is an instance of ``component``, else None."""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    if MIRROR_ANNOTATION in (metadata.get("annotations") or {}):
        return STATIC if staticpod.component_of(pod) == component else None
    daemonset = labels.get("k8s-app") or ""
    if not component.runs_as(daemonset):
        return None
    owners = [
        owner.get("name")
        for owner in metadata.get("ownerReferences") or []
        if owner.get("kind") == "DaemonSet"
    ]
    return DAEMONSET if daemonset in owners else None


def parse_time(text: object) -> datetime | None:
    """Return a time of the API (RFC 3339 in UTC, with or without fractions); None for another text."""
    if not isinstance(text, str):
        return None
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    try:
        return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _instance(pod: dict, component: Component, kind: str) -> Instance:
    metadata, status = pod["metadata"], pod.get("status") or {}
    terminating = bool(metadata.get("deletionTimestamp"))
    ready = condition(status, "Ready") == "True" and not terminating
    main = _main_status(status, component)
    phase, restarts = phase_and_restarts(pod)
    return Instance(
        kind=kind,
        pod=metadata["name"],
        uid=metadata.get("uid", ""),
        node=pod["spec"].get("nodeName", ""),
        image=_image(pod["spec"], component),
        phase=phase,
        ready=ready,
        since=_since(pod, main),
        restarts=restarts,
        waiting_for_port=_waits(status),
        reason="" if ready else reason(status, main, phase),
        terminating=terminating,
        last_exit=last_exit(main),
        node_uid=(metadata.get("annotations") or {}).get(
            CONFIG_HASH_ANNOTATION, metadata.get("uid", "")
        ),
    )


def _main_status(status: dict, component: Component) -> dict:
    statuses: list[dict] = status.get("containerStatuses") or []
    named = [one for one in statuses if one["name"] == component.name]
    return next(iter(named or statuses), {})


def _image(spec: dict, component: Component) -> str:
    containers = spec.get("containers") or [{}]
    named = [one for one in containers if one.get("name") == component.name]
    return str((named or containers)[0].get("image", ""))


def _waits(status: dict) -> bool:
    return any(
        one["name"] == WAIT_CONTAINER and "running" in (one.get("state") or {})
        for one in status.get("initContainerStatuses") or []
    )


def _since(pod: dict, main: dict) -> datetime | None:
    running = (main.get("state") or {}).get("running") or {}
    # The kubelet creates the mirror pod again whenever the API comes back, so its age says little.
    started = (pod.get("status") or {}).get("startTime")
    made = pod["metadata"].get("creationTimestamp")
    return parse_time(running.get("startedAt") or started or made)

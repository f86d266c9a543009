"""One component that runs (or tries to) on one node, as its pod's object shows it.

Everything that waits for a component, or shows one, looks at its pods through this module. So
"Ready", "waits for its port" and "why not" mean the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset.facts import WAIT_CONTAINER
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.names import CONFIG_HASH_ANNOTATION, MIRROR_ANNOTATION

STATIC = "static"
DAEMONSET = "daemonset"

#: "E1124 07:53:24.875424       1 run.go:72] " and then '"command failed" err="..."' (klog).
_KLOG_HEAD = re.compile(r"^[IWEF]\d{4} [\d:.]+\s+\d+ \S+\] ")
_KLOG_ERROR = re.compile(r'^"[^"]*" err="((?:[^"\\]|\\.)*)"$')
#: Characters to keep of a container's last words: its termination message may have 4096.
_LONGEST_REASON = 300
_TERMINAL = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Instance:
    """A pod of a component.

    ``kind`` is STATIC or DAEMONSET. ``phase`` is what kubectl shows in its STATUS column. ``ready``
    is the pod's Ready condition, but False for a pod that is being deleted. ``since`` is when its
    process started (when the pod was made, if it has no process). ``restarts`` counts as kubectl
    does. ``waiting_for_port``: our init container waits until the port is free. ``reason`` is why
    the pod isn't Ready, beginning with Kubernetes' own word if there is one; empty for a Ready pod.
    ``last_exit`` is how its process last ended, empty if it never did. ``node_uid`` is the UID by
    which its node knows it: a static pod has another UID than its mirror. Text is as the API gave
    it: not fit for a terminal yet.
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
    def ending(self) -> bool:
        """Return whether this is a static pod that ends: it listens no more, and lets its last
        requests finish. A run that has replaced a static pod marks its mirror pod so.
        """
        return self.kind == STATIC and self.terminating


def instances_of(pods: Iterable[dict], component: Component) -> list[Instance]:
    """Return the instances of ``component`` among ``pods`` (API objects), in their order.

    A static instance is a mirror pod with the static pod's name. A self-hosted instance belongs to
    a DaemonSet of the component and has its label k8s-app. A pod that somebody made by hand with
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
    """Return a time of the API (RFC 3339 in UTC, with or without fractions), None if it is none."""
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
    ready = _condition(status, "Ready") == "True" and not terminating
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
        reason="" if ready else _reason(status, main, phase),
        terminating=terminating,
        last_exit=_last_exit(main),
        node_uid=(metadata.get("annotations") or {}).get(
            CONFIG_HASH_ANNOTATION, metadata.get("uid", "")
        ),
    )


def is_ready(thing: dict) -> bool:
    """Return whether a pod or a Node (an API object) has the condition Ready."""
    return _condition(thing.get("status") or {}, "Ready") == "True"


def _condition(status: dict, name: str) -> str:
    for condition in status.get("conditions") or []:
        if condition["type"] == name:
            return str(condition["status"])
    return "Unknown"


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
    # A mirror pod is made anew whenever the API comes back, so its own age says little.
    started = (pod.get("status") or {}).get("startTime")
    made = pod["metadata"].get("creationTimestamp")
    return parse_time(running.get("startedAt") or started or made)


def phase_and_restarts(pod: dict) -> tuple[str, int]:
    """Return the words of kubectl's STATUS column, and its RESTARTS.

    The rules are those of printPod in Kubernetes' pkg/printers/internalversion/printers.go (1.20 to
    1.37).
    """
    status = pod.get("status") or {}
    phase = status.get("reason") or status.get("phase") or "Unknown"
    first_init, restarts = _init_phase(pod["spec"], status)
    if first_init and _condition(status, "Initialized") != "True":
        phase = first_init
    else:
        phase, restarts = _main_phase(status, phase)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return "Unknown", restarts
        if status.get("phase") not in _TERMINAL:
            return "Terminating", restarts
    return phase, restarts


def _init_phase(spec: dict, status: dict) -> tuple[str, int]:
    """Return the phase of the first init container that isn't done (empty if all are), and their
    restarts.
    """
    sidecars = {
        one["name"]
        for one in spec.get("initContainers") or []
        if one.get("restartPolicy") == "Always"
    }
    statuses = status.get("initContainerStatuses") or []
    restarts = sum(int(one.get("restartCount", 0)) for one in statuses)
    for number, one in enumerate(statuses):
        state = one.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if one["name"] in sidecars and one.get("started"):
            continue
        if ended is not None:
            return f"Init:{_ending(ended)}", restarts
        if waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}", restarts
        return f"Init:{number}/{len(spec.get('initContainers') or [])}", restarts
    return "", restarts


def _main_phase(status: dict, phase: str) -> tuple[str, int]:
    statuses = status.get("containerStatuses") or []
    running = False
    for one in reversed(statuses):
        state = one.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            phase = waiting["reason"]
        elif ended is not None:
            phase = _ending(ended)
        elif one.get("ready") and "running" in state:
            running = True
    if phase == "Completed" and running:
        phase = "Running" if _condition(status, "Ready") == "True" else "NotReady"
    return phase, sum(int(one.get("restartCount", 0)) for one in statuses)


def _ending(ended: dict) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _reason(status: dict, main: dict, phase: str) -> str:
    """Return why the pod isn't Ready, in one line."""
    if status.get("reason"):
        return _line(status["reason"], status.get("message"))
    for one in [*(status.get("initContainerStatuses") or []), main]:
        said = _container_reason(one)
        if said:
            return said
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _line(condition.get("reason", "Unschedulable"), condition.get("message"))
    if "running" not in (main.get("state") or {}) or phase == "Terminating":
        return ""
    if not main.get("started", True):
        return "it runs, and its startup probe hasn't passed yet"
    return "it runs, and its readiness probe fails"


def _container_reason(one: dict) -> str:
    state = one.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated")
    if ended is not None:
        return _exit(ended) if ended.get("exitCode") else ""
    if waiting.get("reason") == "CrashLoopBackOff":
        # The message only says how long the back-off lasts; the last exit says why.
        last = (one.get("lastState") or {}).get("terminated")
        return _line("CrashLoopBackOff", _exit(last) if last else "")
    if waiting.get("reason") in (None, "", "PodInitializing", "ContainerCreating"):
        return ""
    return _line(waiting["reason"], waiting.get("message"))


def _last_exit(one: dict) -> str:
    ended = [(one.get(key) or {}).get("terminated") for key in ("state", "lastState")]
    return next((_exit(state) for state in ended if state), "")


def _exit(ended: dict) -> str:
    """Return how a container ended; its last words are the last line of its message (or log)."""
    words = [line.strip() for line in str(ended.get("message") or "").splitlines() if line.strip()]
    code = f"exit code {ended.get('exitCode', 0)}"
    if ended.get("reason") not in (None, "", "Error"):
        code += f" ({ended['reason']})"
    return _line(code, _without_klog(words[-1]) if words else "")


def _without_klog(line: str) -> str:
    """Return a log line of Kubernetes without time and place; only the error if the
    line has one.
    """
    text = _KLOG_HEAD.sub("", line)
    error = _KLOG_ERROR.search(text)
    return error.group(1).replace('\\"', '"') if error else text


def _line(head: Any, rest: Any) -> str:
    text = " ".join(str(rest or "").split())
    if len(text) > _LONGEST_REASON:
        text = f"{text[: _LONGEST_REASON - 3]}..."
    return f"{head}: {text}" if text else str(head)

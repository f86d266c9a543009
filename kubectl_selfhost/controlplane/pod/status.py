"""The status of a pod as kubectl shows it, and why the pod isn't Ready."""

from __future__ import annotations

import re
from typing import Any

#: "E1124 07:53:24.875424       1 run.go:72] " and then '"command failed" err="..."' (klog).
_KLOG_HEAD = re.compile(r"^[IWEF]\d{4} [\d:.]+\s+\d+ \S+\] ")
_KLOG_ERROR = re.compile(r'^"[^"]*" err="((?:[^"\\]|\\.)*)"$')
#: The length to which a container's last output is cut: its termination message may have 4096.
_LONGEST_REASON = 300
_TERMINAL = ("Succeeded", "Failed")


def is_ready(thing: dict) -> bool:
    """Return whether a pod or a Node (an API object) has the condition Ready."""
    return condition(thing.get("status") or {}, "Ready") == "True"


def condition(status: dict, name: str) -> str:
    for condition in status.get("conditions") or []:
        if condition["type"] == name:
            return str(condition["status"])
    return "Unknown"


def phase_and_restarts(pod: dict) -> tuple[str, int]:
    """Return the text of kubectl's column STATUS, and the number in RESTARTS.

    The rules are those of printPod in Kubernetes' pkg/printers/internalversion/printers.go (1.20 to
    1.37).
    """
    status = pod.get("status") or {}
    phase = status.get("reason") or status.get("phase") or "Unknown"
    first_init, restarts = _init_phase(pod["spec"], status)
    if first_init and condition(status, "Initialized") != "True":
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
    """Return the phase of the first init container that isn't done (empty if all are done), and
    the restarts of all init containers.
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
        phase = "Running" if condition(status, "Ready") == "True" else "NotReady"
    return phase, sum(int(one.get("restartCount", 0)) for one in statuses)


def _ending(ended: dict) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def reason(status: dict, main: dict, phase: str) -> str:
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
        return "its process runs, but its startup probe has not passed yet"
    return "its process runs, but its readiness probe fails"


def _container_reason(one: dict) -> str:
    state = one.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated")
    if ended is not None:
        return _exit(ended) if ended.get("exitCode") else ""
    if waiting.get("reason") == "CrashLoopBackOff":
        # The message only has the length of the back-off; the last exit has the reason.
        last = (one.get("lastState") or {}).get("terminated")
        return _line("CrashLoopBackOff", _exit(last) if last else "")
    if waiting.get("reason") in (None, "", "PodInitializing", "ContainerCreating"):
        return ""
    return _line(waiting["reason"], waiting.get("message"))


def last_exit(one: dict) -> str:
    ended = [(one.get(key) or {}).get("terminated") for key in ("state", "lastState")]
    return next((_exit(state) for state in ended if state), "")


def _exit(ended: dict) -> str:
    """Return how a container ended, with the last line of its message (or log)."""
    words = [line.strip() for line in str(ended.get("message") or "").splitlines() if line.strip()]
    code = f"exit code {ended.get('exitCode', 0)}"
    if ended.get("reason") not in (None, "", "Error"):
        code += f" ({ended['reason']})"
    return _line(code, _without_klog(words[-1]) if words else "")


def _without_klog(line: str) -> str:
    """Return a log line of Kubernetes without time and place; if it has an error, only the error."""
    text = _KLOG_HEAD.sub("", line)
    error = _KLOG_ERROR.search(text)
    return error.group(1).replace('\\"', '"') if error else text


def _line(head: Any, rest: Any) -> str:
    text = " ".join(str(rest or "").split())
    if len(text) > _LONGEST_REASON:
        text = f"{text[: _LONGEST_REASON - 3]}..."
    return f"{head}: {text}" if text else str(head)

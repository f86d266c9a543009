"""The status as a document for programs: ``kubectl selfhost status -o json`` (or yaml).

Its schema is kubectl-selfhost/v1alpha1, kind Status. New versions only add fields: a program should
ignore an unknown field. Times are RFC 3339 in UTC. An unknown value is null.

- ``cluster``: context, server, version
- ``observedAt``: when the state was read, by the clock of the machine that ran the command
- ``verdict``: state (static, self-hosted, partly-pivoted, degraded, run-in-progress, unknown),
  healthy (true: exit status 0), message, next (a command, or null), then[] (the commands after it)
- ``nodes[]``: name, controlPlane (has the role label), ready, pivoted (has our label), hostIP,
  architecture, operatingSystem, kubeletVersion, ``recovery`` (after a reboot): guardian (true: the
  node has a guardian), standingIn (components whose copy runs now), outdated (components whose copy
  differs from their DaemonSet), and ``components[]``: name, servedBy (static,
  daemonset, both, none), leader (true, false; null without election), and ``instances[]``: kind
  (static, daemonset), pod, uid, image, phase (as kubectl's STATUS), ready, since, restarts,
  waitingForPort, terminating, reason
- ``daemonSets[]``: component, name, ours, desired, current, ready, updated, complete, image
- ``leaders[]``: component, holder, current, renewedAt, acquiredAt, transitions
- ``backups[]``: node, component, file (the manifest's old path), backup (its path now), mode,
  sha256, switchedAt, seconds (how long the switch took)
- ``certificates[]``: of, node (the node whose file it is; null for what this machine sees), notAfter,
  secondsLeft
- ``run``: holder and renewedAt of a run that is in progress, or null
- ``lastRun``: id, verb, started, ended, outcome, message, by, plugin, probe; or null
- ``programs[]``, objects from which DaemonSets' pods start the node agent's program: kind, name,
  daemonSets (names), ours (true: the object holds a program of kubectl selfhost; false also if the
  object is missing), current (the program is from this build)
- ``agentPods[]``: name, node, phase
- ``troubles[]``: message, command · ``unfinished[]``, ``warnings[]``: sentences
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.instance import Instance
from kubectl_selfhost.controlplane.leader import Leader
from kubectl_selfhost.health.state import ControlPlane, NodeState
from kubectl_selfhost.health.verdict import Survey
from kubectl_selfhost.output.backups import backups
from kubectl_selfhost.output.instances import leads
from kubectl_selfhost.output.status import warnings

API_VERSION = "kubectl-selfhost/v1alpha1"
_OF_A_RUN = ("id", "verb", "started", "ended", "outcome", "message", "by", "plugin", "probe")


def document(survey: Survey) -> dict[str, Any]:
    """Return the Status document as plain data."""
    seen, verdict = survey.control_plane, survey.verdict
    run, last = seen.run_going_on, seen.last_run
    return {
        "apiVersion": API_VERSION,
        "kind": "Status",
        "cluster": {
            "context": survey.context,
            "server": survey.server,
            "version": survey.version or None,
        },
        "observedAt": timestamp(survey.taken),
        "verdict": {
            "state": verdict.state,
            "healthy": verdict.healthy,
            "message": verdict.message,
            "next": verdict.next or None,
            "then": list(verdict.then),
        },
        "nodes": [_node(seen, node) for node in seen.nodes],
        "daemonSets": _rollouts(seen),
        "leaders": [{"component": c, **_leader(one)} for c, one in seen.leaders.items()],
        "backups": [_backup(one) for one in backups(seen)],
        "certificates": [
            {
                "of": one.what,
                "node": one.node or None,
                "notAfter": timestamp(one.not_after),
                "secondsLeft": int((one.not_after - survey.taken).total_seconds()),
            }
            for one in survey.certificates
        ],
        "run": run and {"holder": run.holder, "renewedAt": timestamp(run.renewed)},
        "lastRun": last and {key: last.get(key) for key in _OF_A_RUN},
        "programs": [
            {
                "kind": one.reference.kind,
                "name": one.reference.name,
                "daemonSets": list(one.daemonsets),
                "ours": not one.wrong and not one.missing,
                "current": one.current,
            }
            for one in seen.programs
        ],
        "agentPods": [
            {"name": pod.name, "node": pod.node, "phase": pod.phase} for pod in seen.agents
        ],
        "troubles": [{"message": str(t), "command": t.look or None} for t in verdict.troubles],
        "unfinished": list(verdict.unfinished),
        "warnings": warnings(survey),
    }


def as_json(content: Mapping[str, Any]) -> str:
    """Return JSON, indented as kubectl does. Escape everything but ASCII: the text may come from
    anybody.
    """
    return json.dumps(content, indent=4)


def as_yaml(content: Mapping[str, Any]) -> str:
    """Return YAML in block style. Escape characters that can't be printed."""
    import yaml

    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=False, width=1000)
    return text.rstrip("\n")


def essence(content: Mapping[str, Any]) -> object:
    """Return the document without the times that always change.

    ``--watch`` in a pipe compares this part, and prints a document only after a change.
    """
    passing = ("observedAt", "secondsLeft", "renewedAt")

    def without(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: without(one) for key, one in value.items() if key not in passing}
        return [without(one) for one in value] if isinstance(value, list) else value

    return without(content)


def _node(seen: ControlPlane, node: NodeState) -> dict[str, Any]:
    return {
        "name": node.name,
        "controlPlane": node.labelled,
        "ready": node.ready,
        "pivoted": node.pivoted,
        "group": node.group or None,
        "hostIP": node.host_ip or None,
        "architecture": node.arch or None,
        "operatingSystem": node.os or None,
        "kubeletVersion": node.kubelet_version or None,
        "recovery": {
            "guardian": node.guardian,
            "standingIn": list(node.standing_in),
            "outdated": list(node.outdated),
        },
        "components": [_component(seen, component, node) for component in COMPONENTS],
    }


def _component(seen: ControlPlane, component: Component, node: NodeState) -> dict[str, Any]:
    return {
        "name": component.name,
        "servedBy": seen.serves(component, node),
        "leader": leads(seen, component, node),
        "instances": [_instance(one) for one in node.instances.get(component.name, [])],
    }


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "kind": instance.kind,
        "pod": instance.pod,
        "uid": instance.uid,
        "image": instance.image,
        "phase": instance.phase,
        "ready": instance.ready,
        "since": timestamp(instance.since),
        "restarts": instance.restarts,
        "waitingForPort": instance.waiting_for_port,
        "terminating": instance.terminating,
        "reason": instance.reason or None,
    }


def _rollouts(seen: ControlPlane) -> list[dict[str, Any]]:
    return [
        {
            "component": one.component,
            "name": one.name,
            "ours": one.ours,
            "desired": one.desired,
            "current": one.current,
            "ready": one.ready,
            "updated": one.updated,
            "complete": one.complete,
            "image": one.image or None,
        }
        for one in seen.daemonsets.values()
    ]


def _leader(leader: Leader) -> dict[str, Any]:
    return {
        "holder": leader.holder,
        "current": leader.current,
        "renewedAt": timestamp(leader.renewed),
        "acquiredAt": timestamp(leader.acquired),
        "transitions": leader.transitions,
    }


def _backup(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("node", "component", "file", "backup", "mode", "sha256")
    return {
        **{key: one.get(key) for key in kept},
        "switchedAt": one.get("switched_at"),
        "seconds": one.get("seconds"),
    }


def timestamp(moment: datetime | None) -> str | None:
    """Return a point in time for programs (RFC 3339, UTC); None for None."""
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

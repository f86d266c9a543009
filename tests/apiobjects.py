"""Objects of a control plane as the API shows them, reduced to the fields that the code reads."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from kubectl_selfhost.controlplane.component import COMPONENTS, Component

NOW = datetime(2026, 11, 24, 9, 0, 0, tzinfo=timezone.utc)
NODE = "demo-control-plane"
VERSION = "v1.37.2"


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name: str = NODE, *, ready: bool = True, labels: dict | None = None) -> dict:
    return {
        "metadata": {
            "name": name,
            "labels": {"node-role.kubernetes.io/control-plane": "", **(labels or {})},
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "172.18.0.2"},
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True" if ready else "Unknown"},
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "kubeletVersion": VERSION,
            },
        },
    }


def pivoted(name: str = NODE, **more: bool) -> dict:
    return node(name, labels={"kubectl-selfhost/pivoted": "true"}, **more)


def static_pod(component: Component, *, on: str = NODE, ready: bool = True, **status: object):
    pod = _pod(component, f"{component.name}-{on}", on=on, ready=ready, **status)
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "3f2a"}
    pod["metadata"]["ownerReferences"] = [{"kind": "Node", "name": on}]
    return pod


def ending_pod(component: Component, *, on: str = NODE) -> dict:
    """Return the mirror of a static pod that was replaced, and lets its last requests finish."""
    pod = static_pod(component, on=on)
    pod["metadata"]["deletionTimestamp"] = ago(5)
    return pod


def our_pod(component: Component, *, on: str = NODE, ready: bool = True, **status: object) -> dict:
    pod = _pod(component, f"{component.daemonset}-x7k2p", on=on, ready=ready, **status)
    pod["metadata"]["labels"]["k8s-app"] = component.daemonset
    pod["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": component.daemonset}]
    pod["spec"]["initContainers"] = [{"name": "wait-port"}]
    pod["status"].setdefault(
        "initContainerStatuses",
        [container("wait-port", terminated={"exitCode": 0, "reason": "Completed"})],
    )
    return pod


def waiting_pod(component: Component, *, on: str = NODE) -> dict:
    """Return a self-hosted pod whose init container waits until the port is free."""
    return our_pod(
        component,
        on=on,
        ready=False,
        phase="Pending",
        initialized=False,
        initContainerStatuses=[container("wait-port", running={"startedAt": ago(60)})],
        containerStatuses=[container(component.name, waiting={"reason": "PodInitializing"})],
    )


def crashing_pod(component: Component, *, restarts: int = 3, message: str = "bad flag") -> dict:
    """Return a self-hosted pod whose process always ends at once."""
    status = container(
        component.name, waiting={"reason": "CrashLoopBackOff", "message": "back-off"}
    )
    status["restartCount"] = restarts
    status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}
    return our_pod(component, ready=False, containerStatuses=[status])


def container(name: str, *, ready: bool = False, restarts: int = 0, **state: object) -> dict:
    return {
        "name": name,
        "ready": ready,
        "started": ready,
        "restartCount": restarts,
        "state": dict(state),
        "lastState": {},
    }


def _pod(
    component: Component,
    name: str,
    *,
    on: str,
    ready: bool,
    phase: str = "Running",
    initialized: bool = True,
    **status: object,
) -> dict:
    running = container(component.name, ready=ready, running={"startedAt": ago(312)})
    return {
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "uid": f"uid-of-{name}-on-{on}",
            "creationTimestamp": ago(400),
            "labels": dict(component.labels),
        },
        "spec": {
            "nodeName": on,
            "containers": [
                {"name": component.name, "image": f"registry.k8s.io/{component.name}:{VERSION}"}
            ],
        },
        "status": {
            "phase": phase,
            "startTime": ago(350),
            "conditions": [
                {"type": "Initialized", "status": "True" if initialized else "False"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "containerStatuses": [running],
            **status,
        },
    }


def daemonset(component: Component, *, desired: int = 1, ready: int = 1, updated: int = 1) -> dict:
    return {
        "metadata": {
            "name": component.daemonset,
            "generation": 2,
            "labels": {"app.kubernetes.io/managed-by": "kubectl-selfhost"},
        },
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": component.name,
                            "image": f"registry.k8s.io/{component.name}:{VERSION}",
                        }
                    ]
                }
            }
        },
        "status": {
            "observedGeneration": 2,
            "desiredNumberScheduled": desired,
            "currentNumberScheduled": desired,
            "numberReady": ready,
            "updatedNumberScheduled": updated,
        },
    }


def lease(name: str, holder: str, *, renewed: float = 1.0) -> dict:
    """Return a Lease that ``holder`` renewed ``renewed`` seconds ago."""
    return {
        "metadata": {"name": name},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "renewTime": ago(renewed).replace("Z", ".123456Z"),
            "acquireTime": ago(300).replace("Z", ".123456Z"),
            "leaseTransitions": 1,
        },
    }


def leases(on: str = NODE) -> list[dict]:
    return [lease(c.lease, f"{on}_5d0c") for c in COMPONENTS if c.lease]


def agent_pod(on: str = NODE) -> dict:
    pod = _pod(COMPONENTS[0], f"kubectl-selfhost-agent-{on}", on=on, ready=True)
    pod["metadata"]["labels"] = {
        "app.kubernetes.io/name": "kubectl-selfhost-agent",
        "app.kubernetes.io/managed-by": "kubectl-selfhost",
    }
    return pod


def guardian_pod(on: str = NODE) -> dict:
    return _ours(f"kubectl-selfhost-guardian-{on}", on)


def standing_in(component: Component, *, on: str = NODE) -> dict:
    """Return a recovery copy that runs."""
    pod = _ours(f"{component}-recovery-{on}", on)
    pod["metadata"]["labels"]["kubectl-selfhost/recovers"] = component.name
    return pod


def _ours(name: str, on: str) -> dict:
    pod = _pod(COMPONENTS[0], name, on=on, ready=True)
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "3f2a"}
    pod["metadata"]["labels"] = {"tier": "control-plane"}
    return pod


def run(*, ended: bool = True, outcome: str | None = "done", message: str = "") -> dict:
    return {
        "id": "pivot-1",
        "verb": "pivot",
        "started": ago(354),
        "ended": ago(312) if ended else None,
        "outcome": outcome,
        "message": message,
        "by": "ada@laptop",
        "plugin": "0.1.0",
        "steps": [
            {"name": "agent-program", "started": ago(354), "ended": ago(353), "outcome": "done"},
            {
                "name": "hand-over/kube-apiserver",
                "started": ago(340),
                "ended": ago(330) if ended else None,
            },
        ],
    }


def journal(*runs: dict, on: str = NODE) -> dict:
    kept = {
        c.name: {
            "file": f"/etc/kubernetes/manifests/{c.name}.yaml",
            "mode": "0600",
            "sha256": f"{number}3f2a9c1b2d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abc",
            "backup": f"/etc/kubernetes/kubectl-selfhost/{c.name}/{c.name}.yaml",
            "switched_at": ago(312),
            "seconds": 1.9,
        }
        for number, c in enumerate(COMPONENTS)
    }
    content = {"version": 1, "runs": list(runs), "nodes": {on: kept}}
    return {
        "metadata": {"name": "kubectl-selfhost-journal"},
        "data": {"journal.json": json.dumps(content)},
    }


def static_plane() -> dict:
    """Return the objects that kubeadm leaves behind, as ``observe`` takes them."""
    return {
        "nodes": [node()],
        "pods": [static_pod(c) for c in COMPONENTS],
        "leases": leases(),
    }


def self_hosted_plane() -> dict:
    """Return the objects that a pivot leaves behind."""
    return {
        "nodes": [pivoted()],
        "pods": [*(our_pod(c) for c in COMPONENTS), guardian_pod()],
        "daemonsets": [daemonset(c) for c in COMPONENTS],
        "leases": leases(),
        "configmaps": [journal(run())],
    }

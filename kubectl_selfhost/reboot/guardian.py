"""The guardian: a static pod that brings a rebooted node's control plane back without an API.

The guardian runs the node agent's program without privilege: it has no capability, sees no other
process, and of the node's files only the kubelet's directory and ours. It runs as root because root
owns both directories. It runs on the node's network to see whether a process listens on a port.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import (
    FIELD_MANAGER,
    GUARDIAN,
    GUARDIAN_PROGRAM_ANNOTATION,
    NAMESPACE,
)
from kubectl_selfhost.node import binaries, manifestfile
from kubectl_selfhost.node.pod import HOST, NodeTarget, host_path

#: The program's name in our directory on the node (packaging/agent/node/program.h): a static pod can't
#: mount a Secret.
PROGRAM = "agent"
#: The list of the guarded components, beside the copies (packaging/agent/guardian/recovery.h).
LIST = "guarded"


@dataclass(frozen=True)
class Guarded:
    """A component that the guardian watches: its port, the file name of its former static pod, and
    the address at which it listens (empty: unknown; then any listener on the port counts).
    """

    component: str
    port: int
    file: str
    address: str = ""


def guarded_list(guarded: Iterable[Guarded]) -> str:
    """Return the content of the file that lists the components for the guardian.

    Raise SelfhostError for a name that is not valid: in this list a line break begins a new fact.
    """
    guarded = list(guarded)
    for one in guarded:
        if not manifestfile.is_file_name(one.file):
            raise SelfhostError(
                f"{one.file!r} can't be the name of {one.component}'s manifest.",
                "Rename the file in the kubelet's directory, then run the command again.",
            )
    lines: list[str] = []
    for one in guarded:
        lines += [f"component={one.component}", f"port={one.port}", f"file={one.file}"]
        if one.address:
            lines.append(f"address={one.address}")
    return "".join(f"{line}\n" for line in [*lines, "end=1"])


def manifest(target: NodeTarget) -> dict:
    """Return the manifest of the guardian's static pod for ``target``."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": GUARDIAN,
            "namespace": NAMESPACE,
            "labels": {
                "app.kubernetes.io/name": GUARDIAN,
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
                "tier": "control-plane",
            },
            "annotations": {
                "kubectl-selfhost/purpose": (
                    "After a reboot this pod starts copies of the control plane's pods, until the "
                    "DaemonSets' own pods serve again."
                ),
                # If the program changes, so does the manifest: then the kubelet restarts the guardian.
                GUARDIAN_PROGRAM_ANNOTATION: binaries.secret_name(target.arch),
            },
        },
        "spec": {
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "priority": 2000001000,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(target)],
            "volumes": [
                host_path("manifests", target.static_pod_path),
                host_path("kubectl-selfhost", target.directory),
            ],
        },
    }


def _container(target: NodeTarget) -> dict:
    return {
        "name": "guardian",
        "image": target.image,
        "imagePullPolicy": "Never",
        "command": [f"{HOST}{target.directory}/{PROGRAM}", "guard", *target.arguments],
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            # On a node that enforces SELinux (container-selinux's policy) a container of the type
            # container_t may neither run our program nor write into the kubelet's directory. A
            # runtime without SELinux ignores the label.
            "seLinuxOptions": {"type": "spc_t"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # The paths are those of the agent's pod, so the paths in the agent's state file are valid here.
        "volumeMounts": [
            {"name": "manifests", "mountPath": HOST + target.static_pod_path},
            {"name": "kubectl-selfhost", "mountPath": HOST + target.directory},
        ],
    }

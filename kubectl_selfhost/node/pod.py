"""The agent's pod: short-lived, privileged, bound to one node.

The pod must run when the scheduler or the controller-manager doesn't, when the node is tainted, and
where no image can be pulled. It must not need a token, which only a working API server can issue.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from kubectl_selfhost import names
from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.names import (
    AGENT,
    AGENT_LABELS,
    NAMESPACE,
    NODE_DIRECTORY,
    PROGRAM_UID_ANNOTATION,
)
from kubectl_selfhost.node import binaries, sealed

CONTAINER = "agent"
HOST = "/host"
PROGRAM_FOLDER = "/selfhost"
#: A file of its own: in a Secret's volume files are symbolic links, which the agent does not follow.
KEY_FILE = "/selfhost-key"
#: In our directory: the set of credentials that kubeadm renews, and where kubeadm looks for them. It
#: learns the node's name from the kubelet's certificate, to read its configuration from the API.
NEW_CREDENTIALS = "new"
CREDENTIALS_FOLDER = "credentials"
_KUBEADM_FOLDER, _KUBELET_FOLDER = "/etc/kubernetes", "/var/lib/kubelet/pki"

#: An agent without orders ends after this many seconds: so a killed plugin leaves no privileged process.
IDLE_SECONDS = 300


@dataclass(frozen=True)
class NodeTarget:
    """The place where an agent works: a node, its CPU, an image on the node, the kubelet's
    staticPodPath and podLogsDir.

    ``renews``: the agent's pod runs the node's kubeadm, too, on a set of credentials of its own.
    ``seals``: it has a key, with which credentials travel to the node or from it.
    """

    node: str
    arch: str
    image: str
    static_pod_path: str
    pod_logs_dir: str = "/var/log/pods"
    renews: bool = False
    seals: bool = False

    @property
    def parent(self) -> str:
        """Return the directory that contains the kubelet's directory and ours."""
        return str(PurePosixPath(self.static_pod_path).parent)

    @property
    def directory(self) -> str:
        """Return our directory on the node, beside the kubelet's."""
        return str(PurePosixPath(self.parent) / NODE_DIRECTORY)

    @property
    def program(self) -> str:
        """Return the path of the agent's program inside its pod."""
        return f"{PROGRAM_FOLDER}/{programs.file_name(self.arch)}"

    @property
    def arguments(self) -> list[str]:
        """Return the arguments with the paths of our directory and of the manifests in the pod."""
        return ["--dir", HOST + self.directory, "--manifests", HOST + self.static_pod_path]


def pod_name(node: str) -> str:
    """Return the name of the agent's pod on ``node``."""
    return names.pod_name(AGENT, node)


def former_pod_name(node: str) -> str:
    """Return the name of the agent's pod in earlier builds: a killed run may have left such a pod.

    ``kubectl debug node/NAME`` uses names of the same form, so this build has another name.
    """
    name = f"node-debugger-selfhost-{node}"
    if len(name) <= 63:
        return name
    return f"{name[:52]}-{hashlib.sha256(node.encode()).hexdigest()[:10]}"


def manifest(target: NodeTarget, *, program_uid: str = "", key: str = "") -> dict:
    """Return the manifest of the agent's pod for ``target``.

    ``program_uid`` is the uid of the Secret with the program, from when the program was compared;
    ``key`` names the Secret with the key of a target that seals.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(target.node),
            "namespace": NAMESPACE,
            "labels": dict(AGENT_LABELS),
            "annotations": {
                "kubectl-selfhost/purpose": (
                    f"Moves static pod manifests of node {target.node} for kubectl selfhost. "
                    "You may delete this pod: before it ends, it puts back the manifest of a component "
                    "that is not confirmed yet."
                ),
                PROGRAM_UID_ANNOTATION: program_uid,
            },
        },
        "spec": {
            "nodeName": target.node,
            "hostPID": True,
            "hostNetwork": True,
            # The kubelet restarts a killed container, which continues from its state on the node.
            "restartPolicy": "OnFailure",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "priorityClassName": "system-node-critical",
            "terminationGracePeriodSeconds": 20,
            "tolerations": [{"operator": "Exists"}],
            "containers": [_container(target, with_key=bool(key))],
            "volumes": [
                host_path("kubernetes", target.parent),
                host_path("pod-logs", target.pod_logs_dir),
                *(_volumes_of_kubeadm(target) if target.renews else []),
                *(
                    [{"name": "key", "secret": {"secretName": key, "defaultMode": 0o400}}]
                    if key
                    else []
                ),
                {
                    "name": "program",
                    "secret": {
                        "secretName": binaries.secret_name(target.arch),
                        "defaultMode": 0o755,
                    },
                },
            ],
        },
    }


def _container(target: NodeTarget, *, with_key: bool) -> dict:
    return {
        "name": CONTAINER,
        "image": target.image,
        "imagePullPolicy": "Never",
        "command": [target.program, "serve", *target.arguments, "--idle", str(IDLE_SECONDS)],
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
        "securityContext": {"privileged": True, "runAsUser": 0, "runAsGroup": 0},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            # Both directories are in one mount: a rename across two mounts fails. The kubelet follows
            # each path on the node, where /etc/kubernetes may be a symbolic link.
            {"name": "kubernetes", "mountPath": (HOST + target.parent).rstrip("/")},
            {"name": "pod-logs", "mountPath": HOST + target.pod_logs_dir, "readOnly": True},
            {"name": "program", "mountPath": PROGRAM_FOLDER, "readOnly": True},
            *(_MOUNTS_OF_KUBEADM if target.renews else []),
            *(
                [{"name": "key", "mountPath": KEY_FILE, "subPath": sealed.FILE, "readOnly": True}]
                if with_key
                else []
            ),
        ],
    }


_MOUNTS_OF_KUBEADM = (
    {"name": "new-credentials", "mountPath": _KUBEADM_FOLDER},
    {"name": "kubelet", "mountPath": _KUBELET_FOLDER, "readOnly": True},
)


def _volumes_of_kubeadm(target: NodeTarget) -> list[dict]:
    new = f"{target.directory}/{CREDENTIALS_FOLDER}/{NEW_CREDENTIALS}"
    return [
        {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
        for name, path in (("new-credentials", new), ("kubelet", _KUBELET_FOLDER))
    ]


def host_path(name: str, path: str) -> dict:
    """Return a volume with the node's directory; the kubelet follows a symbolic link on the node."""
    return {"name": name, "hostPath": {"path": path, "type": "Directory"}}

"""The pod that asks a target's images on one node.

A container has the target's image and the command line that is in use, with ``--version`` behind it.
It prints its version and ends: it gets no file, no token and no privilege.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from kubectl_selfhost.controlplane.upgrade import unset
from kubectl_selfhost.controlplane.upgrade.answer import Question
from kubectl_selfhost.names import NAMESPACE, QUESTION, QUESTION_LABELS
from kubectl_selfhost.plans.upgrade.look.programs import Program

#: If the command is killed, the kubelet ends a pod that still pulls images this much later (seconds).
_SPARE = 60
#: Any user but root; this one is distroless' nonroot.
_USER = 65532


@dataclass
class Asked:
    """A question, the program that it is about, and the names that its program does not know.

    ``plugins``: the program is asked for its admission plugins, not for its version.
    """

    question: Question
    program: Program
    flags: list[str] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    plugins: bool = False

    @property
    def container(self) -> str:
        return self.question.component.lower() + "-plugins" * self.plugins

    def command(self) -> dict[str, list[str]]:
        """Return the command line that is in use, and behind it what the program is asked for."""
        words = unset.off(self.program.container, flags=self.flags, gates=self.gates)
        if self.plugins:
            program = takewhile(lambda word: not word.startswith("-"), words.get("command", []))
            return {"command": [*program, "--help"]}
        last = "args" if "args" in words or "command" not in words else "command"
        return {**words, last: [*words.get(last, []), "--version"]}


def manifest(node: str, asked: Sequence[Asked], *, limit: float) -> dict:
    """Return the pod that asks on ``node``; it ends by itself after ``limit`` seconds and some."""
    secrets = [
        secret
        for one in asked
        for secret in one.program.pod.get("spec", {}).get("imagePullSecrets") or []
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{QUESTION}-{uuid.uuid4().hex[:8]}",
            "namespace": NAMESPACE,
            "labels": dict(QUESTION_LABELS),
            "annotations": {
                "kubectl-selfhost/purpose": (
                    "Prints the versions of images for kubectl selfhost upgrade. You may delete "
                    "this pod."
                )
            },
        },
        "spec": {
            "nodeName": node,
            "hostNetwork": True,  # a node whose pod network fails can be asked, too
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(limit) + _SPARE,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "imagePullSecrets": [one for n, one in enumerate(secrets) if one not in secrets[:n]],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(one) for one in asked],
        },
    }


def _container(asked: Asked) -> dict:
    container = asked.program.container
    return {
        "name": asked.container,
        "image": asked.question.image,
        "imagePullPolicy": "IfNotPresent",
        **asked.command(),
        # What a command line may name; a Secret's value has no place in a pod that is asked.
        "env": [
            one
            for one in container.get("env") or []
            if "value" in one or "fieldRef" in (one.get("valueFrom") or {})
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            # Kubernetes' images give their programs this capability: without it they don't start.
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
    }

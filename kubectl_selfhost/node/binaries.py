"""The node agent's program, one for each CPU, and the ConfigMap that carries it.

It travels in a ConfigMap and runs in the component's own image, so a site without an image
registry has nothing to mirror. The ConfigMap is named after its content and immutable: a pod that
refers to it can never be given another program, and the kubelet need not watch it.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import AGENT, AGENT_LABELS, NAMESPACE

#: Kubernetes' names of the CPUs (kubernetes.io/arch) that we have a program for.
ARCHITECTURES = ("amd64", "arm64", "arm", "ppc64le", "s390x")


def program(arch: str) -> str:
    """The program's file name for a CPU, which is also its key in the ConfigMap."""
    return f"agent-{arch}"


@cache
def _programs() -> dict[str, bytes]:
    folder = resources.files("kubectl_selfhost.node") / "binaries"
    found = {}
    for arch in ARCHITECTURES:
        file = folder / program(arch)
        if file.is_file():
            found[program(arch)] = file.read_bytes()
    if not found:
        raise SelfhostError(
            "This build of kubectl-selfhost carries no node agent.",
            "Build it with `make package`, or install a release with krew.",
        )
    return found


@cache
def config_map_name() -> str:
    """The ConfigMap's name, with the first ten digits of the SHA-256 of all programs in it."""
    digest = hashlib.sha256()
    for name, content in sorted(_programs().items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return f"{AGENT}-{digest.hexdigest()[:10]}"


def config_map() -> dict:
    """The manifest of the ConfigMap that carries the programs."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(),
            "namespace": NAMESPACE,
            "labels": dict(AGENT_LABELS),
            "annotations": {
                "kubectl-selfhost/purpose": (
                    "The node agent of kubectl-selfhost. The self-hosted control plane's pods "
                    "start with it: keep it while there are DaemonSets named self-hosted-*."
                )
            },
        },
        "immutable": True,
        "binaryData": {
            name: base64.b64encode(content).decode() for name, content in _programs().items()
        },
    }

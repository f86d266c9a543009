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
def _content(arch: str) -> bytes:
    file = resources.files("kubectl_selfhost.node") / "binaries" / program(arch)
    if not file.is_file():
        raise SelfhostError(
            f"This build of kubectl-selfhost carries no node agent for {arch}.",
            "Build it with `make package`, or install a release with krew.",
        )
    return file.read_bytes()


def config_map_name(arch: str) -> str:
    """The ConfigMap's name: the CPU, and the first ten digits of the program's SHA-256."""
    return f"{AGENT}-{arch}-{hashlib.sha256(_content(arch)).hexdigest()[:10]}"


def config_map(arch: str) -> dict:
    """The manifest of the ConfigMap that carries the program for the CPU ``arch``.

    One for each CPU: with all five, ``kubectl apply`` could not keep the manifest in its
    annotation (at most 256 KiB).
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(arch),
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
        "binaryData": {program(arch): base64.b64encode(_content(arch)).decode()},
    }

"""The programs in this build, for each CPU: the node agent, and ``reach`` of the probe.

A Secret carries a program (``controlplane.program``), which runs in the component's own image. So a
site without an image registry has nothing to mirror. The node agent runs as root on the nodes
(``node.pod``); ``reach`` only measures, without privilege (``probe.from_a_pod``).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.errors import SelfhostError

#: Kubernetes' names of the CPUs (kubernetes.io/arch) for which there are programs.
ARCHITECTURES = ("amd64", "arm64", "arm", "ppc64le", "s390x")


@cache
def content(file: str) -> bytes:
    """Return a program's bytes; ``file`` is its name and its CPU: ``agent-amd64``."""
    found = resources.files("kubectl_selfhost.node") / "binaries" / file
    if not found.is_file():
        raise SelfhostError(
            f"This build of kubectl-selfhost does not contain the program {file}.",
            "Build it with `make package`, or install a release with krew.",
        )
    return found.read_bytes()


@cache
def digest(arch: str) -> str:
    """Return the SHA-256 of the node agent for the CPU."""
    return hashlib.sha256(content(programs.file_name(arch))).hexdigest()


def secret_name(arch: str) -> str:
    """Return the name of the Secret that carries the node agent for the CPU."""
    return programs.secret_name(arch, digest(arch))


def secret(arch: str) -> dict:
    """Return the manifest of the Secret that carries the node agent for the CPU."""
    return programs.secret(arch, content(programs.file_name(arch)))

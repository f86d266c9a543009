"""The node agent's programs that come with this build, one for each CPU.

A program travels in a Secret (``controlplane.program``) and runs in the component's own image, so a
site without an image registry has nothing to mirror.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.errors import SelfhostError

#: Kubernetes' names of the CPUs (kubernetes.io/arch) that we have a program for.
ARCHITECTURES = ("amd64", "arm64", "arm", "ppc64le", "s390x")


@cache
def _content(arch: str) -> bytes:
    file = resources.files("kubectl_selfhost.node") / "binaries" / programs.file_name(arch)
    if not file.is_file():
        raise SelfhostError(
            f"This build of kubectl-selfhost carries no node agent for {arch}.",
            "Build it with `make package`, or install a release with krew.",
        )
    return file.read_bytes()


@cache
def digest(arch: str) -> str:
    """Return the SHA-256 of the program for the CPU."""
    return hashlib.sha256(_content(arch)).hexdigest()


def secret_name(arch: str) -> str:
    """Return the name of the Secret that carries the program for the CPU."""
    return programs.secret_name(arch, digest(arch))


def secret(arch: str) -> dict:
    """Return the manifest of the Secret that carries the program for the CPU."""
    return programs.secret(arch, _content(arch))

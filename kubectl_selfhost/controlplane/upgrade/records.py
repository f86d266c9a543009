"""kubeadm's records of a cluster's version, changed in one place and kept as they are elsewhere."""

from __future__ import annotations

import re

_VERSION = re.compile(r"^(kubernetesVersion:[ \t]*)([^\s#]*)", re.MULTILINE)


def version_in(text: str) -> str:
    """Return the kubernetesVersion of a ClusterConfiguration; empty if the text has none."""
    found = _VERSION.search(text)
    return found[2].strip("\"'") if found else ""


def with_version(text: str, version: str) -> str:
    """Return the ClusterConfiguration with another kubernetesVersion; all else is byte for byte the
    same.
    """
    return _VERSION.sub(rf"\g<1>{version}", text, count=1)

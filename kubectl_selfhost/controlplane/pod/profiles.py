"""Security profiles, which a pod may set with an annotation or with a field.

When a pod or a mirror pod is created, the API server copies the value from one to the other: for
AppArmor since 1.30, for seccomp until 1.26 (pkg/registry/core/pod/strategy.go). A manifest has only
one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kubectl_selfhost.controlplane.pod.defaults import containers


class _Kind(NamedTuple):
    """The field, and the annotations: one for the pod, and a prefix before a container's name."""

    field: str
    pod: str
    container: str


_KINDS = (
    _Kind("appArmorProfile", "", "container.apparmor.security.beta.kubernetes.io/"),
    _Kind(
        "seccompProfile",
        "seccomp.security.alpha.kubernetes.io/pod",
        "container.seccomp.security.alpha.kubernetes.io/",
    ),
)
_TYPES = {
    "runtime/default": "RuntimeDefault",
    "docker/default": "RuntimeDefault",
    "unconfined": "Unconfined",
}
_LOCALHOST = "localhost/"


def take_off_copies(pod: dict) -> None:
    """Remove the fields that repeat an annotation; this changes ``pod``."""
    for kind, holder, key in _places(pod):
        given = _annotations(pod).get(key)
        own = holder.get("securityContext") or {}
        if given is not None and own.get(kind.field) == _field(given):
            own.pop(kind.field, None)


def as_fields(pod: dict) -> None:
    """Set every profile as a field; this changes ``pod``. A container has an own profile only if it
    differs from the pod's profile.
    """
    spec, annotations = pod.get("spec", {}), _annotations(pod)
    for kind, holder, key in _places(pod):
        given = annotations.pop(key, None)
        own = holder.setdefault("securityContext", {})
        if kind.field not in own and given is not None and _field(given):
            own[kind.field] = _field(given)
    for kind in _KINDS:
        of_pod = (spec.get("securityContext") or {}).get(kind.field)
        for container in containers(spec):
            own = container.get("securityContext") or {}
            if of_pod is not None and own.get(kind.field) == of_pod:
                del own[kind.field]


def _places(pod: dict) -> Iterator[tuple[_Kind, dict, str]]:
    """Yield each kind, the mapping with its field, and the annotation's key; the pod comes before
    its containers.
    """
    spec = pod.get("spec", {})
    for kind in _KINDS:
        if kind.pod:
            yield kind, spec, kind.pod
        for container in containers(spec):
            yield kind, container, f"{kind.container}{container.get('name')}"


def _annotations(pod: dict) -> dict[str, str]:
    return pod.setdefault("metadata", {}).setdefault("annotations", {}) or {}


def _field(annotation: str) -> dict[str, str] | None:
    if annotation.startswith(_LOCALHOST):
        return {"type": "Localhost", "localhostProfile": annotation[len(_LOCALHOST) :]}
    return {"type": _TYPES[annotation]} if annotation in _TYPES else None

"""Security profiles, which a pod may set by an annotation or by a field.

The API server keeps the two in step when a pod is made, a mirror pod as well: AppArmor's since 1.30,
seccomp's until 1.26 (pkg/registry/core/pod/strategy.go). A manifest says one of them.
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
    """Take the fields off ``pod`` (which is changed) that say what an annotation says already."""
    for kind, holder, key in _places(pod):
        given = _annotations(pod).get(key)
        own = holder.get("securityContext") or {}
        if given is not None and own.get(kind.field) == _field(given):
            own.pop(kind.field, None)


def as_fields(pod: dict) -> None:
    """Set every profile of ``pod`` (which is changed) by fields, each once: a container has its own
    only if it differs from the pod's.
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
    """Yield each kind, the mapping that holds its field, and the annotation's key; the pod before
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

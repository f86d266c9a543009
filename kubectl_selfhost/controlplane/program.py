"""The object in kube-system that carries the node agent's program, and its checks.

The program runs as root on every control-plane node, so whoever may write the object is root there.
A Secret carries the program; in earlier builds it was a ConfigMap. Roles that let people write
ConfigMaps in kube-system are common. Whoever may create Secrets there can get a node's identity anyway
(a bootstrap token is such a Secret, and kubeadm lets its holder ask for a kubelet's certificate).

What protects what:

- The Secret's name has the whole SHA-256 of the program. So a pod or DaemonSet that names the Secret
  names its program, and everybody can compare: ``what_is_wrong``. The comparison needs no copy of the
  program, and works for programs of other builds, too.
- ``immutable`` keeps the content for the life of the object (the API server refuses any change of the
  data or of the field itself). The object's uid shows whether it is still the same object.
- Whoever may write Secrets can delete the object and create another object of that name. So a run
  compares the content before a pod mounts the object, and content and uid afterwards. A run gives no
  orders to a pod whose program may be foreign.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass

from kubectl_selfhost.names import AGENT, AGENT_LABELS, NAMESPACE

SECRET = "Secret"  # noqa: S105 (a kind of object)
CONFIG_MAP = "ConfigMap"

#: The name of the volume from which a DaemonSet's pods mount the program.
AGENT_VOLUME = "kubectl-selfhost-agent"

_TYPE = "Opaque"
_SECRET_NAME = re.compile(rf"{AGENT}-(?P<arch>[a-z0-9]+)-(?P<digest>[0-9a-f]{{64}})")
#: In earlier builds a ConfigMap carried the program; its name had ten digits of the digest.
_FORMER_NAME = re.compile(rf"{AGENT}-(?P<arch>[a-z0-9]+)-(?P<digest>[0-9a-f]{{10}})")


@dataclass(frozen=True)
class Reference:
    """The object from which a DaemonSet's pods mount the program: its kind and its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Carrier:
    """The object from which DaemonSets' pods mount the program, and the result of its check.

    ``wrong``: why its program is foreign (empty: it is not); ``missing``: there is no such object;
    ``current``: its program is this build's.
    """

    reference: Reference
    daemonsets: tuple[str, ...]
    wrong: str = ""
    missing: bool = False
    current: bool = False

    @property
    def former(self) -> bool:
        """Return whether the object is a ConfigMap of an earlier build, which more people may write."""
        return self.reference.kind == CONFIG_MAP


def look(found: Reference) -> str:
    """Return the command that shows an object's metadata, and so who wrote the object."""
    kind = found.kind.lower()  # without the content, a program of 100 KB
    return f"kubectl -n {NAMESPACE} get {kind} {found.name} -o jsonpath='{{.metadata}}'"


def file_name(arch: str) -> str:
    """Return the program's file name for a CPU, which is also its key in the Secret."""
    return f"agent-{arch}"


def secret_name(arch: str, digest: str) -> str:
    """Return the name of the Secret that carries the program with that SHA-256 for the CPU."""
    return f"{AGENT}-{arch}-{digest}"


def secret(arch: str, content: bytes) -> dict:
    """Return the manifest of the Secret that carries the program ``content`` for the CPU ``arch``.

    There is one Secret for each CPU: with all five programs, ``kubectl apply`` could not keep the
    manifest in its annotation (at most 256 KiB).
    """
    return carrying(
        file_name(arch),
        content,
        name=secret_name(arch, hashlib.sha256(content).hexdigest()),
        labels=AGENT_LABELS,
        purpose=(
            "The program of kubectl selfhost's node agent; it is not confidential. It is in a "
            "Secret because whoever may replace it is root on the control-plane nodes. The "
            "pods of the self-hosted control plane need this Secret: keep it while there are "
            "DaemonSets named self-hosted-*."
        ),
    )


def carrying(
    file: str, content: bytes, *, name: str, labels: Mapping[str, str], purpose: str
) -> dict:
    """Return the manifest of an immutable Secret with a program as its only ``file``."""
    return {
        "apiVersion": "v1",
        "kind": SECRET,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": dict(labels),
            "annotations": {"kubectl-selfhost/purpose": purpose},
        },
        "type": _TYPE,
        "immutable": True,
        "data": {file: base64.b64encode(content).decode()},
    }


def is_named(digest: str, name: str) -> bool:
    """Return whether an object of that ``name`` carries the program with that SHA-256."""
    found = _SECRET_NAME.fullmatch(name) or _FORMER_NAME.fullmatch(name)
    return found is not None and digest.startswith(found["digest"])


def what_is_wrong(stored: dict) -> str:
    """Return why ``stored``, a Secret or a former ConfigMap, doesn't hold the plugin's program;
    empty if it does.

    The object holds the plugin's program if it is immutable, holds nothing else, and the program
    has the digest in the object's name.
    """
    is_former = stored.get("kind") == CONFIG_MAP
    name = (_FORMER_NAME if is_former else _SECRET_NAME).fullmatch(stored["metadata"]["name"])
    if name is None:
        return "its name has no digest of a program"
    if not is_former and stored.get("type") != _TYPE:
        return f"its type is not {_TYPE}"
    if stored.get("immutable") is not True:
        return "it is not immutable"
    entries = {**(stored.get("data") or {}), **(stored.get("binaryData") or {})}
    file = file_name(name["arch"])
    if set(entries) != {file}:
        return f"it does not hold just the file {file}"
    digest = _digest(entries[file])
    if not digest.startswith(name["digest"]):
        return f"the SHA-256 of its program is {digest or 'unknown'}"
    return ""


def _digest(encoded: str) -> str:
    try:
        return hashlib.sha256(base64.b64decode(encoded, validate=True)).hexdigest()
    except binascii.Error:
        return ""


def reference(daemonset: dict) -> Reference | None:
    """Return the object from which a DaemonSet's pods mount the program; None without such an
    object.
    """
    for volume in daemonset["spec"]["template"]["spec"].get("volumes") or []:
        if volume["name"] != AGENT_VOLUME:
            continue
        if "secret" in volume:
            return Reference(SECRET, volume["secret"].get("secretName", ""))
        if "configMap" in volume:
            return Reference(CONFIG_MAP, volume["configMap"].get("name", ""))
    return None


def references(daemonsets: Iterable[dict]) -> set[Reference]:
    """Return every object from which one of the DaemonSets mounts the program."""
    found = map(reference, daemonsets)
    return {one for one in found if one is not None}


def carriers(
    daemonsets: Iterable[dict],
    stored: Mapping[Reference, dict | None],
    *,
    own: Collection[Reference] = (),
) -> list[Carrier]:
    """Return the objects in ``stored`` (None: missing) from which a DaemonSet's pods mount the
    program, and the objects with a foreign program that no DaemonSet names yet.

    ``own`` are the objects with this build's programs.
    """
    named: dict[Reference, list[str]] = {one: [] for one in stored}
    for daemonset in daemonsets:
        found = reference(daemonset)
        if found is not None and found in named:
            named[found].append(daemonset["metadata"]["name"])
    made = []
    for which, names in named.items():
        what = stored[which]
        wrong = what_is_wrong({**what, "kind": which.kind}) if what else ""
        if names or wrong:
            of, current = tuple(sorted(names)), which in own
            made.append(Carrier(which, of, wrong, missing=what is None, current=current))
    return sorted(made, key=lambda one: str(one.reference))


def volume(secret: str) -> dict:
    """Return the volume with the program of the Secret, for a DaemonSet's pods."""
    source = {"secretName": secret, "defaultMode": 0o755, "optional": False}
    return {"name": AGENT_VOLUME, "secret": source}


def with_program(daemonset: dict, secret: str) -> dict:
    """Return the DaemonSet with the program of another Secret, whatever object carried it so far."""
    new = deepcopy(daemonset)
    spec = new["spec"]["template"]["spec"]
    spec["volumes"] = [
        volume(secret) if one["name"] == AGENT_VOLUME else one for one in spec.get("volumes") or []
    ]
    return new

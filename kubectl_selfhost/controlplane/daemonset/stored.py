"""The objects that hold the control plane's credentials, and the volumes that project them.

- Each is immutable and has a digest of its content in its name: another content is another object, so a
  DaemonSet's template says what its pods read, and a roll-out changes it.
- Each component gets what it reads and no more. What differs from node to node is in an object for each
  component and node; a pair of certificate and key is never in two objects.
- A volume has a folder for each node, and a pod mounts its own node's folder.
- There is neither an owner nor a finalizer: nothing deletes these objects because of another object. A
  deleted one hurts only the next start of a pod, and the files on the nodes stay.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset.reads import ACCOUNTS, AUTHORITY, SIGNER, Read
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import (
    CREDENTIALS_LABEL,
    FIELD_MANAGER,
    FILES_ANNOTATION,
    NAMESPACE,
    pod_name,
)

_DIGITS = 10
#: Stands for a digest in a plan: the content is read in the run.
UNREAD = "0" * _DIGITS
_SHARED = {
    AUTHORITY: "self-hosted-trust",
    ACCOUNTS: "self-hosted-sa",
    SIGNER: "self-hosted-cluster-signer",
}
_KEY, _CERTIFICATE = 0o400, 0o444
_PURPOSE = (
    "Credentials of the self-hosted control plane; its pods mount this object. kubectl selfhost "
    "deletes it when no pod needs it."
)


@dataclass(frozen=True)
class HostFile:
    """A file on a node: its ``path`` below /etc/kubernetes, mode (octal digits), owner, group,
    and content.
    """

    path: str
    mode: str
    uid: int
    gid: int
    content: bytes

    def __repr__(self) -> str:
        return f"HostFile({self.path!r})"  # never the content


#: By node and by path.
Files = Mapping[str, Mapping[str, HostFile]]
#: By component, as each group of nodes has it.
Reads = Mapping[Component, Sequence[Read]]
Nodes = Mapping[Component, Sequence[str]]


@dataclass(frozen=True)
class _Place:
    """What an object is for: ``shared`` names what all nodes have alike, else it is a node's."""

    shared: str = ""
    component: str = ""
    node: str = ""

    @property
    def prefix(self) -> str:
        return _SHARED.get(self.shared) or pod_name(f"self-hosted-{self.component}", self.node)

    @property
    def public(self) -> bool:
        return self.shared == AUTHORITY


class Stored:
    """The objects for what components read on their ``nodes``; without ``files`` only their shape
    is known.
    """

    def __init__(self, reads: Reads, nodes: Nodes, files: Files | None = None) -> None:
        self._reads = reads
        self._nodes = nodes
        self._files = files
        self._paths: dict[_Place, dict[str, str]] = {}
        for component, node, read in self._each():
            paths = self._paths.setdefault(_place(component, node, read), {})
            if paths.setdefault(_key(read.path), read.path) != read.path:
                raise SelfhostError(
                    f"Two files would have the name {_key(read.path)} in a Secret: {read.path} and "
                    f"{paths[_key(read.path)]} below /etc/kubernetes.",
                    "Rename one of them, or keep the credentials on the nodes.",
                )

    def objects(self) -> list[dict]:
        """Return the manifests. Raise SelfhostError if nodes differ where they must be alike."""
        return [self._object(place) for place in self._paths]

    def names(self) -> list[tuple[str, str]]:
        """Return the kind and the name of each object."""
        return [(_kind(place), self._name(place)) for place in self._paths]

    def volumes(self, component: Component) -> dict[str, dict]:
        """Return the volumes by name, for the pods of the component on all nodes."""
        sources: dict[str, dict[_Place, dict[str, dict]]] = {}
        for one, node, read in self._each():
            if one == component:
                place = _place(component, node, read)
                items = sources.setdefault(read.volume, {}).setdefault(place, {})
                path = f"{node}/{read.inside or file_name(read.path)}"
                mode = _CERTIFICATE if read.public else _KEY
                before = items.get(path, {}).get("mode", mode)
                items[path] = {"key": _key(read.path), "path": path, "mode": min(mode, before)}
        return {
            volume: {
                "name": volume,
                "projected": {
                    "sources": [self._source(*one) for one in of_objects.items()],
                    "defaultMode": _KEY,
                },
            }
            for volume, of_objects in sources.items()
        }

    def _each(self) -> Iterator[tuple[Component, str, Read]]:
        for component, reads in self._reads.items():
            for node in self._nodes[component]:
                for read in reads:
                    yield component, node, read

    def _source(self, place: _Place, items: Mapping[str, dict]) -> dict:
        field = "configMap" if place.public else "secret"
        return {field: {"name": self._name(place), "items": list(items.values())}}

    def _name(self, place: _Place) -> str:
        digest = _digest(self._content(place)) if self._files is not None else UNREAD
        return f"{place.prefix}-{digest}"

    def _content(self, place: _Place) -> dict[str, bytes]:
        return {key: self._file(place, path).content for key, path in self._paths[place].items()}

    def _file(self, place: _Place, path: str) -> HostFile:
        """Return a file, which all nodes must have alike unless the object is a node's own."""
        assert self._files is not None
        nodes = [place.node] if place.node else list(self._files)
        found = {node: self._files[node][path] for node in nodes if path in self._files[node]}
        (at, first), *others = found.items()
        for node, one in others:
            if one.content != first.content:
                raise SelfhostError(
                    f"The file /etc/kubernetes{path} differs between the nodes {at} and {node}: all "
                    " nodes must have the same one.",
                    "Make the files alike, or keep the credentials on the nodes.",
                )
        return first

    def _object(self, place: _Place) -> dict:
        content = self._content(place)
        files = {key: self._file(place, path) for key, path in self._paths[place].items()}
        facts = {key: [one.path, one.mode, one.uid, one.gid] for key, one in files.items()}
        return {
            "apiVersion": "v1",
            "kind": _kind(place),
            "metadata": {
                "name": self._name(place),
                "namespace": NAMESPACE,
                "labels": {
                    CREDENTIALS_LABEL: place.shared or place.component,
                    "app.kubernetes.io/managed-by": FIELD_MANAGER,
                    # A backup of Velero's would hold the keys in clear.
                    "velero.io/exclude-from-backup": "true",
                },
                "annotations": {
                    "kubectl-selfhost/purpose": _PURPOSE,
                    FILES_ANNOTATION: json.dumps(facts),
                },
            },
            "immutable": True,
            **(_public(content) if place.public else _secret(content)),
        }


def named_in(volumes: Iterable[dict]) -> set[tuple[str, str]]:
    """Return the kind and the name of each object that these volumes of a pod mount."""
    found = set()
    for volume in volumes:
        for source in (volume, *((volume.get("projected") or {}).get("sources") or [])):
            secret, trust = source.get("secret") or {}, source.get("configMap") or {}
            found.add(("Secret", secret.get("secretName") or secret.get("name", "")))
            found.add(("ConfigMap", trust.get("name", "")))
    return {one for one in found if one[1]}


def is_sound(stored: dict) -> bool:
    """Return whether an object's content is the one whose digest is in its name."""
    content = _content_of(stored)
    digest = stored["metadata"]["name"].rpartition("-")[2]
    return content is not None and stored.get("immutable") is True and digest == _digest(content)


def host_files(stored: dict) -> dict[str, HostFile]:
    """Return the files from which an object was made, as they were on the node, by their keys."""
    facts = json.loads((stored["metadata"].get("annotations") or {}).get(FILES_ANNOTATION, "{}"))
    content = _content_of(stored) or {}
    return {
        key: HostFile(path, mode, uid, gid, content[key])
        for key, (path, mode, uid, gid) in facts.items()
        if key in content
    }


def on_node(volumes: Iterable[dict], node: str) -> dict[tuple[str, str], list[str]]:
    """Return the keys of each object, by kind and name, that pods with these volumes read on a node."""
    found: dict[tuple[str, str], list[str]] = {}
    for volume in volumes:
        for source in (volume.get("projected") or {}).get("sources") or []:
            for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
                one = source.get(field) or {}
                keys = [
                    item["key"]
                    for item in one.get("items") or []
                    if item["path"].startswith(f"{node}/")
                ]
                if keys:
                    found.setdefault((kind, one["name"]), []).extend(keys)
    return found


def file_name(path: str) -> str:
    """Return a path's last part."""
    return path.rpartition("/")[2]


def _place(component: Component, node: str, read: Read) -> _Place:
    own = _Place(component=component.name, node=node)
    return own if read.of_node else _Place(shared=read.kind)


def _kind(place: _Place) -> str:
    return "ConfigMap" if place.public else "Secret"


def _key(path: str) -> str:
    return path.removeprefix("/pki/").lstrip("/").replace("/", "-")


def _digest(content: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for key, some in sorted(content.items()):
        digest.update(f"{len(key)} {key} {len(some)} ".encode() + some)
    return digest.hexdigest()[:_DIGITS]


def _public(content: Mapping[str, bytes]) -> dict:
    return {"binaryData": _encoded(content)}


def _secret(content: Mapping[str, bytes]) -> dict:
    return {"type": "Opaque", "data": _encoded(content)}


def _encoded(content: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(some).decode() for key, some in content.items()}


def _content_of(stored: dict) -> dict[str, bytes] | None:
    held = stored.get("data" if stored.get("kind") == "Secret" else "binaryData") or {}
    try:
        return {key: base64.b64decode(some, validate=True) for key, some in held.items()}
    except (binascii.Error, TypeError):
        return None

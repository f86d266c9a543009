"""The objects of a fake API server, with the real server's rules for changing them.

resourceVersions, uids and generations; selectors by label and field; conflicts; immutable
ConfigMaps and Secrets; server-side apply by one manager. Controllers are not here (see ``plane``).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from fakes.memory import copied, frozen
from kubectl_selfhost.cluster.kinds import KINDS, Kind

Object = dict[str, Any]
_NO: Object = {}
Key = tuple[str, str, str]

BY_PLURAL: dict[str, Kind] = {kind.plural: kind for kind in KINDS.values()}
#: Kinds whose spec has a generation.
_GENERATED = ("daemonsets", "deployments", "pods")


class Refusal(Exception):
    """An error answer: its HTTP status, and the API's reason and message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def as_status(self) -> Object:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": self.status,
            "reason": self.reason,
            "message": self.message,
        }


class Store:
    """The objects by (plural, namespace, name); the namespace of a cluster-wide object is empty."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._applied: dict[Key, Object] = {}
        self.version = 0
        self._kept: dict[tuple[str, Any], tuple[str, Any]] = {}
        self._names = itertools.count(0x2A7F3)
        self.now = "2026-11-26T09:00:00Z"

    # ---- reading ----

    def find(self, plural: str, name: str, namespace: str = "") -> Object | None:
        """Return the object itself (not a copy), or None."""
        return self._of(plural).get((namespace, name))

    def get(self, plural: str, name: str, namespace: str = "") -> Object:
        found = self.find(plural, name, namespace)
        if found is None:
            raise Refusal(404, "NotFound", f'{plural} "{name}" not found')
        return found

    def list(
        self, plural: str, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Return the objects that match both selectors; an empty ``namespace`` is every one."""
        by_label, by_field = _label_requirements(labels), _field_requirements(fields)
        return [
            one
            for (where, _), one in self._of(plural).items()
            if namespace in ("", where)
            and all(_has_field(one, *needed) for needed in by_field)
            and all(_has_label(one["metadata"].get("labels") or {}, n) for n in by_label)
        ]

    def bound_to(self, node: str) -> list[Object]:
        """Return the pods of a node, and quickly: its kubelet asks for them at each moment."""
        return [
            one
            for one in self._of("pods").values()
            if (one.get("spec") or _NO).get("nodeName") == node
        ]

    def labelled(self, plural: str, namespace: str, labels: Object) -> list[Object]:
        """Return the objects that have all of ``labels``."""
        wanted = labels.items()
        return [
            one
            for (where, _), one in self._of(plural).items()
            if where == namespace and wanted <= (one["metadata"].get("labels") or _NO).items()
        ]

    def text(self, one: Object) -> str:
        """Return the object as JSON."""
        return str(self._of_its_version(one, json.dumps))

    def frozen(self, one: Object) -> bytes:
        """Return the object as it is now, for an answer."""
        return bytes(self._of_its_version(one, frozen))

    def _of_its_version(self, one: Object, make: Callable[[Object], Any]) -> Any:
        """Make it anew, but for a pod of the same version: each change of a pod is known."""
        if one.get("kind") != "Pod":
            return make(one)
        key, version = (one["metadata"]["name"], make), one["metadata"]["resourceVersion"]
        if self._kept.get(key, ("",))[0] != version:
            self._kept[key] = version, make(one)
        return self._kept[key][1]

    # ---- changing ----

    def create(self, plural: str, manifest: Object, *, dry_run: bool = False) -> Object:
        made = copied(manifest)
        metadata = made.setdefault("metadata", {})
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{next(self._names):05x}"
        key = self._key(plural, made)
        if key[1:] in self._of(plural):
            raise Refusal(409, "AlreadyExists", f'{plural} "{metadata["name"]}" already exists')
        metadata["uid"] = f"uid-{self._next():04}"
        metadata["creationTimestamp"] = self.now
        metadata["generation"] = 1
        self._keep(key, made, dry_run=dry_run)
        return made

    def replace(self, plural: str, manifest: Object, *, dry_run: bool = False) -> Object:
        key = self._key(plural, manifest)
        current = self.get(plural, key[2], key[1])
        version = manifest["metadata"].get("resourceVersion")
        if version not in (None, current["metadata"]["resourceVersion"]):
            raise Refusal(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {plural} "{key[2]}": the object has been '
                "modified; please apply your changes to the latest version and try again",
            )
        return self._change(key, copied(manifest), dry_run=dry_run)

    def merge(self, plural: str, name: str, patch: Object, namespace: str = "") -> Object:
        """Apply a JSON merge patch (RFC 7386)."""
        current = self.get(plural, name, namespace)
        return self._change((plural, namespace, name), merged(current, patch))

    def apply(self, plural: str, manifest: Object, *, dry_run: bool = False) -> Object:
        """Apply server-side, as the only manager that there is: fields that it no longer sets go."""
        key = self._key(plural, manifest)
        current = self._of(plural).get(key[1:])
        if current is None:
            made = self.create(plural, manifest, dry_run=dry_run)
        else:
            made = copied(current)
            _apply(made, self._applied.get(key, {}), manifest)
            made = self._change(key, made, dry_run=dry_run)
        if not dry_run:
            self._applied[key] = copied(manifest)
        return made

    def delete(
        self, plural: str, name: str, namespace: str = "", *, uid: str | None = None
    ) -> None:
        """Delete an object; a pod that is bound to a node stays, marked, until its kubelet has
        ended it.
        """
        found = self.get(plural, name, namespace)
        if uid not in (None, found["metadata"]["uid"]):
            raise Refusal(409, "Conflict", f"the UID in the precondition ({uid}) is another one")
        if plural == "pods" and (found.get("spec") or {}).get("nodeName"):
            if "deletionTimestamp" not in found["metadata"]:
                found["metadata"]["deletionTimestamp"] = self.now
                self.touch(found)
            return
        self.remove(plural, name, namespace)

    def remove(self, plural: str, name: str, namespace: str = "") -> None:
        gone = self._of(plural).pop((namespace, name), None)
        if gone is not None and plural == "pods":
            self._collect(gone["metadata"]["uid"])
        self._applied.pop((plural, namespace, name), None)

    def _collect(self, owner: str) -> None:
        """Delete the Secrets of an owner that is gone, as the garbage collector does."""
        for key, one in list(self._of("secrets").items()):
            owners = one["metadata"].get("ownerReferences") or ()
            if any(each["uid"] == owner for each in owners):
                del self._of("secrets")[key]

    def touch(self, one: Object) -> None:
        """Give a new resourceVersion to an object that was changed in its place."""
        one["metadata"]["resourceVersion"] = str(self._next())

    def _next(self) -> int:
        self.version += 1
        return self.version

    def all(self) -> Iterator[tuple[Key, Object]]:
        """Yield every object, by plural, namespace and name."""
        for plural, some in self._objects.items():
            for (namespace, name), one in some.items():
                yield (plural, namespace, name), one

    def _of(self, plural: str) -> dict[tuple[str, str], Object]:
        return self._objects.setdefault(plural, {})

    def _key(self, plural: str, manifest: Object) -> Key:
        metadata = manifest["metadata"]
        namespaced = BY_PLURAL[plural].namespaced
        return plural, metadata.get("namespace", "") if namespaced else "", metadata["name"]

    def _change(self, key: Key, made: Object, *, dry_run: bool = False) -> Object:
        current = self._of(key[0])[key[1:]]
        for field in ("uid", "creationTimestamp", "generation", "resourceVersion"):
            made["metadata"][field] = current["metadata"][field]
        if made == current:
            return made
        if current.get("immutable") and any(
            made.get(field) != current.get(field) for field in ("data", "binaryData", "immutable")
        ):
            raise Refusal(422, "Invalid", f'{key[0]} "{key[2]}" is invalid: field is immutable')
        if key[0] in _GENERATED and made.get("spec") != current.get("spec"):
            made["metadata"]["generation"] += 1
        self._keep(key, made, dry_run=dry_run)
        return made

    def _keep(self, key: Key, made: Object, *, dry_run: bool) -> None:
        kind = BY_PLURAL[key[0]]
        made.setdefault("apiVersion", kind.api_version)
        made.setdefault("kind", kind.kind)
        self.touch(made)
        if not dry_run:
            self._of(key[0])[key[1:]] = made


def merged(current: Any, patch: Any) -> Any:
    """Return ``current`` with the merge patch applied (RFC 7386)."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _apply(current: Object, before: Object, wanted: Object) -> None:
    for key in before:
        if key not in wanted:
            current.pop(key, None)
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(current.get(key), dict):
            _apply(current[key], before.get(key) or {}, value)
        else:
            current[key] = copied(value)


Requirement = tuple[str, str, tuple[str, ...]]


@cache
def _label_requirements(selector: str) -> tuple[Requirement, ...]:
    """Return the requirements of ``a=b``, ``a!=b``, ``a``, ``!a`` and ``a in (b,c)``, with commas
    between.
    """
    found: list[Requirement] = []
    for one in filter(None, re.split(r",(?![^(]*\))", selector)):
        among = re.fullmatch(r"\s*(\S+) in \((.*)\)\s*", one)
        if among:
            words = tuple(word.strip() for word in among[2].split(","))
            found.append((among[1], "in", words))
        elif one.startswith("!"):
            found.append((one[1:], "absent", ()))
        else:
            key, operator, value = _parts(one)
            found.append((key, {"!=": "not in", "": "there"}.get(operator, "in"), (value,)))
    return tuple(found)


@cache
def _field_requirements(selector: str) -> tuple[tuple[tuple[str, ...], bool, str], ...]:
    parts = [_parts(one) for one in filter(None, selector.split(","))]
    return tuple((tuple(key.split(".")), op != "!=", value) for key, op, value in parts)


def _parts(requirement: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"([^=!]*)(!=|==|=|)(.*)", requirement.strip())
    assert found is not None, requirement
    return found[1], found[2], found[3]


def _has_label(labels: Object, requirement: Requirement) -> bool:
    key, operator, values = requirement
    if operator in ("there", "absent"):
        return (key in labels) == (operator == "there")
    return (labels.get(key) in values) == (operator == "in")


def _has_field(one: Object, path: tuple[str, ...], wanted: bool, value: str) -> bool:
    found: Any = one
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return (str(found or "") == value) == wanted

"""A cluster as far as its objects go: for what plans decide, not for how the API behaves."""

from __future__ import annotations

from typing import Any

from kubectl_selfhost.cluster.errors import Conflict
from kubectl_selfhost.cluster.kinds import Kind, kind_of


class Objects:
    """A stand-in for a Cluster; keeps objects by kind and name."""

    def __init__(self, *manifests: dict[str, Any]) -> None:
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        for manifest in manifests:
            self.put(manifest)

    def put(self, manifest: dict[str, Any]) -> None:
        self._objects[kind_of(manifest).plural, manifest["metadata"]["name"]] = manifest

    def find(self, kind: Kind, name: str, namespace: str) -> dict[str, Any] | None:
        found = self._objects.get((kind.plural, name))
        return dict(found) if found and found["metadata"]["namespace"] == namespace else None

    def list(
        self,
        kind: Kind,
        namespace: str,
        *,
        labels: str = "",
        fields: str = "",
    ) -> list[dict[str, Any]]:
        key, _, value = labels.partition("=")
        return [
            manifest
            for (plural, _), manifest in self._objects.items()
            if plural == kind.plural
            and manifest["metadata"]["namespace"] == namespace
            and (not key or manifest["metadata"].get("labels", {}).get(key) == value)
        ]

    def apply(self, manifest: dict[str, Any]) -> None:
        self.put(manifest)

    def replace(self, kind: Kind, manifest: dict[str, Any]) -> None:
        current = self._objects[kind.plural, manifest["metadata"]["name"]]
        if current["metadata"].get("resourceVersion") != manifest["metadata"].get(
            "resourceVersion"
        ):
            raise Conflict("changed", status=409)
        self.put(manifest)

    def delete(self, kind: Kind, name: str, namespace: str, *, uid: str | None = None) -> bool:
        found = self.find(kind, name, namespace)
        if found is None or uid not in (None, found["metadata"].get("uid")):
            return False
        return self._objects.pop((kind.plural, name), None) is not None

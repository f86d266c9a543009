"""Objects kept as an API server keeps them: names, resourceVersions, conflicts. Nothing else."""

from __future__ import annotations

from typing import Any

from fakes.bad_server import Reply, Request, status


class Store:
    """The answers for one collection and its objects; for ``Server.answer``."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self._version = 0

    def __call__(self, request: Request) -> Reply:
        if request.method == "POST":
            return self._create(request.json)
        name = request.path.partition("?")[0].rpartition("/")[2]
        current = self.objects.get(name)
        if request.method == "PATCH":  # server-side apply of whole objects
            return Reply(200 if current else 201, self.put(request.json))
        if request.method == "DELETE" and current is not None:
            return Reply(200, self.objects.pop(name))
        if current is None:
            return status(404, "NotFound", f'"{name}" not found')
        if request.method == "GET":
            return Reply(200, current)
        wanted = request.json["metadata"].get("resourceVersion")
        if wanted and wanted != current["metadata"]["resourceVersion"]:
            return status(409, "Conflict", "the object has been modified")
        return Reply(200, self.put(request.json))

    def _create(self, manifest: dict[str, Any]) -> Reply:
        if manifest["metadata"]["name"] in self.objects:
            return status(409, "AlreadyExists", "already exists")
        return Reply(201, self.put(manifest))

    def put(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self._version)}
        made = {**manifest, "metadata": metadata}
        self.objects[metadata["name"]] = made
        return made

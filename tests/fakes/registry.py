"""The images that a fake cluster's nodes can get, and what their programs print of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubectl_selfhost.names import QUESTION_LABELS

Container = dict[str, Any]
_FORMS = {"etcd": "etcd Version: {}", "coredns": "CoreDNS-{}"}
_FINE: dict[str, Any] = {"exitCode": 0, "reason": "Completed"}


def asks(pod: dict[str, Any]) -> bool:
    """Return whether a pod only prints the versions of its images."""
    return QUESTION_LABELS.items() <= (pod["metadata"].get("labels") or {}).items()


class Registry:
    """Each image is there, and its program is what its tag says, unless ``ends`` says otherwise.

    ``ends`` returns a container's state and its log, or None for the usual.
    """

    def __init__(self) -> None:
        self.ends: Callable[[str, Container], tuple[dict[str, Any], str] | None] = lambda *_: None
        self.logs: dict[tuple[str, str], str] = {}

    def status(self, node: str, pod: dict[str, Any]) -> dict[str, Any]:
        """Return the status of a pod that asks, once its containers have ended."""
        statuses = []
        for container in pod["spec"]["containers"]:
            name = container["name"]
            state, log = self.ends(node, container) or ({"terminated": _FINE}, _says(container))
            self.logs[pod["metadata"]["name"], name] = log
            statuses.append({"name": name, "restartCount": 0, "ready": False, "state": state})
        return {"phase": "Succeeded", "containerStatuses": statuses}


def _says(container: Container) -> str:
    tag = container["image"].rpartition(":")[2]
    name = container["name"]
    plain = tag.removeprefix("v").partition("-")[0] if name in _FORMS else tag
    return _FORMS.get(name, "Kubernetes {}").format(plain)

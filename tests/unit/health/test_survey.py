"""What the status page asks for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import apiobjects as api

from kubectl_selfhost.cluster.kinds import Kind
from kubectl_selfhost.controlplane.component import COMPONENTS, CONTROLLER_MANAGER
from kubectl_selfhost.health import survey as surveys


class Seen:
    """A cluster that answers what the survey asks, and notes each question about pods."""

    context = server = "test"
    transport = SimpleNamespace(login=SimpleNamespace(certificate=b""))

    def __init__(self, pods: list[dict], leases: list[dict]) -> None:
        self._pods, self._leases = pods, leases
        self.asked: list[str] = []

    def list(
        self, kind: Kind, _namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[dict]:
        if kind.plural == "pods":
            self.asked.append(labels or fields)
            return [pod for pod in self._pods if self._matches(pod, labels, fields)]
        if kind.plural == "leases":
            return [one for one in self._leases if one["metadata"]["namespace"] == _namespace]
        return [api.node()] if kind.plural == "nodes" else []

    def find(self, kind: Kind, name: str, namespace: str) -> dict | None:
        found = [
            one
            for one in (self._leases if kind.plural == "leases" else [])
            if (one["metadata"]["name"], one["metadata"]["namespace"]) == (name, namespace)
        ]
        return found[0] if found else None

    def raw(self, *_: str) -> tuple[int, bytes]:
        return 200, b'{"gitVersion": "v1.37.2"}'

    @staticmethod
    def _matches(pod: dict, labels: str, fields: str) -> bool:
        if fields:
            return bool(fields == f"spec.nodeName={pod['spec']['nodeName']}")
        key, _, value = labels.partition("=")
        return bool(pod["metadata"]["labels"].get(key) == value)


def survey(pods: list[dict], leases: list[dict], monkeypatch: Any) -> tuple[Seen, Any]:
    monkeypatch.setattr("kubectl_selfhost.cluster.certificate.served_certificate", lambda _: b"")
    for one in leases:
        one["metadata"].setdefault("namespace", "kube-system")
    seen = Seen(pods, leases)
    return seen, surveys.survey(seen)  # type: ignore[arg-type]


def test_static_pods_without_labels_are_seen(monkeypatch):
    pods = [api.static_pod(c) for c in COMPONENTS]
    pods[0]["metadata"]["labels"] = {}
    seen, found = survey(pods, api.leases(), monkeypatch)
    assert f"spec.nodeName={api.NODE}" in seen.asked
    assert found.verdict.healthy


def test_a_node_is_asked_for_its_pods_only_where_one_is_missing(monkeypatch):
    seen, found = survey([api.static_pod(c) for c in COMPONENTS], api.leases(), monkeypatch)
    assert not any("nodeName" in question for question in seen.asked)
    assert found.verdict.healthy


def test_a_lease_in_another_namespace_is_read(monkeypatch):
    pods = [api.static_pod(c) for c in COMPONENTS]
    flags = ["--leader-elect-resource-name=my", "--leader-elect-resource-namespace=own"]
    pods[1]["spec"]["containers"][0]["command"] = ["kube-controller-manager", *flags]
    own = api.lease("my", "a_1")
    own["metadata"]["namespace"] = "own"
    _, found = survey(pods, [*api.leases(), own], monkeypatch)
    assert found.control_plane.leaders[CONTROLLER_MANAGER.name].holder == "a_1"

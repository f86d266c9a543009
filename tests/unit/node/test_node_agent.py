"""Orders to the agent on a node, where its container is away for a moment."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from kubectl_selfhost.cluster.connection.exec import ExecResult
from kubectl_selfhost.cluster.errors import ApiError, Forbidden
from kubectl_selfhost.node import agent
from kubectl_selfhost.node.agent import AgentError, AgentGone, NodeAgent
from kubectl_selfhost.node.orders import Placement, as_lines
from kubectl_selfhost.node.pod import NodeTarget

TARGET = NodeTarget(
    "cp-1", "amd64", "registry.k8s.io/kube-apiserver:v1.37.2", "/etc/kubernetes/manifests"
)
POD: dict[str, Any] = {"metadata": {"name": "agent"}, "status": {}}
AWAY = ApiError("no container", status=500, reason="InternalError")
ANSWER = ExecResult(0, json.dumps({"state": "idle"}), "")
KILLED = ExecResult(137, "", "")


class Cluster:
    """A cluster that gives one result after the other to each order, and the last one again and
    again.
    """

    patience = 0.0

    def __init__(self, *results: ExecResult | ApiError, pod: dict[str, Any] | None = POD) -> None:
        self._results = list(results)
        self._pod = pod
        self.orders = 0
        self.words: list[str] = []
        self.stdin = b""

    def exec(self, pod: str, container: str, words: list[str], **more: Any) -> ExecResult:
        self.orders += 1
        self.words, self.stdin = words, more["stdin"]
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        if isinstance(result, ApiError):
            raise result
        return result

    def find(self, *_: object) -> dict[str, Any] | None:
        return self._pod


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "_RESTARTED", 0.3)
    monkeypatch.setattr(agent, "_AGAIN", 0.01)


def ordered(cluster: Cluster) -> dict:
    return NodeAgent(cast(Any, cluster), TARGET).order("status")


@pytest.mark.parametrize("trouble", [AWAY, KILLED])
def test_an_order_is_given_again_once_the_container_is_back(trouble: ExecResult | ApiError):
    cluster = Cluster(trouble, trouble, ANSWER)
    assert ordered(cluster) == {"state": "idle"}
    assert cluster.orders == 3


def test_a_container_that_does_not_come_back_is_told():
    with pytest.raises(ApiError, match="no container"):
        ordered(Cluster(AWAY))
    with pytest.raises(AgentError, match="exit code 137"):
        ordered(Cluster(KILLED))


@pytest.mark.parametrize("pod", [None, {"metadata": {"deletionTimestamp": "now"}, "status": {}}])
@pytest.mark.parametrize("trouble", [AWAY, KILLED])
def test_where_the_pod_is_gone_nobody_waits(trouble: ExecResult | ApiError, pod: dict | None):
    cluster = Cluster(trouble, pod=pod)
    with pytest.raises(AgentGone):
        ordered(cluster)
    assert cluster.orders == 1


def test_what_is_refused_is_not_asked_for_again():
    cluster = Cluster(Forbidden("you may not", status=403))
    with pytest.raises(Forbidden):
        ordered(cluster)
    assert cluster.orders == 1


def placed(content: bytes) -> Cluster:
    """Return the cluster after an order to place a manifest."""
    cluster = Cluster(ANSWER)
    placement = Placement("kube-scheduler", "kube-scheduler.yaml", content, port=10259, limit=60)
    NodeAgent(cast(Any, cluster), TARGET).place(placement)
    return cluster


def test_an_order_is_lines_and_the_words_say_nothing_of_it():
    cluster = placed(b"kind: Pod\n")
    assert cluster.words == [TARGET.program, "order"]
    assert cluster.stdin.decode().splitlines() == [
        "order=place",
        "dir=/host/etc/kubernetes/kubectl-selfhost",
        "manifests=/host/etc/kubernetes/manifests",
        "component=kube-scheduler",
        "file=kube-scheduler.yaml",
        "content=6b696e643a20506f640a",
        "sha256=af0e5d10555f1d22187ec68b0d9945d404e48ef4fd0ab333f0d6e7cd4c0db89b",
        "port=10259",
        "limit=60",
        "end=1",
    ]


def test_a_list_is_a_line_for_each_and_a_text_stays_one_line():
    lines = as_lines(uids=["a", "b"], none=[], reason="two\nend=1\n", yes=True, no=False)
    assert lines == b"uids=a\nuids=b\nreason=two end=1 \nyes=1\nno=0\nend=1\n"


@pytest.mark.parametrize(
    "content", [bytes(range(256)), "\u00e4\u20ac\U0001f600\n".encode(), b"\xf0\x9f\x98", b""]
)
def test_content_keeps_its_bytes(content: bytes):
    lines = dict(line.split("=") for line in placed(content).stdin.decode().splitlines())
    sent = lines["content"]
    entry = {"name": "a.yaml", "mode": "0600", "sha256": "0" * 64, "content": sent}
    listed = Cluster(ExecResult(0, json.dumps({"files": [entry]}), ""))
    (file,) = NodeAgent(cast(Any, listed), TARGET).manifests()
    assert file.content == content

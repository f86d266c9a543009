from __future__ import annotations

from fakes.bad_server import Reply, Request, Server

from kubectl_selfhost.cluster.access import Access, denied
from kubectl_selfhost.cluster.client import Cluster


def only(verb: str, reason: str = "") -> object:
    def answer(request: Request) -> Reply:
        wanted = request.json["spec"]["resourceAttributes"]["verb"]
        return Reply(201, {"status": {"allowed": wanted == verb, "reason": reason}})

    return answer


def test_what_is_denied_comes_back_in_order(server: Server, cluster: Cluster) -> None:
    server.answer = only("get", "RBAC says no \x1b[1m")  # type: ignore[assignment]
    wanted = [Access(verb, "", "pods") for verb in ("create", "get", "delete", "list")]
    found = denied(cluster, wanted)
    assert [one.access.verb for one in found] == ["create", "delete", "list"]
    assert str(found[0]) == "create pods: RBAC says no ^[[1m"


def test_nothing_denied_is_an_empty_list(server: Server, cluster: Cluster) -> None:
    server.answer = only("get")  # type: ignore[assignment]
    assert denied(cluster, [Access("get", "", "pods")]) == []


def test_the_question_holds_what_was_given(server: Server, cluster: Cluster) -> None:
    server.answer = only("get")  # type: ignore[assignment]
    denied(cluster, [Access("get", "apps", "daemonsets", namespace="n", name="d")])
    assert server.requests[0].json["spec"]["resourceAttributes"] == {
        "verb": "get",
        "group": "apps",
        "resource": "daemonsets",
        "namespace": "n",
        "name": "d",
    }


def test_many_are_asked_at_once(server: Server, cluster: Cluster) -> None:
    import time

    server.answer = lambda _: Reply(201, {"status": {"allowed": True}}, after=0.25)
    began = time.monotonic()
    denied(cluster, [Access("get", "", f"r{number}") for number in range(24)])
    assert time.monotonic() - began < 4.5  # one by one: 6


def test_an_access_reads_like_kubectl() -> None:
    access = Access("create", "", "pods", subresource="exec", namespace="kube-system")
    assert str(access) == "create pods/exec in kube-system"
    assert str(Access("get", "apps", "daemonsets", name="d")) == 'get daemonsets.apps "d"'

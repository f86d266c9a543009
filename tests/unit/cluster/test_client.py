from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from fakes.bad_server import Certificates, Reply, Request, Server, TokenLogin, status

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection import patience
from kubectl_selfhost.cluster.connection.transport import Transport
from kubectl_selfhost.cluster.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    Rejected,
    Unauthorized,
    Unreachable,
)
from kubectl_selfhost.cluster.kinds import (
    CONFIGMAPS,
    DAEMONSETS,
    NODES,
    PODS,
    SELF_SUBJECT_ACCESS_REVIEWS,
)
from kubectl_selfhost.errors import SelfhostError

Act = Callable[[Cluster], object]

MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "kube-system"},
    "data": {"x": "1"},
}
ABSENT = status(404, "NotFound", 'pods "p" not found')
MAY_NOT = status(403, "Forbidden", 'pods is forbidden: User "jane" cannot list resource "pods"')
EXISTS = status(409, "AlreadyExists", 'configmaps "a" already exists')


def test_get_asks_the_right_path(server: Server, cluster: Cluster) -> None:
    server.answers = [Reply(200, {"kind": "Pod"})]
    assert cluster.get(PODS, "p", "kube-system") == {"kind": "Pod"}
    assert server.requests[0].path == "/api/v1/namespaces/kube-system/pods/p"


def test_a_group_has_its_own_path(server: Server, cluster: Cluster) -> None:
    cluster.get(DAEMONSETS, "d", "x")
    assert server.requests[0].path == "/apis/apps/v1/namespaces/x/daemonsets/d"


def test_a_name_cannot_leave_its_place_in_the_path(server: Server, cluster: Cluster) -> None:
    cluster.get(NODES, "../pods?x=1")
    assert server.requests[0].path == "/api/v1/nodes/..%2Fpods%3Fx%3D1"


def test_the_token_is_sent(server: Server, cluster: Cluster) -> None:
    cluster.get(NODES, "n")
    assert server.requests[0].header("Authorization") == "Bearer s3cret-t0ken"


def test_another_api_server_is_asked_at_its_own_address(
    server: Server, cluster: Cluster, certificates: Certificates
) -> None:
    other = Server(certificates)
    try:
        other.answers = [Reply(200, {"kind": "Node"})]
        there = cluster.at(f"https://127.0.0.1:{other.port}", timeout=2.0)
        assert there.get(NODES, "n") == {"kind": "Node"}
        assert other.requests[0].header("Authorization") == "Bearer s3cret-t0ken"
        assert server.requests == []
    finally:
        other.stop()
    with pytest.raises(Unreachable, match=str(other.port)):
        there.get(NODES, "n")


def test_absent_is_not_found(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: ABSENT
    with pytest.raises(NotFound, match='get pods "p" in kube-system: pods "p" not found'):
        cluster.get(PODS, "p", "kube-system")


def test_find_gives_none_for_absent(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: ABSENT
    assert cluster.find(PODS, "p", "kube-system") is None


def test_list_fills_in_what_the_api_leaves_out(server: Server, cluster: Cluster) -> None:
    server.answers = [Reply(200, {"items": [{"metadata": {"name": "p"}}], "metadata": {}})]
    [pod] = cluster.list(PODS, labels="a=b", fields="spec.nodeName=n")
    assert (pod["apiVersion"], pod["kind"], pod["metadata"]["name"]) == ("v1", "Pod", "p")
    assert server.requests[0].path == (
        "/api/v1/pods?limit=500&labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn"
    )


def test_list_reads_all_pages(server: Server, cluster: Cluster) -> None:
    first = {"items": [{"n": 1}], "metadata": {"continue": "more"}}
    server.answers = [Reply(200, first), Reply(200, {"items": [{"n": 2}], "metadata": {}})]
    assert [item["n"] for item in cluster.list(NODES)] == [1, 2]
    assert server.requests[1].path.endswith("continue=more")


def test_list_of_nothing_is_empty(server: Server, cluster: Cluster) -> None:
    server.answers = [Reply(200, {"items": None, "metadata": {}})]
    assert cluster.list(NODES) == []


def test_apply_is_server_side(server: Server, cluster: Cluster) -> None:
    cluster.apply(MAP, dry_run=True)
    request = server.requests[0]
    assert (request.method, request.json) == ("PATCH", MAP)
    assert request.header("Content-Type") == "application/apply-patch+yaml"
    for part in ("fieldManager=kubectl-selfhost", "force=true", "dryRun=All"):
        assert part in request.path


def test_patch_is_a_merge_patch(server: Server, cluster: Cluster) -> None:
    cluster.patch(NODES, "n", {"metadata": {"labels": {"a": None}}})
    assert server.requests[0].header("Content-Type") == "application/merge-patch+json"
    assert server.requests[0].json == {"metadata": {"labels": {"a": None}}}


def test_delete_says_how(server: Server, cluster: Cluster) -> None:
    assert cluster.delete(PODS, "p", "x", grace_seconds=0, propagation="Background", uid="u")
    sent = server.requests[0].json
    assert sent["gracePeriodSeconds"] == 0
    assert sent["propagationPolicy"] == "Background"
    assert sent["preconditions"] == {"uid": "u"}


def test_deleting_what_is_absent_is_false(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: ABSENT
    assert cluster.delete(PODS, "p", "x") is False


def test_deleting_what_is_another_one_now_is_false(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: status(409, "Conflict", "Precondition failed: UID in precondition")
    assert cluster.delete(PODS, "p", "x", uid="u") is False


def test_raw_gives_status_and_bytes(server: Server, cluster: Cluster) -> None:
    server.answers = [Reply(200, b"ok")]
    assert cluster.raw("GET", "/readyz", query={"verbose": ""}) == (200, b"ok")
    assert server.requests[0].path == "/readyz?verbose="


def test_raw_raises_for_error_statuses(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: Reply(500, b"[-]etcd failed: reason withheld\nreadyz check failed")
    with pytest.raises(ApiError, match="failing checks: etcd "):
        cluster.raw("GET", "/readyz")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (MAY_NOT, Forbidden),
        (EXISTS, AlreadyExists),
        (status(401, "Unauthorized", "Unauthorized"), Unauthorized),
        (status(409, "Conflict", "the object has been modified"), Conflict),
        (status(422, "Invalid", "spec.x: Required value"), Rejected),
        (status(400, "BadRequest", "strict decoding error: unknown field"), Rejected),
        (status(403, "Forbidden", 'pods "p" is forbidden: violates PodSecurity'), Rejected),
        (
            status(403, "Forbidden", "pods is forbidden: not yet ready to handle request"),
            Unreachable,
        ),
        (status(500, "InternalError", "failed to create typed patch object (x)"), Rejected),
        (status(500, "InternalError", "etcdserver: request timed out"), Unreachable),
        (status(503, "ServiceUnavailable", "apiserver not ready"), Unreachable),
        (status(429, "TooManyRequests", "too many requests"), Unreachable),
        (Reply(502, b"<html>Bad Gateway</html>"), Unreachable),
        (Reply(403, b"<html>the proxy says no</html>"), Forbidden),
    ],
)
def test_each_answer_has_its_error(
    server: Server, cluster: Cluster, reply: Reply, kind: type[ApiError]
) -> None:
    server.answer = lambda _: reply
    with pytest.raises(kind) as caught:
        cluster.get(PODS, "p", "x")
    assert type(caught.value) is kind
    assert caught.value.status == reply.status


def test_forbidden_says_who_may_not_do_what(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: MAY_NOT
    with pytest.raises(Forbidden, match=r'You may not list pods in x: .*User "jane"') as caught:
        cluster.list(PODS, "x")
    assert "docs/permissions.md" in caught.value.hint


def test_escapes_from_the_api_do_not_reach_a_terminal(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: status(422, "Invalid", "a\x1b[31mred\x07 \u202eabc")
    with pytest.raises(Rejected) as caught:
        cluster.get(PODS, "p", "x")
    assert "a^[[31mred^G <U+202E>abc" in caught.value.message


def test_what_is_no_api_server_is_said_so(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: Reply(200, b"<html>Please log in</html>")
    with pytest.raises(ApiError, match="no Kubernetes API server"):
        cluster.get(NODES, "n")


def test_without_patience_an_error_comes_at_once(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: status(503, "ServiceUnavailable", "not now")
    with pytest.raises(Unreachable):
        cluster.get(NODES, "n")
    assert len(server.requests) == 1


PASSING = [
    status(429, "TooManyRequests", "busy"),
    status(500, "InternalError", "panic"),
    status(502, "BadGateway", "from a proxy"),
    status(503, "ServiceUnavailable", "error trying to reach service: use of closed connection"),
    status(504, "Timeout", "request did not complete"),
]


@pytest.fixture
def patient_reader(transport: Transport) -> Cluster:
    """Return a cluster as a run has it outside any hand-over."""
    return Cluster(transport, timeout=2.0)


@pytest.mark.parametrize("passing", PASSING)
def test_what_only_reads_is_tried_again(
    server: Server, patient_reader: Cluster, passing: Reply
) -> None:
    server.answers = [passing, Reply(200, {}), Reply(200, b"{}")]
    path = "/api/v1/nodes/n/proxy/configz"
    assert patient_reader.raw("GET", path) == (200, b"{}")
    assert [one.path for one in server.requests] == [path, "/version", path]


def test_a_list_is_tried_again_where_connections_are_torn(
    server: Server, patient_reader: Cluster
) -> None:
    torn = [Reply(reset=True)] * 2  # the transport's own second try is torn, too
    server.answers = [*torn, Reply(200, {}), Reply(200, {"items": []})]
    assert patient_reader.list(NODES) == []


def test_a_dry_run_and_a_question_are_tried_again(server: Server, patient_reader: Cluster) -> None:
    server.answers = [PASSING[3], Reply(200, {}), Reply(201, MAP)] * 2
    patient_reader.create(CONFIGMAPS, MAP, dry_run=True)
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    patient_reader.create(SELF_SUBJECT_ACCESS_REVIEWS, {**review, "metadata": {}})
    assert len(server.requests) == 6


@pytest.mark.parametrize("passing", PASSING)
def test_what_writes_is_not_tried_again(
    server: Server, patient_reader: Cluster, passing: Reply
) -> None:
    server.answers = [passing]
    with pytest.raises(ApiError):
        patient_reader.create(CONFIGMAPS, MAP)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_told_at_once(
    server: Server, patient_reader: Cluster
) -> None:
    server.stop()
    began = time.monotonic()
    with pytest.raises(Unreachable, match="refused"):
        patient_reader.get(NODES, "n")
    assert time.monotonic() - began < 5


def test_a_read_that_fails_for_good_is_told_with_its_reason(
    server: Server, transport: Transport
) -> None:
    server.answer = lambda _: PASSING[3]
    cluster = Cluster(transport, reading_patience=1.0)
    with pytest.raises(Unreachable, match=r"use of closed connection .*for 1 s now"):
        cluster.get(NODES, "n")


def test_patience_outlasts_errors(server: Server, cluster: Cluster) -> None:
    server.answers = [
        Reply(reset=True),
        Reply(reset=True),
        Reply(200, {}),  # to /version
        status(500, "InternalError", "etcdserver: leader changed"),
        Reply(200, {}),  # to /version
        Reply(200, {"kind": "Node"}),
    ]
    with cluster.waiting(10):
        assert cluster.get(NODES, "n") == {"kind": "Node"}


def test_patience_ends(server: Server, cluster: Cluster) -> None:
    server.stop()
    began = time.monotonic()
    with cluster.waiting(0.7), pytest.raises(Unreachable, match="for 1 s now"):
        cluster.get(NODES, "n")
    assert 0.7 <= time.monotonic() - began < 5


def test_patience_is_for_the_block_only(cluster: Cluster) -> None:
    with cluster.waiting(60):
        assert cluster.patience == 60
    assert cluster.patience == 0


def test_a_refusal_is_not_believed_at_once(server: Server, cluster: Cluster) -> None:
    server.answers = [MAY_NOT, Reply(200, {}), Reply(200, {"kind": "Node"})]
    with cluster.waiting(10):
        assert cluster.get(NODES, "n") == {"kind": "Node"}


def test_a_refusal_that_stays_is_believed_in_the_end(
    server: Server, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_BELIEVE_REFUSAL_AFTER", 1.0)
    server.answer = lambda request: Reply(200, {}) if request.path == "/version" else MAY_NOT
    began = time.monotonic()
    with cluster.waiting(60), pytest.raises(Forbidden):
        cluster.get(NODES, "n")
    assert 0.9 < time.monotonic() - began < 15


def test_not_found_is_believed_at_once(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: ABSENT
    with cluster.waiting(60), pytest.raises(NotFound):
        cluster.get(NODES, "n")
    assert len(server.requests) == 1


def test_retry_after_is_obeyed(server: Server, cluster: Cluster) -> None:
    busy = status(429, "TooManyRequests", "busy")
    busy.headers["Retry-After"] = "1"
    server.answers = [busy, Reply(200, {"kind": "Node"})]
    began = time.monotonic()
    with cluster.waiting(10):
        cluster.get(NODES, "n")
    assert time.monotonic() - began > 0.9
    assert len(server.requests) == 2


def test_an_outage_is_told_once_at_each_end(server: Server, cluster: Cluster) -> None:
    told: list[str] = []
    server.answers = [Reply(503, b"", close=True)] * 4
    with cluster.waiting(10, on_outage=told.append):
        cluster.get(NODES, "n")
        cluster.get(NODES, "n")
    assert len(told) == 2
    assert "is away" in told[0]
    assert "is back after" in told[1]


def test_a_create_that_got_through_unanswered_is_a_success(
    server: Server, cluster: Cluster
) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "POST":
            torn = sum(asked.method == "POST" for asked in server.requests) == 1
            return Reply(reset=True) if torn else EXISTS
        return Reply(200, MAP)

    server.answer = answer
    with cluster.waiting(10):
        assert cluster.create(CONFIGMAPS, MAP) == MAP


def test_a_create_that_meets_another_is_already_exists(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: EXISTS
    with cluster.waiting(10), pytest.raises(AlreadyExists):
        cluster.create(CONFIGMAPS, MAP)


def test_a_replace_that_got_through_unanswered_is_a_success(
    server: Server, cluster: Cluster
) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            torn = sum(asked.method == "PUT" for asked in server.requests) == 1
            return Reply(reset=True) if torn else status(409, "Conflict", "modified")
        return Reply(200, MAP)

    server.answer = answer
    with cluster.waiting(10):
        assert cluster.replace(CONFIGMAPS, MAP) == MAP


def test_a_replace_that_somebody_else_won_is_a_conflict(server: Server, cluster: Cluster) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            torn = sum(asked.method == "PUT" for asked in server.requests) == 1
            return Reply(reset=True) if torn else status(409, "Conflict", "modified")
        return Reply(200, {**MAP, "data": {"x": "2"}})

    server.answer = answer
    with cluster.waiting(10), pytest.raises(Conflict):
        cluster.replace(CONFIGMAPS, MAP)


def test_a_delete_that_got_through_unanswered_is_true(server: Server, cluster: Cluster) -> None:
    server.answers = [Reply(reset=True), Reply(200, {}), ABSENT]
    with cluster.waiting(10):
        assert cluster.delete(PODS, "p", "x") is True


def test_the_end_of_an_outage_is_noticed_at_once(server: Server, cluster: Cluster) -> None:
    away_until = time.monotonic() + 1.0

    def answer(_: Request) -> Reply:
        return Reply(reset=True) if time.monotonic() < away_until else Reply(200, {})

    server.answer = answer
    with cluster.waiting(10):
        cluster.get(NODES, "n")
    assert time.monotonic() - away_until < 1.5  # 0.3 on a machine that is at rest


def test_a_hanging_api_is_knocked_at_with_a_short_limit(server: Server, cluster: Cluster) -> None:
    server.answers = [Reply(503, b""), Reply(200, {}, after=9.0)]
    began = time.monotonic()
    with cluster.waiting(10):
        cluster.get(NODES, "n")
    assert time.monotonic() - began < 8


def test_logs_are_fit_to_be_shown(server: Server, cluster: Cluster) -> None:
    server.answers = [Reply(200, b"one\n\x1b[2Jtwo\n")]
    assert cluster.logs("p", "c", previous=True) == "one\n^[[2Jtwo\n"
    assert server.requests[0].path == (
        "/api/v1/namespaces/kube-system/pods/p/log?container=c&tailLines=20&previous=true"
    )


def test_an_api_below_a_path_is_reached(server: Server, certificates: Certificates) -> None:
    login = TokenLogin(server.port, ca=certificates.ca, path="/k8s/clusters/c-1/")
    Cluster(Transport(login)).get(NODES, "n")
    assert server.requests[0].path == "/k8s/clusters/c-1/api/v1/nodes/n"


def test_bytes_are_sent_as_they_are(server: Server, cluster: Cluster) -> None:
    cluster.raw("POST", "/x", body=b"\x00\xff")
    assert server.requests[0].body == b"\x00\xff"
    cluster.raw("POST", "/x", body={"a": 1})
    assert json.loads(server.requests[1].body) == {"a": 1}


class NotNow(SelfhostError):
    """This run may not act."""


@pytest.mark.parametrize(
    "act",
    [
        lambda cluster: cluster.get(NODES, "n"),
        lambda cluster: cluster.apply(MAP),
        lambda cluster: cluster.delete(CONFIGMAPS, "a", "kube-system"),
        lambda cluster: cluster.exec("p", "c", ["order"]),
    ],
)
def test_who_may_not_act_sends_nothing(server: Server, cluster: Cluster, act: Act) -> None:
    def refuse() -> None:
        raise NotNow("not now")

    with cluster.acting_while(refuse), pytest.raises(NotNow):
        act(cluster)
    assert server.requests == []
    cluster.get(NODES, "n")
    assert len(server.requests) == 1


def test_it_is_asked_before_each_try(server: Server, cluster: Cluster) -> None:
    asked: list[int] = []
    server.answers = [PASSING[3], Reply(200, {}), Reply(200, {"kind": "Node"})]
    with cluster.waiting(10), cluster.acting_while(lambda: asked.append(len(server.requests))):
        cluster.get(NODES, "n")
    assert asked == [0, 2]


def test_a_copy_with_another_patience_is_not_guarded(server: Server, cluster: Cluster) -> None:
    def refuse() -> None:
        raise NotNow("not now")

    with cluster.acting_while(refuse):
        cluster.with_patience(0.0).get(NODES, "n")

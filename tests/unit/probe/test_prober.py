from __future__ import annotations

import time

import pytest
from fakes.bad_server import Reply, Request, Server, status

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.probe.prober import Prober
from kubectl_selfhost.probe.sightings import OK, ProbeReport, Sample, summarise


def test_each_probe_is_a_new_connection_with_our_credentials(
    server: Server, cluster: Cluster
) -> None:
    with Prober(cluster, rate=20) as prober:
        time.sleep(0.5)
    report = prober.report()
    assert report.requests == server.connections == len(server.requests)
    assert report.requests >= 3
    assert report.failures == {}
    assert server.requests[0].header("Authorization") == "Bearer s3cret-t0ken"


def test_a_slow_answer_does_not_hold_up_the_next(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: Reply(200, {}, after=0.4)
    with Prober(cluster, rate=20) as prober:
        time.sleep(0.5)
    report = prober.report()
    assert report.requests >= 4
    assert min(sample.seconds for sample in report.samples) > 0.39


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (status(403, "Forbidden", "no"), "http-403"),
        (status(500, "InternalError", "no"), "http-500"),
        (Reply(503, {}, {"Retry-After": "1"}), "retry-after"),
        (Reply(429, {}, {"Retry-After": "1"}), "retry-after"),
        (Reply(503, {}), "http-503"),
        (Reply(200, {}, after=1.0), "timeout"),
        (Reply(reset=True), "reset"),
    ],
)
def test_failures_are_counted_by_kind(
    server: Server, cluster: Cluster, reply: Reply, kind: str
) -> None:
    server.answer = lambda _: reply
    with Prober(cluster, rate=20, timeout=0.3 if kind == "timeout" else 20) as prober:
        time.sleep(0.2)
    report = prober.report()
    found = dict(report.failures)
    if kind == "reset":  # what a torn TLS connection looks like depends on who was quicker
        found["reset"] = found.pop("reset", 0) + found.pop("closed", 0)
    assert found == {kind: report.requests}
    assert report.failed == (0 if kind == "retry-after" else report.requests)


def test_nobody_listening_is_refused(server: Server, cluster: Cluster) -> None:
    server.stop()
    with Prober(cluster, rate=20) as prober:
        time.sleep(0.2)
    report = prober.report()
    assert report.failures == {"refused": report.requests}
    assert report.longest_gap == pytest.approx(report.ended - report.started)


def test_absent_is_an_answer(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: status(404, "NotFound", "no")
    with Prober(cluster, rate=20) as prober:
        time.sleep(0.1)
    report = prober.report()
    assert report.requests == len(server.requests) > 0
    assert report.failures == {}


def test_a_gap_is_measured(server: Server, cluster: Cluster) -> None:
    began = time.monotonic()

    def answer(_: Request) -> Reply:
        away = 0.5 < time.monotonic() - began < 1.3
        return Reply(reset=True) if away else Reply(200, {})

    server.answer = answer
    with Prober(cluster, rate=20) as prober:
        time.sleep(1.8)
    assert 0.7 < prober.report().longest_gap < 1.7


def report(*samples: tuple[float, float, str], seconds: float) -> ProbeReport:
    return summarise([Sample(*sample) for sample in samples], started=0.0, seconds=seconds)


def test_the_gap_is_between_good_answers_as_they_arrive() -> None:
    seen = report(
        (0.0, 0.1, OK), (0.5, 0.1, "refused"), (1.0, 0.5, OK), (1.5, 0.1, OK), seconds=2.0
    )
    assert seen.longest_gap == pytest.approx(1.4)


def test_the_start_and_the_end_bound_a_gap() -> None:
    assert report((0.9, 0.1, OK), seconds=3.0).longest_gap == pytest.approx(2.0)
    assert report(seconds=3.0).longest_gap == pytest.approx(3.0)


def test_a_report_can_be_had_meanwhile(server: Server, cluster: Cluster) -> None:
    with Prober(cluster, rate=20) as prober:
        time.sleep(0.3)
        assert prober.report().requests >= 1

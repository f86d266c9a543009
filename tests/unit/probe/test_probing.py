"""Probes of several kinds side by side, against a server that keeps a ConfigMap and serves watches."""

from __future__ import annotations

import time

import pytest
from fakes.bad_server import Reply, Server
from fakes.watch_server import WatchServer

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.probe import loops
from kubectl_selfhost.probe.prober import EVERY_KIND, Prober
from kubectl_selfhost.probe.sightings import CONNECT, ENDPOINTS, NOT_SENT, READ, READY, WATCH, WRITE


@pytest.fixture
def api(server: Server) -> WatchServer:
    return WatchServer(server)


def test_all_kinds_see_a_healthy_api(api: WatchServer, cluster: Cluster) -> None:
    with Prober(cluster, kinds=EVERY_KIND) as prober:
        time.sleep(1.5)
    seen = prober.report()
    assert set(seen.kinds) == {CONNECT, READ, WRITE, WATCH, READY, ENDPOINTS}
    assert seen.spotless, (seen.failures, seen.watch, seen.endpoints_empty)
    assert seen.watch is not None
    assert seen.watch.events >= 5
    assert (seen.watch.lost, dict(seen.watch.ended)) == (0, {})
    assert seen.kinds[READ].requests >= 10


def test_our_configmap_is_gone_afterwards(api: WatchServer, cluster: Cluster) -> None:
    with Prober(cluster, kinds=[WRITE]) as prober:
        time.sleep(0.5)
        assert [name.startswith("kubectl-selfhost-probe-") for name in api.store.objects] == [True]
        labels = next(iter(api.store.objects.values()))["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "kubectl-selfhost"
    assert (api.store.objects, prober.leftover) == ({}, "")


def test_our_configmap_is_gone_after_ctrl_c(api: WatchServer, cluster: Cluster) -> None:
    def interrupted() -> None:
        with Prober(cluster, kinds=[WRITE]):
            time.sleep(0.3)
            assert len(api.store.objects) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert api.store.objects == {}


def test_a_kept_connection_is_one_connection(
    api: WatchServer, server: Server, cluster: Cluster
) -> None:
    with Prober(cluster, kinds=[READ]):
        before = server.connections
        time.sleep(0.8)
        assert server.connections - before <= 1


def test_a_torn_kept_connection_costs_the_request_and_no_more(
    api: WatchServer, server: Server, cluster: Cluster
) -> None:
    with Prober(cluster, kinds=[READ]) as prober:
        time.sleep(0.3)
        server.answers = [Reply(reset=True)]
        time.sleep(0.5)
    seen = prober.report()
    assert seen.failed == 1
    assert set(seen.failures) <= {"reset", "closed"}
    assert seen.requests >= 6


def test_a_put_off_write_is_no_failure(api: WatchServer, server: Server, cluster: Cluster) -> None:
    with Prober(cluster, kinds=[WRITE]) as prober:
        time.sleep(0.3)
        server.answers = [Reply(503, {}, {"Retry-After": "1"})]
        time.sleep(0.5)
    seen = prober.report()
    assert (dict(seen.failures), seen.failed, seen.spotless) == ({"retry-after": 1}, 0, True)
    assert "retry-after" in seen.slots


def test_who_waits_for_an_answer_asks_nothing_meanwhile(server: Server, cluster: Cluster) -> None:
    with Prober(cluster, kinds=[READ]) as prober:
        time.sleep(0.3)
        server.answers = [Reply(200, {}, after=1.0)]
        time.sleep(1.2)
    slow = [s for s in prober.report().samples if s.seconds > 0.25]
    assert len(slow) == 1
    assert prober.report().kinds[READ].longest_gap > 0.9


@pytest.mark.parametrize("order", ["end", "tear", "expire"])
def test_a_watch_that_ends_goes_on_and_loses_nothing(
    api: WatchServer, cluster: Cluster, order: str
) -> None:
    with Prober(cluster, kinds=[WRITE, WATCH]) as prober:
        time.sleep(0.6)
        api.order(order)
        time.sleep(1.2)
    seen = prober.report()
    assert seen.watch is not None
    assert (seen.failed, seen.watch.lost, api.watches) == (0, 0, 2)
    assert sum(seen.watch.ended.values()) == 1
    assert ("cleanly" in seen.watch.ended) == (order == "end")
    assert ("expired" in seen.watch.ended) == (order == "expire")


def test_what_was_written_before_a_watch_begins_afresh_is_not_lost(
    api: WatchServer, cluster: Cluster
) -> None:
    with Prober(cluster, kinds=[WRITE, WATCH]) as prober:
        time.sleep(0.5)
        api.forgetful = True
        api.order("expire")
        time.sleep(1.2)
    seen = prober.report()
    assert seen.watch is not None
    assert seen.watch.lost == 0
    assert seen.spotless


def test_an_event_that_is_passed_over_is_lost(api: WatchServer, cluster: Cluster) -> None:
    with Prober(cluster, kinds=[WRITE, WATCH]) as prober:
        time.sleep(0.5)
        api.forgetful = True
        api.order("tear")
        time.sleep(1.2)
    seen = prober.report()
    assert seen.watch is not None
    assert 1 <= seen.watch.lost <= 3
    assert not seen.spotless


def test_an_event_that_may_still_come_is_not_lost_yet(api: WatchServer, cluster: Cluster) -> None:
    api.late = 0.15
    with Prober(cluster, kinds=[WRITE, WATCH]) as prober:
        for _ in range(20):
            time.sleep(0.04)
            watch = prober.report().watch
            assert watch is not None
            assert watch.lost == 0


def test_a_watch_that_says_nothing_more_is_noticed(api: WatchServer, cluster: Cluster) -> None:
    with Prober(cluster, kinds=[WRITE, WATCH]) as prober:
        time.sleep(0.5)
        api.late = 30.0
        time.sleep(1.0)
    seen = prober.report()
    assert seen.watch is not None
    assert seen.watch.lost == 0
    assert 3 <= seen.watch.unseen <= 6
    assert not seen.spotless


def test_a_silence_that_lasts_to_the_end_counts(
    api: WatchServer, server: Server, cluster: Cluster
) -> None:
    with Prober(cluster, kinds=[WRITE, WATCH]) as prober:
        time.sleep(0.5)
        server.answer = lambda _: Reply(500, {})
        time.sleep(1.0)
    watch = prober.report().watch
    assert watch is not None
    assert 0.8 < watch.longest_silence < 1.5


def test_empty_endpoints_are_timed(api: WatchServer, cluster: Cluster) -> None:
    with Prober(cluster, kinds=[ENDPOINTS]) as prober:
        time.sleep(0.3)
        api.addresses = []
        time.sleep(1.0)
        api.addresses = ["10.0.0.2"]
        time.sleep(0.4)
    seen = prober.report()
    assert seen.endpoints_empty == pytest.approx(1.0, abs=0.4)
    assert not seen.spotless


def test_what_we_may_not_do_is_left_out_and_said(api: WatchServer, cluster: Cluster) -> None:
    api.denied = {"watch configmaps", "list endpointslices"}
    with Prober(cluster, kinds=EVERY_KIND) as prober:
        time.sleep(0.3)
    seen = prober.report()
    assert dict(seen.left_out) == {
        WATCH: "you may not watch configmaps in kube-system",
        ENDPOINTS: "you may not list endpointslices.discovery.k8s.io in default",
    }
    assert set(seen.kinds) == {CONNECT, READ, WRITE, READY}


def test_who_may_not_read_configmaps_asks_for_the_version(
    api: WatchServer, server: Server, cluster: Cluster
) -> None:
    api.denied = {"get configmaps"}
    with Prober(cluster, kinds=[CONNECT, READ]):
        time.sleep(0.3)
    assert {r.path for r in server.requests if r.method == "GET"} == {"/version"}


def test_an_api_that_is_away_at_the_start_is_probed_all_the_same(
    server: Server, cluster: Cluster
) -> None:
    server.stop()
    with Prober(cluster, kinds=[CONNECT, READ, WATCH]) as prober:
        time.sleep(0.3)
    seen = prober.report()
    assert set(seen.failures) == {"refused"}
    assert set(seen.slots) == {"failed"}  # one, or more where the machine is busy


def test_more_than_can_wait_are_not_sent(
    server: Server, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "MOST_IN_FLIGHT", 8)
    server.answer = lambda _: Reply(200, {}, after=1.5)
    with Prober(cluster, rate=40) as prober:
        time.sleep(1.0)
    seen = prober.report()
    assert seen.requests - seen.failures[NOT_SENT] == 8
    assert 20 <= seen.failures[NOT_SENT] <= 33


def test_marks_divide_the_report(api: WatchServer, server: Server, cluster: Cluster) -> None:
    with Prober(cluster, rate=20) as prober:
        time.sleep(0.4)
        prober.mark("kube-apiserver")
        time.sleep(0.1)  # what is under way began before the mark
        server.answers = [Reply(500, {}) for _ in range(4)]
        time.sleep(0.4)
        prober.mark("after")
        time.sleep(0.4)
    sections = prober.report().sections
    assert [s.name for s in sections] == ["before", "kube-apiserver", "after"]
    assert min(s.total.requests for s in sections) >= 3
    assert sections[1].total.failed >= 2
    assert sections[2].total.failed == 0


def test_a_glance_costs_nothing_and_says_how_it_stands(server: Server, cluster: Cluster) -> None:
    with Prober(cluster, rate=20) as prober:
        time.sleep(0.4)
        assert prober.glance()[0] >= 4
        server.answer = lambda _: Reply(500, {})
        time.sleep(0.5)
        requests, failed, gap = prober.glance()
    assert failed >= 5
    assert requests > failed
    assert gap > 0.3

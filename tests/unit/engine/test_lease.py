from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.api_store import Store
from fakes.bad_server import Reply, Server, status

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import Forbidden, Unreachable
from kubectl_selfhost.cluster.waits import wait_until
from kubectl_selfhost.engine import lease as lease_module
from kubectl_selfhost.engine.lease import RunLease, seconds_now
from kubectl_selfhost.engine.lease_errors import RENEW_DEADLINE, LeaseHeld, LeaseLost
from kubectl_selfhost.names import LEASE


@pytest.fixture
def store(server: Server) -> Store:
    made = Store()
    server.answer = made
    return made


def spec(store: Store) -> dict[str, Any]:
    return store.objects[LEASE]["spec"]  # type: ignore[no-any-return]


def run(cluster: Cluster, identity: str = "me", **more: Any) -> RunLease:
    return RunLease(cluster, identity=identity, **{"duration": 5, "renew_every": 0.1, **more})


@pytest.fixture
def other(cluster: Cluster) -> Iterator[RunLease]:
    with run(cluster, "other") as held:
        yield held


def held_by(store: Store, holder: str) -> None:
    stamp = "2026-01-01T00:00:00.000000Z"
    store.put(
        {
            "metadata": {"name": LEASE, "namespace": "kube-system"},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": 1,
                "acquireTime": stamp,
                "renewTime": stamp,
            },
        }
    )


def test_a_lease_is_made_and_given_back(store: Store, cluster: Cluster) -> None:
    with run(cluster):
        assert spec(store)["holderIdentity"] == "me"
    assert spec(store)["holderIdentity"] == ""


def test_a_lease_is_renewed(store: Store, cluster: Cluster) -> None:
    with run(cluster) as lease:
        first = spec(store)["renewTime"]
        wait_until(lambda: spec(store)["renewTime"] > first or None, what="it", timeout=10)
        lease.check()


def test_a_lease_that_was_given_back_is_taken_at_once(store: Store, cluster: Cluster) -> None:
    held_by(store, "")
    began = time.monotonic()
    with run(cluster):
        assert time.monotonic() - began < 5
        assert spec(store)["leaseTransitions"] == 1


def test_a_lease_that_is_renewed_by_another_is_refused(
    store: Store, cluster: Cluster, other: RunLease
) -> None:
    with pytest.raises(LeaseHeld, match="in progress: other, since") as caught, run(cluster):
        pass
    assert caught.value.holder == "other"


def test_a_dead_run_is_waited_out(store: Store, cluster: Cluster) -> None:
    held_by(store, "dead\x1b[1m")
    told: list[str] = []
    began = time.monotonic()
    with run(cluster, waiting=told.append):
        assert 0.9 < time.monotonic() - began < 5
        assert spec(store)["holderIdentity"] == "me"
    assert "dead^[[1m" in told[0]


def test_an_outage_alone_loses_nothing(store: Store, cluster: Cluster, server: Server) -> None:
    notes: list[str] = []
    with run(cluster, note=notes.append) as lease:
        server.answer = lambda _: Reply(503, {})
        wait_until(lambda: notes or None, what="the first note", timeout=10)
        server.answer = store
        wait_until(lambda: notes[1:] or None, what="the second note", timeout=10)
        lease.check()
    assert len(notes) == 2
    assert "could not be renewed yet" in notes[0]
    assert "renewed again" in notes[1]
    assert spec(store)["holderIdentity"] == ""


def test_a_lease_that_another_took_is_lost(store: Store, cluster: Cluster) -> None:
    with run(cluster) as lease:
        held_by(store, "thief")
        wait_until(lambda: lease.lost or None, what="the loss", timeout=10)
        with pytest.raises(LeaseLost, match="thief"):
            lease.check()
    assert spec(store)["holderIdentity"] == "thief"


def test_a_lease_that_was_deleted_is_made_again(store: Store, cluster: Cluster) -> None:
    with run(cluster) as lease:
        store.objects.clear()
        wait_until(lambda: store.objects or None, what="the lease", timeout=10)
        lease.check()
        assert spec(store)["holderIdentity"] == "me"


def test_a_change_by_others_is_no_loss(store: Store, cluster: Cluster) -> None:
    with run(cluster) as lease:
        version = store.put(store.objects[LEASE])["metadata"]["resourceVersion"]
        wait_until(
            lambda: store.objects[LEASE]["metadata"]["resourceVersion"] != version or None,
            what="the next renewal",
            timeout=10,
        )
        lease.check()


def test_of_two_that_start_at_once_one_goes_on(store: Store, cluster: Cluster) -> None:
    outcomes: list[str] = []

    def start(identity: str) -> None:
        try:
            with run(cluster, identity):
                outcomes.append("ran")
                time.sleep(2.0)
        except LeaseHeld:
            outcomes.append("refused")

    threads = [threading.Thread(target=start, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ran", "refused"]


def test_an_error_in_the_block_gives_the_lease_back(store: Store, cluster: Cluster) -> None:
    with pytest.raises(KeyError), run(cluster):
        raise KeyError
    assert spec(store)["holderIdentity"] == ""


def test_a_release_that_fails_is_only_noted(store: Store, cluster: Cluster, server: Server) -> None:
    notes: list[str] = []
    with run(cluster, note=notes.append, renew_every=60):
        server.answer = lambda _: Reply(503, {})
    assert "could not be released" in notes[-1]


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that moves the clock ahead by some seconds; renewals are told apart by this
    clock.
    """
    clock = lease_module.seconds_now
    passed = [0.0]
    monkeypatch.setattr(lease_module, "seconds_now", lambda: clock() + passed[0])

    def freeze(seconds: float) -> None:
        passed[0] += seconds

    return freeze


Freeze = Callable[[float], None]


def asleep(cluster: Cluster) -> RunLease:
    """Return a lease whose thread renews nothing by itself, like the lease of a frozen process."""
    return run(cluster, renew_every=600)


def test_the_clock_goes_on_while_the_machine_sleeps() -> None:
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(seconds_now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5


def test_who_was_frozen_for_a_moment_goes_on(
    store: Store, cluster: Cluster, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        version = store.objects[LEASE]["metadata"]["resourceVersion"]
        frozen(RENEW_DEADLINE - 1)
        lease.check()
        assert store.objects[LEASE]["metadata"]["resourceVersion"] == version


def test_who_was_frozen_for_long_renews_before_it_goes_on(
    store: Store, cluster: Cluster, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        before = spec(store)["renewTime"]
        frozen(RENEW_DEADLINE + 1)
        lease.check()
        assert spec(store)["renewTime"] > before
        lease.check()


def test_who_was_frozen_while_another_took_over_has_lost(
    store: Store, cluster: Cluster, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        held_by(store, "thief")
        lease.check()  # nobody can have taken it within the time that it is ours for
        frozen(RENEW_DEADLINE + 1)
        for _ in range(2):
            with pytest.raises(LeaseLost, match="thief holds the lease"):
                lease.check()
    assert spec(store)["holderIdentity"] == "thief"


def test_who_was_frozen_until_another_had_ended_has_lost(
    store: Store, cluster: Cluster, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        held_by(store, "")
        frozen(RENEW_DEADLINE + 1)
        with pytest.raises(LeaseLost, match="nobody holds the lease now"):
            lease.check()
    assert spec(store)["holderIdentity"] == ""


def test_who_was_frozen_until_the_lease_was_gone_has_lost(
    store: Store, cluster: Cluster, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        store.objects.clear()
        frozen(RENEW_DEADLINE + 1)
        with pytest.raises(LeaseLost):
            lease.check()
    assert store.objects == {}


def test_without_the_api_it_can_not_be_told(
    store: Store, cluster: Cluster, server: Server, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        frozen(RENEW_DEADLINE + 1)
        server.answer = lambda _: Reply(503, {})
        with pytest.raises(Unreachable):
            lease.check()
        server.answer = store
        lease.check()


def test_who_may_not_renew_has_lost(
    store: Store, cluster: Cluster, server: Server, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        frozen(RENEW_DEADLINE + 1)
        server.answer = lambda _: status(422, "Invalid", "a policy refuses leases")
        with pytest.raises(LeaseLost, match=r"could not be renewed for 10 s.*a policy refuses"):
            lease.check()


def test_a_refusal_is_believed_after_a_while(
    store: Store, cluster: Cluster, server: Server, frozen: Freeze
) -> None:
    may_not = status(403, "Forbidden", 'User "jane" cannot update resource "leases"')
    with asleep(cluster) as lease:
        frozen(RENEW_DEADLINE + 1)
        server.answer = lambda _: may_not  # as an API server that has just started says
        with pytest.raises(Forbidden):
            lease.check()
        frozen(30)
        with pytest.raises(LeaseLost, match="jane"):
            lease.check()


def test_a_lease_that_is_lost_is_not_deleted(
    store: Store, cluster: Cluster, frozen: Freeze
) -> None:
    with asleep(cluster) as lease:
        lease.discard = True
        frozen(RENEW_DEADLINE + 1)
    assert spec(store)["holderIdentity"] == ""

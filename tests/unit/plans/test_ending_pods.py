"""The end of a pivot, while the former API server still lets its last requests finish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apiobjects as api
import pytest
from fakes import plane
from fakes.objects import Objects
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.cluster.errors import Rejected
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, SCHEDULER
from kubectl_selfhost.names import ADDRESS_SLICE, NAMESPACE
from kubectl_selfhost.plans.pivot.ending import EndingPods

MIRROR = "kube-apiserver-cp-1"
#: Seconds for which a kube-apiserver with open watches goes on.
DRAIN = 30.0


class Kept(Run):
    """A run that keeps what it prepared."""

    whole: Any = None

    def _carry_out(self, cluster: Any, prepared: Any) -> Any:
        self.whole = prepared.whole
        return super()._carry_out(cluster, prepared)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(plane._DRAIN, APISERVER.name, DRAIN)
    return World(monkeypatch=monkeypatch)


@pytest.fixture
def pivot(world: World) -> Kept:
    run = Kept(world, "pivot")
    run()
    assert mirror(world) is not None, "the former API server has ended: this tests nothing"
    return run


def mirror(world: World) -> dict[str, Any] | None:
    return world.store.find("pods", MIRROR, NAMESPACE)


def test_everybody_sees_that_it_ends(world: World, pivot: Kept) -> None:
    assert "deletionTimestamp" in (mirror(world) or {})["metadata"]


def test_the_service_has_its_address_and_keeps_it(world: World, pivot: Kept) -> None:
    assert world.store.find("endpointslices", ADDRESS_SLICE, "default") is None
    world.pass_time(2 * DRAIN)
    assert world.empty_service == 0
    assert world.silent_api == 0


def test_the_report_says_until_when(world: World, pivot: Kept) -> None:
    told = [line for line in pivot.whole.outcome().know if "lets its last requests finish" in line]
    seconds = int(told[0].partition("for up to ")[2].split()[0])
    began = world.clock.now
    while mirror(world) is not None:
        world.pass_time(0.5)
    assert world.clock.now - began <= seconds < DRAIN
    assert not [line for line in pivot.whole.outcome().know if "last requests" in line]


def test_it_goes_by_itself(world: World, pivot: Kept) -> None:
    world.pass_time(DRAIN)
    assert mirror(world) is None
    assert world.unserved() == []


def test_a_second_pivot_has_nothing_to_do(world: World, pivot: Kept) -> None:
    world.changed.clear()
    again = Run(world, "pivot")
    again.edge = world.client()
    again.rehearse()
    assert world.changed == []
    assert mirror(world) is not None


@pytest.mark.parametrize("verb", ["revert", "rollout", "sync"])
def test_another_run_waits_for_it_and_ends_well(world: World, pivot: Kept, verb: str) -> None:
    run = Run(world, verb)
    run()
    assert f"the former {MIRROR} lets its last requests finish" in run.seen.waited_for
    kind = "static" if verb == "revert" else "daemonset"
    assert {world.served_by(component) for component in COMPONENTS} == {kind}
    world.pass_time(60.0)
    assert world.unserved() == []
    assert world.empty_service == 0
    assert world.silent_api == 0


class Refusing(Objects):
    """A cluster whose admission refuses to delete a pod."""

    tried = 0

    def delete(self, *_: object, **__: object) -> bool:
        self.tried += 1
        raise Rejected("no pod of kube-system is deleted here", status=403)


def pods_of(cluster: Any) -> EndingPods:
    return EndingPods(
        cluster, api.NODE, [APISERVER], grace_period=lambda: 30.0, stopped_at=lambda: None
    )


def test_where_nobody_may_mark_it_the_run_waits_until_it_has_ended() -> None:
    cluster = Refusing({"kind": "Pod", "apiVersion": "v1", **api.static_pod(APISERVER)})
    pods = pods_of(cluster)
    for _ in range(3):
        with pytest.raises(Waiting, match="lets its last requests finish"):
            pods.mark()
    assert cluster.tried == 1
    cluster._objects.clear()
    assert pods.mark()
    assert pods.seconds_left == 0


Made = Callable[[Any], dict[str, Any]]


@pytest.mark.parametrize("made", [api.static_pod, api.ending_pod])
def test_only_what_was_replaced_is_marked(made: Made) -> None:
    others = [{"kind": "Pod", "apiVersion": "v1", **made(SCHEDULER)}]
    cluster = Refusing(*others)
    assert pods_of(cluster).mark()
    assert cluster.tried == 0

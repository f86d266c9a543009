"""A hand-over that fails or is interrupted loses nothing: the API answers, the Service has an address.

The fake API servers take their address out of the Service, and put it back at their next tick, as
real ones do (kubernetesservice/controller.go).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes.edge import Call, Killed
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS
from kubectl_selfhost.engine.runner import Stopped
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.shared import service_address

NewWorld = Callable[[str], World]
#: Longer than any API server takes to put its address back.
A_WHILE = 60.0


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> NewWorld:
    """Return a maker of worlds of one node in which ``verb`` has something to do."""

    def make(verb: str) -> World:
        world = World(monkeypatch=monkeypatch)
        if verb != "pivot":
            Run(world, "pivot")()
        world.empty_service = world.silent_api = 0.0
        return world

    return make


def order(name: str, component: str = APISERVER.name) -> Callable[[Call], bool]:
    return lambda call: call.order == name and call.fields.get("component") == component


def keeps(world: World) -> bool:
    """Return whether the run's EndpointSlice is there."""
    return service_address.is_kept(world.client().cluster())


def nothing_is_lost(world: World) -> bool:
    world.pass_time(A_WHILE)
    assert world.empty_service == 0
    assert world.silent_api == 0
    assert world.unserved() == []
    return True


INTERRUPTED = [
    *[("pivot", name) for name in ("share", "release", "steer", "arm", "confirm")],
    *[("revert", name) for name in ("share", "place", "steer", "confirm")],
    *[("rollout", name) for name in ("share", "steer")],
]


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(("verb", "name"), INTERRUPTED)
def test_ctrl_c_as_the_api_server_changes_hands(new_world, verb, name, after):
    """Just before an order, and just before the next one."""
    world, meant = new_world(verb), order(name)
    met: list[Call] = []

    def comes(call: Call) -> bool:
        if meant(call) or met:
            met.append(call)
        return bool(call.order) and len(met) > after

    fault = world.fault(comes, KeyboardInterrupt())
    with pytest.raises(Stopped):
        Run(world, verb)()
    assert fault.met == 1
    assert nothing_is_lost(world)
    assert not keeps(world)


def test_an_interrupted_hand_over_is_finished_where_going_back_would_cost_more(new_world):
    world = new_world("pivot")
    world.fault(order("confirm"), KeyboardInterrupt())
    with pytest.raises(Stopped, match="hand-over/kube-apiserver"):
        Run(world, "pivot")()
    assert [world.served_by(c) for c in COMPONENTS] == ["daemonset", "static", "static"]


def test_the_address_stays_kept_where_no_api_server_puts_it_back(new_world, monkeypatch):
    world = new_world("pivot")
    monkeypatch.setattr(world, "_keep_service", lambda: None)
    world.fault(order("steer"), KeyboardInterrupt())
    with pytest.raises(Stopped) as stopped:
        Run(world, "pivot")()
    assert "EndpointSlice kubernetes-kubectl-selfhost keeps the address" in stopped.value.hint
    world.pass_time(A_WHILE)
    assert keeps(world)
    assert world.empty_service == 0


def test_a_second_ctrl_c_leaves_the_address_kept_and_the_next_run_gives_it_back(new_world):
    world = new_world("pivot")
    world.fault(order("steer"), KeyboardInterrupt())
    world.fault(order("unshare"), KeyboardInterrupt())
    with pytest.raises(Stopped):
        Run(world, "pivot")()
    assert keeps(world)
    Run(world, "pivot")()
    assert nothing_is_lost(world)
    assert not keeps(world)


@pytest.mark.parametrize("name", ["release", "steer", "arm", "confirm"])
def test_a_run_that_was_killed_leaves_the_address_kept_and_the_next_gives_it_back(new_world, name):
    world = new_world("pivot")
    world.fault(order(name), "killed-after")
    with pytest.raises(Killed):
        Run(world, "pivot")()
    assert keeps(world)
    Run(world, "pivot")()
    world.pass_time(A_WHILE)
    assert world.empty_service == 0
    assert not keeps(world)
    assert [world.served_by(c) for c in COMPONENTS] == ["daemonset"] * 3


@pytest.mark.parametrize("how", ["crashing", "unready"])
def test_a_new_api_server_that_does_not_get_ready_costs_nothing(new_world, how):
    world = new_world("pivot")
    world.spoils = lambda one: how if (one.component, one.static) == (APISERVER.name, False) else ""
    with pytest.raises(SelfhostError, match="kube-apiserver"):
        Run(world, "pivot")()
    assert nothing_is_lost(world)
    assert not keeps(world)

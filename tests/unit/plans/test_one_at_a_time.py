"""Plans for components that must not run twice, or whose readiness nothing tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes.plane import Process
from fakes.runs import Run, Seen
from fakes.world import World

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
)
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node.agent import AgentError, NodeAgent
from kubectl_selfhost.node.orders import ShareOrder
from kubectl_selfhost.plans.revert import prepare as reverting
from kubectl_selfhost.plans.revert.options import RevertOptions
from kubectl_selfhost.plans.rollout import prepare as rolling
from kubectl_selfhost.plans.rollout.options import RolloutOptions

ALONE = (CONTROLLER_MANAGER, SCHEDULER)
Change = Callable[[dict[str, Any]], None]


class Watched(World):
    """A count, at each moment, of how many of a component listen on a node."""

    most: dict[str, int]

    def tick(self) -> None:
        super().tick()
        self.most = getattr(self, "most", {})
        for node in self.nodes:
            for component in COMPONENTS:
                now = sum(one.component == component.name and one.listens for one in node.servers())
                self.most[component.name] = max(self.most.get(component.name, 0), now)


def change_manifests(world: World, component: Component, change: Change) -> None:
    """Edit the static pod of a component on each node, and let it start anew."""
    for node in world.nodes:
        file = f"{component}.yaml"
        pod = yaml.safe_load(node.manifests[file])
        change(staticpod.component_container(pod))
        node.manifests[file] = yaml.safe_dump(pod).encode()
    world.pass_time(30.0)
    world.files = {node.name: dict(node.manifests) for node in world.nodes}
    world.empty_service = world.silent_api = 0.0


def without_election(container: dict[str, Any]) -> None:
    container["command"] = [w for w in container["command"] if not w.startswith("--leader-elect")]
    container["command"].append("--leader-elect=false")


def asks_seldom(container: dict[str, Any]) -> None:
    container["command"].append("--leader-elect-retry-period=26s")


def with_tcp_probes(container: dict[str, Any]) -> None:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        container[name] = {"tcpSocket": {"port": 6443}}


@pytest.fixture(params=[without_election, asks_seldom], ids=["no election", "asks seldom"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched(nodes=1, monkeypatch=monkeypatch)
    for component in ALONE:
        change_manifests(made, component, request.param)
    made.most = {}
    return made


def never_two(world: Watched) -> None:
    assert {c.name: world.most[c.name] for c in ALONE} == {c.name: 1 for c in ALONE}
    assert world.unserved() == []
    assert world.silent_api == 0


def test_there_and_back_and_once_more(world):
    Run(world, "pivot")()
    never_two(world)
    assert {world.served_by(c) for c in COMPONENTS} == {"daemonset"}
    Run(world, "rollout")()
    never_two(world)
    Run(world, "sync")()
    Run(world, "revert")()
    never_two(world)
    assert {world.served_by(c) for c in COMPONENTS} == {"static"}
    assert world.ours() == []
    Run(world, "pivot")()
    never_two(world)


def test_no_recovery_copy_is_kept(world):
    Run(world, "pivot")()
    assert set(world.nodes[0].disk.recovery) == {"kube-apiserver.yaml", "guarded"}


@pytest.mark.parametrize("component", ALONE)
@pytest.mark.parametrize("how", ["crashing", "unready"])
@pytest.mark.parametrize("verb", ["rollout", "revert"])
def test_a_new_instance_that_fails_costs_nothing_for_good(world, component, how, verb):
    Run(world, "pivot")()
    known = {one.uid for one in world.nodes[0].servers()}

    def spoils(process: Process) -> str:
        new = process.component == component.name and process.uid not in known
        return how if new and process.static == (verb == "revert") and not spoilt else ""

    spoilt: list[str] = []

    def once(process: Process) -> str:
        found = spoils(process)
        spoilt.extend([process.uid] if found else [])
        return found

    world.spoils = once
    with pytest.raises(SelfhostError):
        Run(world, verb)()
    assert spoilt
    world.pass_time(60.0)
    never_two(world)
    assert world.served_by(component) == "daemonset"


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched(nodes=1, monkeypatch=monkeypatch)
    change_manifests(made, APISERVER, with_tcp_probes)
    made.most = {}
    return made


def test_an_apiserver_that_nothing_tells_of_changes_hands_alone(untold):
    Run(untold, "pivot")()
    assert untold.most["kube-apiserver"] == 1
    assert untold.unserved() == []
    assert 0 < untold.silent_api < 10  # told in the plan
    assert untold.empty_service == 0


def test_its_roll_out_is_refused_with_the_way(untold):
    Run(untold, "pivot")()
    with pytest.raises(SelfhostError, match=r"can't be rolled out safely: .*tcpSocket") as refused:
        Run(untold, "rollout")()
    assert "kubectl selfhost revert" in refused.value.hint


def test_the_way_back_is_open(untold):
    Run(untold, "pivot")()
    untold.silent_api = 0.0
    Run(untold, "revert")()
    assert untold.served_by(APISERVER) == "static"
    assert untold.unserved() == []
    assert untold.silent_api == 0


def test_the_plans_say_what_stands_still_and_promise_nothing_untrue(world):
    Run(world, "pivot")()
    cluster = world.client().cluster()
    options = RolloutOptions(timeout=60.0)
    rollout = rolling.prepare(cluster, options, observer=Seen()).plan
    know = " ".join(rollout.know)
    assert (
        "Two instances of kube-controller-manager and kube-scheduler must not run side by side"
        in know
    )
    by_name = {step.name: step for step in rollout.steps}
    alone = by_name["roll-out/kube-scheduler"]
    assert "scheduling, for one start of the scheduler" in alone.unavailable
    assert "so the run deletes the old pod" in alone.why
    assert "only when the new pod serves" in by_name["roll-out/kube-apiserver"].why
    revert = reverting.prepare(cluster, RevertOptions(timeout=60.0), observer=Seen()).plan
    assert "deletes the DaemonSet's pod when the static pod's manifest" in " ".join(revert.know)


def test_a_scheduler_that_lost_its_lease_in_the_gap_is_waited_for(untold, monkeypatch):
    """On a slow machine the API server's start takes longer than a renewal may."""
    real, refused = NodeAgent.share, []

    def share(self: NodeAgent, order: ShareOrder) -> None:
        if order.component == SCHEDULER.name and len(refused) < 3:
            refused.append(order)
            raise AgentError("refused 'share': nothing listens on port 10259", code="silent")
        real(self, order)

    monkeypatch.setattr(NodeAgent, "share", share)
    Run(untold, "pivot")()
    assert len(refused) == 3
    assert untold.unserved() == []

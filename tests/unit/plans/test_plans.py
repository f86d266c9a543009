"""Every plan, run to its end on a fake control plane of one node and of three."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.controlplane.component import COMPONENTS

NewWorld = Callable[[int], World]


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> NewWorld:
    return lambda nodes: World(nodes=nodes, monkeypatch=monkeypatch)


@pytest.fixture(params=[1, 3])
def world(request: pytest.FixtureRequest, new_world: NewWorld) -> World:
    return new_world(request.param)


@pytest.fixture
def pivoted(world: World) -> World:
    Run(world, "pivot")()
    world.changed.clear()
    return world


def kinds(world: World) -> set[str]:
    return {world.served_by(c, node) for node in world.nodes for c in COMPONENTS}


def is_served(world: World) -> bool:
    """Check that one instance serves each component, and that nobody has missed anything."""
    assert world.unserved() == []
    assert world.silent_api == 0
    assert world.empty_service == 0
    return True


def test_a_control_plane_as_kubeadm_leaves_it_is_served(world):
    assert is_served(world)
    assert kinds(world) == {"static"}
    assert world.ours() == []


def test_a_pivot_ends_self_hosted(pivoted):
    assert is_served(pivoted)
    assert kinds(pivoted) == {"daemonset"}
    assert all(set(n.manifests) == {"etcd.yaml", _GUARDIAN} for n in pivoted.nodes)


_GUARDIAN = "kubectl-selfhost-guardian.yaml"


def test_a_second_pivot_changes_nothing_that_serves(pivoted):
    before = [one.uid for node in pivoted.nodes for one in node.servers()]
    Run(pivoted, "pivot")()
    assert [one.uid for node in pivoted.nodes for one in node.servers()] == before


def test_a_revert_ends_static(pivoted):
    Run(pivoted, "revert")()
    assert is_served(pivoted)
    assert kinds(pivoted) == {"static"}
    assert pivoted.ours() == []


def test_a_revert_from_backup_gives_the_files_back_byte_for_byte(pivoted):
    Run(pivoted, "revert", {"from_backup": True})()
    assert pivoted.unserved() == []
    assert {node.name: node.manifests for node in pivoted.nodes} == pivoted.files
    assert pivoted.ours() == []


def test_a_roll_out_replaces_every_instance(pivoted):
    before = {one.uid for node in pivoted.nodes for one in node.servers()}
    Run(pivoted, "rollout")()
    assert is_served(pivoted)
    assert kinds(pivoted) == {"daemonset"}
    assert not before & {one.uid for node in pivoted.nodes for one in node.servers()}


def test_a_sync_touches_nothing_that_serves(pivoted):
    before = [one.uid for node in pivoted.nodes for one in node.servers()]
    for node in pivoted.nodes:
        node.disk.recovery.clear()
    Run(pivoted, "sync")()
    assert is_served(pivoted)
    assert [one.uid for node in pivoted.nodes for one in node.servers()] == before
    assert all(len(node.disk.recovery) == len(COMPONENTS) + 1 for node in pivoted.nodes)

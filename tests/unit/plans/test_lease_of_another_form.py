"""Whole pivots of three nodes whose leaders call themselves by their host's name, not the node's."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.controlplane.component import APISERVER, CONTROLLER_MANAGER, SCHEDULER


def taken_over(world: World) -> set[str]:
    """Pivot; return the leases from which a holder's name was taken."""
    found: set[str] = set()
    replace = world.store.replace

    def replaced(plural: str, manifest: Any, **options: Any) -> Any:
        if plural == "leases" and manifest.get("spec", {}).get("holderIdentity") == "":
            found.add(manifest["metadata"]["name"])
        return replace(plural, manifest, **options)

    world.store.replace = replaced  # type: ignore[method-assign]
    Run(world, "pivot")()
    assert world.unserved() == []
    return found


def called(monkeypatch: pytest.MonkeyPatch, host_name: str) -> World:
    """Return a control plane whose leaders run on hosts of such names."""
    world = World(nodes=3, monkeypatch=monkeypatch)
    for node in world.nodes:
        node.host_name = host_name.format(node.name)
        for process in node.servers():
            if process.component != APISERVER.name:
                process.restart()
    world.pass_time(40)
    for component in (CONTROLLER_MANAGER, SCHEDULER):
        leader = world.leads(component)
        assert leader is not None
        assert leader.identity.startswith(f"{leader.node.host_name}_")
    return world


@pytest.mark.parametrize("host_name", ["{0}", "{0}.example.org"])
def test_a_dead_leader_is_known_by_a_form_of_its_hosts_name(monkeypatch, host_name: str):
    world = called(monkeypatch, host_name)
    assert taken_over(world) == {CONTROLLER_MANAGER.lease, SCHEDULER.lease}


def test_a_lease_is_taken_from_nobody_who_may_live_on_another_node(monkeypatch):
    world = called(monkeypatch, "localhost")
    assert taken_over(world) == set()

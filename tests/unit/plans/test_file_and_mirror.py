"""A whole pivot, where admission has made something else of the mirror pods than the files say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes.plane import Node
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.pod.defaults import containers
from kubectl_selfhost.errors import SelfhostError

Admission = Callable[[dict[str, Any]], None]


def always_pull(mirror: dict[str, Any]) -> None:
    for container in containers(mirror["spec"]):
        container["imagePullPolicy"] = "Always"


def another_flag(mirror: dict[str, Any]) -> None:
    mirror["spec"]["containers"][0]["command"].append("--v=9")


@pytest.fixture(params=[1, 3])
def new_world(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Admission], World]:
    def new(admission: Admission) -> World:
        mirror_of = Node._mirror

        def admitted(node: Node, process: Any) -> dict[str, Any]:
            mirror = mirror_of(node, process)
            if process.component:
                admission(mirror)
            return mirror

        monkeypatch.setattr(Node, "_mirror", admitted)
        return World(nodes=request.param, monkeypatch=monkeypatch)

    return new


def policies(pod: dict[str, Any]) -> set[str]:
    return {one.get("imagePullPolicy", "IfNotPresent") for one in containers(pod["spec"])}


def manifests(files: dict[str, Any]) -> list[dict[str, Any]]:
    found = [yaml.safe_load(content) for name, content in files.items() if name.endswith(".yaml")]
    return [pod for pod in found if "guardian" not in pod["metadata"]["name"]]


def test_what_runs_is_the_file_also_where_images_are_always_pulled(new_world):
    world = new_world(always_pull)
    files = {node.name: manifests(node.manifests) for node in world.nodes}
    was = {policy for found in files.values() for pod in found for policy in policies(pod)}
    assert was == {"IfNotPresent"}
    run = Run(world, "pivot")
    run()
    made = world.store.list("daemonsets")
    assert len(made) == len(COMPONENTS)
    assert {p for one in made for p in policies(one["spec"]["template"])} == {"IfNotPresent"}
    copies = [pod for node in world.nodes for pod in manifests(node.disk.recovery)]
    assert len(copies) == len(COMPONENTS) * len(world.nodes)
    assert {policy for pod in copies for policy in policies(pod)} == {"IfNotPresent"}
    assert any("admission changed its mirror pod" in note for note in run.seen.notes)
    Run(world, "revert")()
    back = [pod for node in world.nodes for pod in manifests(node.manifests)]
    assert {policy for pod in back for policy in policies(pod)} == {"IfNotPresent"}


def test_a_file_that_the_kubelet_has_not_taken_ends_the_run_before_a_switch(new_world):
    world = new_world(another_flag)
    before = [one.uid for node in world.nodes for one in node.servers()]
    with pytest.raises(SelfhostError, match=r"command --v was added: 9") as raised:
        Run(world, "pivot")()
    assert "delete pod kube-" in raised.value.hint
    assert [one.uid for node in world.nodes for one in node.servers()] == before
    assert world.unserved() == []
    assert world.ours() == []

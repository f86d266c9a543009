"""The pivot's pre-flight checks on control planes that people have: one cause is one failed check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes.plane import Node
from fakes.runs import Seen
from fakes.world import World

from kubectl_selfhost.controlplane.component import CONTROLLER_MANAGER, SCHEDULER
from kubectl_selfhost.engine.preflight import FAILED, OK, SKIPPED, WARNING, Finding, run_checks
from kubectl_selfhost.plans.pivot.checks import catalogue
from kubectl_selfhost.plans.pivot.checks.look import Look
from kubectl_selfhost.plans.pivot.options import PivotOptions


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], World]:
    return lambda nodes: World(nodes=nodes, monkeypatch=monkeypatch)


@pytest.fixture
def world(new_world) -> World:
    return new_world(1)


def look(world: World, **options: Any) -> dict[str, Finding]:
    chosen = PivotOptions(timeout=5.0, **options)
    seen = Look(world.client().cluster(), chosen, tell=Seen().step_waiting)
    return {one.check: one for one in run_checks(catalogue.checks(seen), ignore=chosen.ignore)}


def failed(found: dict[str, Finding]) -> list[str]:
    return [name for name, one in found.items() if one.result == FAILED]


def edit(world: World, component: str, change: Callable[[dict[str, Any], Node], None]) -> None:
    """Change the component's manifest on each node, and wait until it runs."""
    for node in world.nodes:
        pod = yaml.safe_load(node.manifests[f"{component}.yaml"])
        change(pod, node)
        node.manifests[f"{component}.yaml"] = yaml.safe_dump(pod).encode()
    world.pass_time(40)


def main(pod: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod["spec"]["containers"][0]
    return found


def test_a_control_plane_of_kubeadms_has_no_failed_check(world):
    found = look(world)
    assert {one.result for one in found.values()} == {OK}, found


def without_static_pods(world: World) -> None:
    for node in world.nodes:
        node.manifests.clear()
        for name in [p["metadata"]["name"] for p in world.store.list("pods")]:
            world.store.remove("pods", name, "kube-system")
        node.processes.clear()


@pytest.fixture
def empty(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world whose API answers, and whose kubelet runs nothing of kubeadm's."""
    without_static_pods(world)
    monkeypatch.setattr(World, "api_answers", lambda _: True)
    return world


def test_without_static_pods_one_check_fails(empty):
    found = look(empty)
    assert failed(found) == ["StaticPods"]
    assert "no static pod of a control plane" in found["StaticPods"].finding
    assert not any("self-hosted already" in one.finding for one in found.values())
    assert found["Admission"].result == SKIPPED
    assert found["Admission"].finding.startswith("skipped: needs ")


@pytest.mark.parametrize(
    ("label", "owner"),
    [("microk8s.io/cluster", "MicroK8s"), ("node.k0sproject.io/role", "k0s")],
)
def test_another_distribution_is_refused_by_its_name_alone(empty, label, owner):
    for node in empty.store.list("nodes"):
        node["metadata"]["labels"][label] = "true"
    found = look(empty)
    assert failed(found) == ["Ownership"]
    assert owner in found["Ownership"].finding
    assert found["StaticPods"].finding == "skipped: needs Ownership"


def bind(pod: dict[str, Any], node: Node) -> None:
    command = [w for w in main(pod)["command"] if not w.startswith("--bind-address")]
    main(pod)["command"] = [*command, f"--bind-address={node.address}"]


def test_nodes_that_bind_an_address_of_their_own_are_one_refusal(new_world):
    """MetalK8s."""
    world = new_world(3)
    edit(world, SCHEDULER.name, bind)
    found = look(world)
    assert failed(found) == ["NodesAlike"]
    assert "--when-nodes-differ=separate" in found["NodesAlike"].hint
    assert not any("asked for" in one.cause for one in found.values())
    assert found["HeadRoom"].finding == "skipped: needs NodesAlike"
    separate = look(world, separate=True)
    assert failed(separate) == []


def in_a_shell(pod: dict[str, Any], _: Node) -> None:
    text = "exec " + " ".join(main(pod)["command"]) + " --log-dir=/var/log/kube-scheduler"
    main(pod)["command"] = ["/bin/sh", "-c", text]


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_command_that_can_not_be_seen_through_is_one_refusal(new_world, nodes):
    world = new_world(nodes)
    edit(world, SCHEDULER.name, in_a_shell)
    found = look(world)
    assert failed(found) == ["StaticPods"]
    assert "doesn't name the component's program" in found["StaticPods"].finding


def test_what_is_not_ready_hides_no_other_failure(world):
    """So that a person fixes all in one go."""
    world.spoils = lambda process: "unready" if process.component == SCHEDULER.name else ""
    edit(world, SCHEDULER.name, lambda pod, _: main(pod)["command"].append("--v=3"))
    for node in world.store.list("nodes"):
        node["status"]["allocatable"]["cpu"] = "0"
    found = look(world)
    assert failed(found) == ["StaticPods", "HeadRoom"]


def flag(*words: str) -> Callable[[dict[str, Any], Node], None]:
    return lambda pod, _: main(pod)["command"].extend(words)


def test_a_lease_of_another_name_is_told(world):
    edit(world, CONTROLLER_MANAGER.name, flag("--leader-elect-resource-name=my-kcm"))
    found = look(world)
    assert failed(found) == []
    assert "kube-system/my-kcm" in found["LeaderElection"].finding


def test_a_lease_in_another_namespace_needs_rights_there(world, monkeypatch):
    from kubectl_selfhost.cluster import access
    from kubectl_selfhost.cluster.access import Access, Denied

    def denied(_: Any, wanted: list[Access]) -> list[Denied]:
        return [Denied(one, "") for one in wanted if one.namespace == "own"]

    monkeypatch.setattr(access, "denied", denied)
    assert failed(look(world)) == []
    edit(world, CONTROLLER_MANAGER.name, flag("--leader-elect-resource-namespace=own"))
    found = look(world)
    assert failed(found) == ["Permissions"]
    for verb in ("get", "list", "update"):
        assert f"{verb} leases.coordination.k8s.io in own" in found["Permissions"].finding


BY_FILE = flag("--config=/etc/kubernetes/scheduler.yaml")


def test_a_lease_that_a_file_may_name_and_that_is_renewed_is_the_right_one(world):
    edit(world, SCHEDULER.name, BY_FILE)
    assert failed(look(world)) == []


def test_a_lease_that_a_file_may_name_and_that_nobody_renews_is_refused(world, monkeypatch):
    edit(world, SCHEDULER.name, BY_FILE)
    monkeypatch.setattr(World, "_lead_one", lambda *_: None)
    world.store.remove("leases", "kube-scheduler", "kube-system")
    found = look(world)
    assert failed(found) == ["LeaderElection"]
    assert "--config=/etc/kubernetes/scheduler.yaml" in found["LeaderElection"].finding
    assert "--leader-elect-resource-name=NAME" in found["LeaderElection"].hint


def always_pull(pod: dict[str, Any]) -> None:
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        container["imagePullPolicy"] = "Always"


def another_registry(pod: dict[str, Any]) -> None:
    main(pod)["image"] = f"cache.example:5000/{main(pod)['image']}"


@pytest.mark.parametrize(
    ("admit", "result", "said"),
    [(always_pull, WARNING, "AlwaysPullImages"), (another_registry, FAILED, "the node agent on")],
)
def test_what_admission_makes_of_the_agents_pod_is_looked_at(
    world, monkeypatch, admit, result, said
):
    from kubectl_selfhost.cluster.client import Cluster

    create = Cluster.create

    def admitted(self: Cluster, kind: Any, manifest: dict[str, Any], **more: Any) -> Any:
        pod = create(self, kind, manifest, **more)
        if kind.plural == "pods":
            admit(pod)
        return pod

    monkeypatch.setattr(Cluster, "create", admitted)
    found = look(world)
    assert found["Admission"].result == result
    assert said in found["Admission"].finding
    assert failed(found) == (["Admission"] if result == FAILED else [])

"""The look before an upgrade, on a fake control plane: what it finds, and that it leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fakes.registry import Container
from fakes.runs import Run, Seen
from fakes.store import Refusal
from fakes.world import World

from kubectl_selfhost.cluster.errors import Unreachable
from kubectl_selfhost.controlplane.upgrade.findings import Findings
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import QUESTION_LABELS
from kubectl_selfhost.plans.shared.situation import read_situation
from kubectl_selfhost.plans.upgrade.look.examine import examine, refuse
from kubectl_selfhost.plans.upgrade.options import UpgradeOptions

NEXT = Version(1, 37, 3)
FINE = {"terminated": {"exitCode": 0}}
NewWorld = Callable[[int], World]


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> NewWorld:
    def make(nodes: int) -> World:
        world = World(nodes=nodes, monkeypatch=monkeypatch)
        Run(world, "pivot")()
        world.changed.clear()
        return world

    return make


@pytest.fixture
def world(new_world: NewWorld) -> World:
    return new_world(1)


def look(world: World, version: Version | None = NEXT, **options: Any) -> Findings:
    seen = Seen()
    cluster = world.client().cluster()
    chosen = UpgradeOptions(version=version, **({"timeout": 30.0} | options))
    found = examine(cluster, read_situation(cluster), chosen, observer=seen)
    assert questions(world) == []
    return found


def questions(world: World) -> list[dict]:
    """Return the pods that ask, and that nobody has deleted."""
    pods = world.store.labelled("pods", "kube-system", QUESTION_LABELS)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def blocking(found: Findings) -> list[str]:
    return [str(one) for one in found.blocking]


@pytest.mark.parametrize("nodes", [1, 3])
def test_each_component_on_each_node_is_asked(new_world, nodes):
    world = new_world(nodes)
    asked = []
    world.registry.ends = lambda node, one: asked.append((node, one["name"], one["image"]))
    found = look(world)
    assert blocking(found) == []
    each = {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
    assert {name for _, name, _ in asked} == {*each, "kube-apiserver-plugins"}
    assert len({node for node, _, _ in asked}) == nodes
    assert {image.rpartition(":")[2] for _, _, image in asked} == {"v1.37.3"}
    assert len(found.of("kubelet")) == len(found.of("etcd")) == nodes


def test_a_program_is_asked_with_the_flags_in_use(world):
    commands = {}
    world.registry.ends = lambda _, one: commands.update({one["name"]: one["command"]})
    look(world)
    in_use = world.store.get("daemonsets", "self-hosted-kube-scheduler", "kube-system")
    (container,) = in_use["spec"]["template"]["spec"]["containers"]
    assert commands["kube-scheduler"] == [*container["command"], "--version"]


def test_the_pod_that_asks_has_no_privilege_and_reads_nothing(world):
    made = []
    world.watchers.append(lambda call: made.append(call.body))
    look(world)
    pod = made[0]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert "volumes" not in pod
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["restartPolicy"] == "Never"
    assert pod["tolerations"] == [{"operator": "Exists"}]
    for container in pod["containers"]:
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert "volumeMounts" not in container


def test_a_look_without_a_version_changes_nothing(world):
    found = look(world, None)
    assert world.changed == []
    assert found.newest == Version(1, 37, 2)
    assert blocking(found) == []
    assert found.target is None


def test_versions_alone_that_forbid_it_need_no_image(world):
    found = look(world, Version(1, 39, 0))
    assert world.changed == []
    assert "upgrade to v1.38 first" in blocking(found)[0]


def test_every_flag_that_is_gone_is_named_at_once(world):
    def ends(_: str, container: Container) -> Any:
        words = " ".join(container["command"])
        for gone in ("leader-elect", "kubeconfig"):
            if container["name"] == "kube-scheduler" and f" --{gone}=" in words:
                message = f"Error: unknown flag: --{gone}"
                return {"terminated": {"exitCode": 1, "message": message}}, ""
        return None

    world.registry.ends = ends
    found = look(world)
    assert [one.remedy.rpartition("--")[2] for one in found.blocking] == [
        "unset-flag=leader-elect.",
        "unset-flag=kubeconfig.",
    ]
    with pytest.raises(SelfhostError, match="has no flag --kubeconfig"):
        refuse(found)
    assert blocking(look(world, unset_flags=("leader-elect", "kubeconfig"))) == []


def test_a_name_that_nobody_has_is_refused_before_anything_runs(world):
    with pytest.raises(SelfhostError, match="--unset-flag=nothing"):
        look(world, unset_flags=("nothing",))
    assert world.changed == []


def test_the_same_on_three_nodes_is_one_finding(new_world):
    world = new_world(3)
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    world.registry.ends = lambda _, one: (state, "") if one["name"] == "kube-apiserver" else None
    (found,) = blocking(look(world))
    assert found.startswith(f"kube-apiserver on {', '.join(n.name for n in world.nodes)}: ")
    assert "kube-apiserver:v1.37.3 (not found)" in found


def test_an_admission_plugin_that_is_gone_blocks(world):
    known = (
        "--enable-admission-plugins strings  more. Comma-delimited list of admission plugins: {}."
    )
    plugins = "AlwaysAdmit, NodeRestriction"
    world.registry.ends = lambda _, one: (
        (FINE, known.format(plugins)) if one["command"] == ["kube-apiserver", "--help"] else None
    )
    assert blocking(look(world)) == []
    plugins = "AlwaysAdmit"
    (found,) = blocking(look(world))
    assert "has no admission plugin NodeRestriction (--enable-admission-plugins)" in found


def test_an_image_of_another_version_blocks_on_its_node(new_world):
    world = new_world(3)
    second = world.nodes[1].name
    world.registry.ends = lambda node, one: (
        (FINE, "Kubernetes v1.37.2") if (node, one["name"]) == (second, "kube-scheduler") else None
    )
    (found,) = blocking(look(world))
    assert found.startswith(f"kube-scheduler on {second}: ")
    assert "holds v1.37.2, not v1.37.3" in found


def test_a_node_that_never_runs_the_pod_is_given_up(world):
    state = {"waiting": {"reason": "ContainerCreating"}}
    world.registry.ends = lambda _, one: (state, "") if one["name"] == "kube-apiserver" else None
    (found,) = blocking(look(world))
    assert "after 30 s" in found
    assert "--timeout" in found


@pytest.mark.parametrize(("status", "reason"), [(403, "Forbidden"), (422, "Invalid")])
def test_admission_that_refuses_the_pod_is_told_and_blocks_nothing(world, status, reason):
    def admit(plural: str, _: object) -> None:
        if plural == "pods":
            raise Refusal(status, reason, "admission webhook says no")

    world.admit = admit
    found = look(world)
    assert blocking(found) == []
    (told,) = [str(one) for one in found.told if "may not run" in one.value]
    assert "admission webhook says no" in told


def test_ctrl_c_leaves_no_pod(world):
    world.fault(lambda call: call.method == "GET" and "question" in call.path, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        look(world)
    assert questions(world) == []


def test_the_pods_of_a_killed_look_are_removed_by_the_next(world):
    world.fault(lambda call: call.method == "DELETE" and "question" in call.path, "503", times=9)
    cluster = world.client().cluster()
    options = UpgradeOptions(version=NEXT, timeout=30.0)
    examine(cluster, read_situation(cluster), options, observer=Seen())
    assert len(questions(world)) == 1
    world.faults.clear()
    look(world)


def test_a_static_control_plane_has_to_be_pivoted_first(monkeypatch):
    world = World(nodes=1, monkeypatch=monkeypatch)
    (found,) = blocking(look(world))
    assert "not self-hosted" in found
    assert "kubectl selfhost pivot" in found
    assert world.changed == []


def test_a_rollout_that_is_stuck_blocks(world):
    daemonset = world.store.get("daemonsets", "self-hosted-kube-scheduler", "kube-system")
    daemonset["status"]["updatedNumberScheduled"] = 0
    assert any("is in progress, or is stuck" in one for one in blocking(look(world, None)))


def configured(world: World, name: str, **data: str) -> None:
    metadata = {"name": name, "namespace": "kube-system"}
    world.store.create("configmaps", {"metadata": metadata, "data": data})


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ("{apiVersion: kubeadm.k8s.io/v1beta4, kubernetesVersion: v1.37.2}", []),
        ("{apiVersion: kubeadm.k8s.io/v1beta3, kubernetesVersion: v1.37.2}", ["v1beta3"]),
        ("{apiVersion: kubeadm.k8s.io/v1beta4, kubernetesVersion: v1.37.0}", ["says Kubernetes"]),
        ("[", ["could not be read"]),
        ("", ["could not be read"]),
    ],
)
def test_kubeadms_records_are_read(world, records, told):
    configured(world, "kubeadm-config", ClusterConfiguration=records)
    found = [str(one) for one in look(world, None).told if "kubeadm-config" in one.what]
    assert [want for want, said in zip(told, found, strict=True) if want in said] == told


def test_an_api_that_clients_use_and_the_target_lacks_blocks(world):
    labels = (
        'group="policy",removed_release="1.38",resource="pdbs",subresource="",version="v1beta1"'
    )
    metrics = f"apiserver_requested_deprecated_apis{{{labels}}} 1\n"
    world.paths["/metrics"] = lambda: metrics
    assert blocking(look(world)) == []
    (found,) = blocking(look(world, Version(1, 38, 0)))
    assert "clients have used pdbs.policy/v1beta1" in found


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/metrics", "could not ask it which deprecated APIs"),
        ("customresourcedefinitions", "CustomResourceDefinitions: could not look"),
        ("webhookconfigurations", "Webhooks: could not look"),
        ("kubeadm-config", "ConfigMap kubeadm-config: could not be read"),
    ],
)
def test_what_may_not_be_read_is_told(world, path, what):
    world.fault(lambda call: path in call.path, "403", times=9)
    found = look(world, None)
    assert blocking(found) == []
    assert any(what in str(one) for one in found.told)


def test_an_api_server_that_can_not_be_reached_from_here_is_told(new_world, monkeypatch):
    world = new_world(3)
    client = world.client()
    far = Unreachable("There is no way to 10.0.0.9.", reason="timeout", detail="timeout")

    class Far(type(client)):  # type: ignore[misc]
        def request(self, *_: object, **__: object) -> Any:
            raise far

    monkeypatch.setattr(type(client), "apart", lambda self, server="": Far(self.world, server))
    found = look(world, None)
    (told,) = [str(one) for one in found.told if "could not ask it" in one.value]
    assert all(node.name in told for node in world.nodes)
    assert "There is no way to 10.0.0.9" in told


def test_another_version_than_the_image_says(world):
    world.paths["/version"] = lambda: json.loads('{"gitVersion": "v1.37.1"}')
    assert look(world, None).newest == Version(1, 37, 1)

"""What the kubelet is set to, and what follows from it: which pods see what of a node."""

from __future__ import annotations

import pytest
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.controlplane.component import SCHEDULER
from kubectl_selfhost.controlplane.daemonset.facts import NodeFacts
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node.pod import NodeTarget
from kubectl_selfhost.plans.shared.situation import Kubelet, read_kubelet
from kubectl_selfhost.reboot import guardian, on_node
from kubectl_selfhost.reboot.guardian import Guarded


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch=monkeypatch)


def kubelet(world: World, **said: object) -> Kubelet:
    world.kubelet_configuration = said
    return read_kubelet(world.client().cluster(), world.nodes[0].name)


def test_what_an_older_kubelet_does_not_say_is_the_default(world):
    assert kubelet(world) == Kubelet("/etc/kubernetes/manifests", "/var/log/pods", pod_cgroups=True)
    assert kubelet(world, podLogsDir="").pod_logs_dir == "/var/log/pods"


def test_pod_logs_may_be_elsewhere(world):
    assert kubelet(world, podLogsDir="/data/pod-logs/").pod_logs_dir == "/data/pod-logs"


def test_the_agent_looks_for_starts_where_the_kubelet_writes_logs(world):
    world.kubelet_configuration = {"podLogsDir": "/data/pod-logs"}
    run = Run(world)
    run()
    made = [c for c in world.changed if c.order == "arm"]
    assert {one.fields["log_dir"] for one in made} == {"/host/data/pod-logs"}


def test_a_kubelet_without_pod_cgroups_is_refused_before_anything_is_changed(world):
    world.kubelet_configuration = {"cgroupsPerQOS": False}
    with pytest.raises(SelfhostError, match=r"1 pre-flight check failed: PodCgroups\."):
        Run(world)()
    assert world.changed == []


@pytest.mark.parametrize("verb", ["revert", "rollout"])
def test_it_is_refused_later_too(world, verb):
    Run(world)()
    world.changed.clear()
    world.kubelet_configuration = {"cgroupsPerQOS": False}
    with pytest.raises(SelfhostError, match="cgroupsPerQOS: false") as caught:
        Run(world, verb)()
    assert "cgroupsPerQOS: true" in caught.value.hint
    assert world.changed == []


# ---- what pods see of the node ----


def target(path: str = "/etc/kubernetes/manifests", logs: str = "/var/log/pods") -> NodeTarget:
    return NodeTarget("cp-1", "amd64", "image", path, logs)


def seen(pod: dict) -> dict[str, str]:
    """Return the node's directories, by where the pod's container has them."""
    paths = {v["name"]: v["hostPath"]["path"] for v in pod["spec"]["volumes"] if "hostPath" in v}
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    return {one["mountPath"]: paths[one["name"]] for one in mounts if one["name"] in paths}


def test_the_agent_sees_two_directories_of_the_node():
    """By mounts of their own: the kubelet's way to them may lead over a symbolic link. The kubelet's
    directory and ours are in one, so that a rename from one to the other is one."""
    assert seen(agent_pod.manifest(target())) == {
        "/host/etc/kubernetes": "/etc/kubernetes",
        "/host/var/log/pods": "/var/log/pods",
    }


def test_a_static_pod_path_may_be_just_below_the_root():
    assert seen(agent_pod.manifest(target("/manifests"))) == {
        "/host": "/",
        "/host/var/log/pods": "/var/log/pods",
    }


@pytest.mark.parametrize("path", ["/etc/kubernetes/manifests", "/manifests"])
def test_each_directory_that_the_agent_is_told_of_is_in_a_mount(path):
    at = target(path, "/data/logs")
    mounts = seen(agent_pod.manifest(at))
    told = {*at.arguments, "/host/data/logs"} - {"--dir", "--manifests"}
    assert all(any(one.startswith(f"{mount}/") or one == mount for mount in mounts) for one in told)


def test_the_guardian_sees_the_kubelets_directory_and_ours():
    pod = guardian.manifest(target())
    assert seen(pod) == {
        f"/host/etc/kubernetes/{name}": f"/etc/kubernetes/{name}"
        for name in ("manifests", "kubectl-selfhost")
    }


def test_the_guardian_may_work_where_selinux_is_enforcing():
    context = guardian.manifest(target())["spec"]["containers"][0]["securityContext"]
    assert context["seLinuxOptions"] == {"type": "spc_t"}


# ---- the guardian's list ----


def test_an_address_is_told_only_if_it_is_known():
    listed = guardian.guarded_list(
        [Guarded("a", 1, "a.yaml", "127.0.0.1"), Guarded("b", 2, "b.yaml")]
    )
    assert listed == (
        "component=a\nport=1\nfile=a.yaml\naddress=127.0.0.1\n"
        "component=b\nport=2\nfile=b.yaml\nend=1\n"
    )


def addresses(world: World) -> list[str]:
    lines = world.nodes[0].disk.recovery["guarded"].splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith("address=")]


def test_the_guardian_is_told_where_each_component_listens(world):
    Run(world)()
    assert addresses(world) == ["0.0.0.0", "127.0.0.1", "127.0.0.1"]


class Kept:
    """An agent that keeps what it is given to store."""

    def __init__(self) -> None:
        self.target = target()
        self.stored: dict[str, str] = {}

    def manifests(self) -> list:
        return []

    kept = manifests

    def store_recovery(self, name: str, content: str) -> None:
        self.stored[name] = content

    def install_guardian(self, manifest: str) -> None: ...


@pytest.mark.parametrize(
    ("said", "told"),
    [("$(HOST_IP)", "address=10.0.0.11\n"), ("$(ELSEWHERE)", ""), ("fd00::1", "address=fd00::1\n")],
)
def test_an_address_by_a_variable_is_written_out(said, told):
    variable = {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    command = ["kube-scheduler", f"--bind-address={said}"]
    container = {"name": "kube-scheduler", "command": command, "env": [variable]}
    daemonset = {"spec": {"template": {"spec": {"containers": [container]}}}}
    agent = Kept()
    facts = NodeFacts("cp-1", "10.0.0.11", None, "amd64")
    on_node.install_guardian(agent, {SCHEDULER: daemonset}, facts=facts)
    assert agent.stored["guarded"] == (
        f"component=kube-scheduler\nport=10259\nfile=kube-scheduler.yaml\n{told}end=1\n"
    )

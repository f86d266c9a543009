"""An upgrade on a fake control plane: what runs at its end, and what goes back if it does not hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes import records
from fakes.branches import came_to_its_end
from fakes.edge import Killed
from fakes.runs import Run, Seen
from fakes.store import Refusal
from fakes.world import World

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.flags import of_container
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import BEFORE_LABELS

NewWorld = Callable[[int], World]
OLD, PATCH, MINOR = "v1.37.2", "v1.37.3", "v1.38.0"


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> NewWorld:
    def make(nodes: int) -> World:
        world = World(nodes=nodes, monkeypatch=monkeypatch)
        Run(world, "pivot")()
        return records.add(world)

    return make


@pytest.fixture
def world(new_world: NewWorld) -> World:
    return new_world(1)


def containers(world: World) -> list[dict]:
    """Return the components' containers as they serve, on all nodes."""
    return [
        staticpod.component_container(one.pod)
        for node in world.nodes
        for component in COMPONENTS
        for one in node.serving(component.name)
    ]


def versions(world: World) -> set[str]:
    return {one["image"].rpartition(":")[2] for one in containers(world)}


def emulated(world: World) -> set[str]:
    return {of_container(one).get("emulated-version", "") for one in containers(world)}


def recorded(world: World) -> str:
    found = world.store.get("configmaps", "kubeadm-config", "kube-system")
    return str(found["data"]["ClusterConfiguration"])


def kube_proxy(world: World) -> str:
    found = world.store.get("daemonsets", "kube-proxy", "kube-system")
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def is_as_before(world: World) -> bool:
    assert versions(world) == {OLD}
    assert emulated(world) == {""}
    assert recorded(world) == records.CONFIGURATION
    assert kube_proxy(world).endswith(OLD)
    assert world.unserved() == []
    assert world.silent_api == world.empty_service == 0
    return True


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("version", [PATCH, MINOR])
def test_all_components_and_records_are_of_the_version_at_the_end(new_world, nodes, version):
    world = new_world(nodes)
    Run(world, "upgrade", {"version": version})()
    assert versions(world) == {version}
    assert emulated(world) == {""}
    assert recorded(world) == records.CONFIGURATION.replace(OLD, version)
    assert kube_proxy(world) == f"registry.k8s.io/kube-proxy:{version}"
    assert world.silent_api == world.empty_service == 0
    came_to_its_end(world, "upgrade")


def spoilt_from(world: World, version: str, component: str, how: str) -> None:
    """Have each process of a component and version run badly from its start."""
    world.spoils = lambda one: (
        how if one.component == component and _version(one) == version else ""
    )


def _version(process) -> str:
    image = staticpod.component_container(process.pod)["image"]
    return str(image.rpartition(":")[2])


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
@pytest.mark.parametrize("how", ["unready", "crashing"])
def test_a_version_that_does_not_get_ready_takes_all_components_back(world, component, how):
    spoilt_from(world, MINOR, component.name, how)
    with pytest.raises(SelfhostError):
        Run(world, "upgrade")()
    world.pass_time(60)
    assert is_as_before(world)


def while_it_is_watched(world: World, happen: Callable[[], None]) -> Seen:
    """Return an observer that lets something happen once the new version is watched."""

    class Watching(Seen):
        happened = False

        def step_waiting(self, why: str) -> None:
            super().step_waiting(why)
            if self.steps[-1] == "soak" and not self.happened:
                self.happened = True
                happen()

    return Watching()


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_a_restart_while_it_is_watched_takes_all_components_back(new_world, nodes, component):
    world = new_world(nodes)

    def restart() -> None:
        world.nodes[-1].serving(component.name)[0].restarts += 1

    with pytest.raises(SelfhostError, match=f"{component} on cp-{nodes} has restarted"):
        Run(world, "upgrade", seen=while_it_is_watched(world, restart))()
    world.pass_time(60)
    assert is_as_before(world)


@pytest.mark.parametrize("name", [one.name for one in COMPONENTS if one != APISERVER])
def test_what_stops_being_ready_while_it_is_watched_takes_all_components_back(world, name):
    def break_it() -> None:
        world.nodes[0].serving(name)[0].spoilt = "unready"

    with pytest.raises(SelfhostError, match=f"{name} on cp-1 is not Ready"):
        Run(world, "upgrade", {"soak": 90.0}, seen=while_it_is_watched(world, break_it))()
    world.pass_time(60)
    assert is_as_before(world)


def test_a_node_that_gets_not_ready_while_it_is_watched_takes_all_components_back(world):
    def break_it() -> None:
        node = world.store.get("nodes", "cp-1")
        node["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        world.store.touch(node)

    with pytest.raises(SelfhostError, match="node cp-1 is not Ready"):
        Run(world, "upgrade", {"soak": 90.0}, seen=while_it_is_watched(world, break_it))()
    assert versions(world) == {OLD}


def test_a_trouble_that_passes_is_borne(world):
    def for_a_while() -> None:
        world.fault(lambda call: call.path == "/readyz", "503", times=3)

    Run(world, "upgrade", {"soak": 60.0}, seen=while_it_is_watched(world, for_a_while))()
    assert versions(world) == {MINOR}


def interrupted_at(name: str):
    class Interrupting(Seen):
        def step_started(self, number: int, step: str, title: str) -> None:
            super().step_started(number, step, title)
            if step == name:
                raise KeyboardInterrupt

    return Interrupting()


def test_before_the_version_stays_ctrl_c_takes_everything_back(world):
    with pytest.raises(SelfhostError, match="Stopped by you"):
        Run(world, "upgrade", seen=interrupted_at("soak"))()
    world.pass_time(60)
    assert is_as_before(world)


def test_after_it_ctrl_c_leaves_what_runs_and_the_next_run_goes_on(world):
    seen = interrupted_at("roll-out/final/kube-controller-manager")
    with pytest.raises(SelfhostError, match="Stopped by you"):
        Run(world, "upgrade", seen=seen)()
    world.pass_time(60)
    assert versions(world) == {MINOR}
    assert emulated(world) == {"", "1.37"}
    assert recorded(world) == records.CONFIGURATION
    Run(world, "upgrade")()
    assert emulated(world) == {""}
    assert MINOR in recorded(world)
    assert world.silent_api == world.empty_service == 0


def test_what_an_earlier_run_changed_goes_back_too(world):
    last = world.fault(
        lambda call: call.changes and call.path.endswith("daemonsets/self-hosted-kube-scheduler"),
        "killed-after",
    )
    with pytest.raises(Killed):
        Run(world, "upgrade")()
    assert last.met == 1
    world.faults.clear()
    world.pass_time(150)
    assert versions(world) == {MINOR}

    def restart() -> None:
        world.nodes[0].serving("kube-scheduler")[0].restarts += 1

    run = Run(world, "upgrade", seen=while_it_is_watched(world, restart))
    with pytest.raises(SelfhostError, match="kube-scheduler on cp-1 has restarted"):
        run()
    world.pass_time(60)
    assert versions(world) == {OLD}
    assert emulated(world) == {""}
    assert run.seen.warnings == []
    assert world.empty_service == 0


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_way_back_leads_to_what_was(new_world, nodes):
    world = new_world(nodes)
    Run(world, "upgrade")()
    world.pass_time(60)  # the former kube-proxies have gone
    changed = len(world.changed)
    Run(world, "upgrade", {"version": OLD, "back": True})()
    rolled = [
        call.path.rpartition("-")[2]
        for call in world.changed[changed:]
        if call.method == "PUT" and "daemonsets" in call.path
    ]
    assert rolled == ["proxy", "manager", "scheduler", "apiserver"]
    assert is_as_before(world)
    came_to_its_end(world, "upgrade")


FLAG = "use-service-account-credentials"


def manager_flags(world: World) -> dict[str, str]:
    return of_container(containers(world)[1])


def test_a_way_back_gives_flags_back_that_the_upgrade_took(world):
    Run(world, "upgrade", {"unset_flags": (FLAG,)})()
    assert FLAG not in manager_flags(world)
    Run(world, "upgrade", {"version": OLD, "back": True})()
    assert manager_flags(world)[FLAG] == "true"


def test_the_next_run_may_name_flags_that_the_interrupted_one_took(world):
    options = {"unset_flags": (FLAG,)}
    seen = interrupted_at("roll-out/final/kube-controller-manager")
    with pytest.raises(SelfhostError, match="Stopped by you"):
        Run(world, "upgrade", options, seen=seen)()
    world.pass_time(60)
    Run(world, "upgrade", options)()
    assert FLAG not in manager_flags(world)
    assert emulated(world) == {""}


def test_nobody_goes_back_under_a_newer_kubelet(world):
    Run(world, "upgrade")()
    node = world.store.get("nodes", "cp-1")
    node["status"]["nodeInfo"]["kubeletVersion"] = MINOR
    world.store.touch(node)
    with pytest.raises(SelfhostError, match="must not be newer than API servers"):
        Run(world, "upgrade", {"version": OLD, "back": True})()
    assert versions(world) == {MINOR}


def kept(world: World) -> dict[str, dict]:
    """Return the backups by name."""
    found = world.store.labelled("configmaps", "kube-system", BEFORE_LABELS)
    return {one["metadata"]["name"]: one["data"] for one in found}


def test_what_was_is_kept_for_the_last_two_upgrades(world):
    for version in ("v1.37.3", "v1.37.4", "v1.37.5"):
        Run(world, "upgrade", {"version": version})()
    assert set(kept(world)) == {f"kubectl-selfhost-before-v1.37.{n}" for n in (4, 5)}
    last = kept(world)["kubectl-selfhost-before-v1.37.5"]
    assert set(last) == {
        *(f"daemonset-self-hosted-{component}.json" for component in COMPONENTS),
        "daemonset-kube-proxy.json",
        "configmap-kubeadm-config.json",
    }
    assert "kube-scheduler:v1.37.4" in last["daemonset-self-hosted-kube-scheduler.json"]


def test_an_interrupted_upgrade_keeps_what_was_before_its_beginning(world):
    seen = interrupted_at("roll-out/final/kube-controller-manager")
    with pytest.raises(SelfhostError, match="Stopped by you"):
        Run(world, "upgrade", seen=seen)()
    world.pass_time(60)
    before = kept(world)
    Run(world, "upgrade")()
    assert kept(world) == before


def test_a_revert_leaves_nothing_of_it(world):
    Run(world, "upgrade")()
    Run(world, "revert")()
    assert kept(world) == {}
    assert world.ours() == []
    assert versions(world) == {MINOR}


def test_who_may_not_create_the_binding_is_told_the_command(world):
    def admit(plural: str, _: dict) -> None:
        if plural == "clusterrolebindings":
            raise Refusal(403, "Forbidden", "clusterrolebindings is forbidden")

    world.admit = admit
    run = Run(world, "upgrade", {"version": PATCH})
    run()
    (warning,) = run.seen.warnings
    assert "kubectl create clusterrolebinding kubeadm:apiserver-kubelet-client" in warning
    assert versions(world) == {PATCH}


def test_a_binding_that_is_there_stays(world):
    Run(world, "upgrade", {"version": PATCH})()
    made = world.store.get("clusterrolebindings", "kubeadm:apiserver-kubelet-client")
    Run(world, "upgrade", {"version": MINOR})()
    assert world.store.get("clusterrolebindings", "kubeadm:apiserver-kubelet-client") == made


def test_a_cluster_without_kubeadms_records_is_upgraded_too(monkeypatch):
    world = World(monkeypatch=monkeypatch)
    Run(world, "pivot")()
    Run(world, "upgrade")()
    assert versions(world) == {MINOR}


def test_an_emulation_that_a_person_wants_is_not_taken_for_an_upgrade(world):
    flags = {"emulated-version": ["1.36"]}
    Run(world, "rollout", {"components": (APISERVER,), "flags": flags})()
    world.changed.clear()
    with pytest.raises(SelfhostError, match="kube-apiserver has --emulated-version=1.36"):
        Run(world, "upgrade")()
    assert not [one for one in world.changed if "daemonsets" in one.path]


def test_the_same_version_again_only_looks(world):
    Run(world, "upgrade")()
    before = [one.uid for node in world.nodes for one in node.servers()]
    run = Run(world, "upgrade")
    run()
    assert [one.uid for node in world.nodes for one in node.servers()] == before
    assert run.seen.steps == ["kubelet-binding", "kubeadm-config", "kube-proxy", "verify"]


def test_the_plan_says_what_each_component_gets(world):
    run = Run(world, "upgrade")
    run.edge = world.client()
    prepared = run.command(run.edge.cluster()).prepare(run.seen)
    images = "registry.k8s.io/kube-scheduler:v1.38.0, --emulated-version=1.37."
    assert f"kube-scheduler gets the image {images}" in prepared.plan.know
    assert prepared.plan.facts["Behaves at first as"] == "1.37"


@pytest.mark.parametrize("nodes", [1, 3])
def test_the_report_has_the_commands_for_each_node(new_world, nodes):
    world = new_world(nodes)
    run = Run(world, "upgrade", {"version": PATCH})
    run()
    prepared = run.command(run.edge.cluster()).prepare(run.seen)
    said = prepared.whole.outcome().commands
    assert [line for line in said if line.endswith("as root:")] == [
        f"# On {node.name}, as root:" for node in world.nodes
    ]
    # On a lone node the DaemonSet's template has kubeadm's annotation.
    annotated = [line for line in said if "annotate pod" in line]
    assert len(annotated) == (0 if nodes == 1 else 1)
    assert all(line.endswith("advertise-address.endpoint=172.18.0.2:6443") for line in annotated)


def test_a_rollout_that_a_killed_run_left_is_waited_for(new_world):
    world = new_world(3)
    name = "daemonsets/self-hosted-kube-scheduler"
    world.fault(lambda call: call.changes and call.path.endswith(name), "killed-after")
    with pytest.raises(Killed):
        Run(world, "upgrade", {"version": PATCH})()
    world.faults.clear()
    run = Run(world, "upgrade", {"version": PATCH})
    run()
    assert "a former kube-scheduler on cp-1 is about to end" in run.seen.waited_for
    assert versions(world) == {PATCH}

from __future__ import annotations

from datetime import timedelta

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
)
from kubectl_selfhost.controlplane.instance import instances_of
from kubectl_selfhost.health.observe import observe
from kubectl_selfhost.health.state import ControlPlane


def seen(**objects: list) -> ControlPlane:
    return observe(**{"nodes": [api.node()], "pods": [], **objects})


def test_a_mirror_pod_is_a_static_instance():
    assert instances_of([api.static_pod(APISERVER)], APISERVER)[0].kind == "static"


def test_a_pod_of_our_daemonset_is_a_daemonset_instance():
    assert instances_of([api.our_pod(APISERVER)], APISERVER)[0].kind == "daemonset"


def test_a_pod_with_our_label_but_no_daemonset_is_no_instance():
    pod = api.our_pod(APISERVER)
    del pod["metadata"]["ownerReferences"]
    assert instances_of([pod], APISERVER) == []


def test_another_components_pods_are_passed_over():
    assert instances_of([api.static_pod(SCHEDULER), api.our_pod(SCHEDULER)], APISERVER) == []


def test_a_static_pod_that_is_not_mirrored_from_a_file_of_that_component_is_passed_over():
    etcd = api.static_pod(APISERVER)
    etcd["metadata"]["name"] = f"etcd-{api.NODE}"
    assert instances_of([etcd], APISERVER) == []


def test_a_pod_that_is_being_deleted_is_not_ready():
    pod = api.our_pod(APISERVER)
    pod["metadata"]["deletionTimestamp"] = api.ago(1)
    instance = instances_of([pod], APISERVER)[0]
    assert (instance.ready, instance.phase) == (False, "Terminating")


def test_since_is_when_the_process_started():
    instance = instances_of([api.our_pod(APISERVER)], APISERVER)[0]
    assert instance.since == api.NOW - timedelta(seconds=312)


def test_a_pod_of_ours_waits_while_its_init_container_runs():
    instance = instances_of([api.waiting_pod(APISERVER)], APISERVER)[0]
    assert instance.waiting_for_port
    assert instance.phase == "Init:0/1"


def test_a_pod_whose_init_container_has_ended_does_not_wait():
    assert not instances_of([api.our_pod(APISERVER)], APISERVER)[0].waiting_for_port


def test_a_crash_loops_reason_is_how_it_ended_last():
    pod = api.crashing_pod(APISERVER, message="I1124 starting\nError: unknown flag: --bad\n")
    instance = instances_of([pod], APISERVER)[0]
    assert instance.phase == "CrashLoopBackOff"
    assert instance.restarts == 3
    assert instance.reason == ("CrashLoopBackOff: exit code 1: Error: unknown flag: --bad")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'E1124 07:53:24.875424       1 run.go:72] "command failed" err="listen: \\"in use\\""',
            'listen: "in use"',
        ),
        ("F1124 07:53:24.8 12 main.go:1] it can't be", "it can't be"),
        ("Error: unknown flag: --bad", "Error: unknown flag: --bad"),
    ],
)
def test_of_a_klog_line_the_error_is_told(line: str, said: str):
    instance = instances_of([api.crashing_pod(APISERVER, message=line)], APISERVER)[0]
    assert instance.reason == f"CrashLoopBackOff: exit code 1: {said}"


def test_a_missing_images_reason_begins_with_kubernetes_own_word():
    waiting = {"reason": "ErrImageNeverPull", "message": "Container image is not present"}
    pod = api.our_pod(
        APISERVER,
        ready=False,
        phase="Pending",
        initialized=False,
        initContainerStatuses=[api.container("wait-port", waiting=waiting)],
    )
    instance = instances_of([pod], APISERVER)[0]
    assert instance.phase == "Init:ErrImageNeverPull"
    assert instance.reason == "ErrImageNeverPull: Container image is not present"


def test_a_pod_that_could_not_be_scheduled_says_why():
    pod = api.our_pod(APISERVER, ready=False, phase="Pending", containerStatuses=[])
    pod["status"]["initContainerStatuses"] = []
    pod["status"]["conditions"] = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available:\n1 Insufficient cpu.",
        }
    ]
    instance = instances_of([pod], APISERVER)[0]
    assert instance.reason == "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."


def test_a_process_that_is_not_started_yet_says_so():
    pod = api.our_pod(APISERVER, ready=False)
    assert "startup probe" in instances_of([pod], APISERVER)[0].reason


def test_an_evicted_pod_shows_why_as_its_phase():
    pod = api.our_pod(
        APISERVER,
        ready=False,
        phase="Failed",
        reason="Evicted",
        message="low on memory",
        containerStatuses=[],
    )
    instance = instances_of([pod], APISERVER)[0]
    assert (instance.phase, instance.reason) == ("Evicted", "Evicted: low on memory")


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, "Error"),
        ({"terminated": {"exitCode": 2}}, "ExitCode:2"),
        ({"terminated": {"exitCode": 137, "signal": 9}}, "Signal:9"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
        ({"running": {}}, "Running"),
    ],
)
def test_the_phase_is_kubectls_status_column(state: dict, phase: str):
    status = [api.container(APISERVER.name, **state)]
    pod = api.our_pod(APISERVER, ready=False, containerStatuses=status)
    assert instances_of([pod], APISERVER)[0].phase == phase


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, "Init:Error"),
        ({"terminated": {"exitCode": 3}}, "Init:ExitCode:3"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "Init:CrashLoopBackOff"),
        ({"waiting": {"reason": "PodInitializing"}}, "Init:0/1"),
    ],
)
def test_the_phase_of_an_init_container_is_kubectls_too(state: dict, phase: str):
    pod = api.waiting_pod(APISERVER)
    pod["status"]["initContainerStatuses"] = [api.container("wait-port", **state)]
    assert instances_of([pod], APISERVER)[0].phase == phase


def test_static_pods_serve():
    control_plane = observe(**api.static_plane())
    assert control_plane.serves(APISERVER, control_plane.nodes[0]) == "static"


def test_a_daemonsets_pods_serve():
    control_plane = observe(**api.self_hosted_plane())
    assert control_plane.serves(SCHEDULER, control_plane.nodes[0]) == "daemonset"


def test_while_one_waits_the_other_serves_alone():
    control_plane = seen(pods=[api.static_pod(APISERVER), api.waiting_pod(APISERVER)])
    assert control_plane.serves(APISERVER, control_plane.nodes[0]) == "static"


def test_two_that_are_ready_serve_both():
    control_plane = seen(pods=[api.static_pod(APISERVER), api.our_pod(APISERVER)])
    assert control_plane.serves(APISERVER, control_plane.nodes[0]) == "both"
    assert not control_plane.self_hosted(APISERVER, control_plane.nodes[0])


def test_none_serves_if_none_is_ready():
    control_plane = seen(pods=[api.static_pod(APISERVER, ready=False)])
    assert control_plane.serves(APISERVER, control_plane.nodes[0]) == "none"


def test_a_component_is_not_self_hosted_while_its_static_pod_is_still_there():
    pods = [api.static_pod(APISERVER, ready=False), api.our_pod(APISERVER)]
    control_plane = seen(pods=pods)
    assert not control_plane.self_hosted(APISERVER, control_plane.nodes[0])


def test_a_node_is_described_by_its_object():
    node = seen(nodes=[api.pivoted()]).nodes[0]
    assert (node.ready, node.host_ip, node.arch, node.os) == (True, "172.18.0.2", "amd64", "linux")
    assert (node.kubelet_version, node.pivoted, node.labelled) == ("v1.37.2", True, True)


def test_a_node_whose_state_is_unknown_is_not_ready():
    assert seen(nodes=[api.node(ready=False)]).nodes[0].ready is False


def test_workers_do_not_count():
    worker = api.node("worker")
    del worker["metadata"]["labels"]["node-role.kubernetes.io/control-plane"]
    assert [n.name for n in seen(nodes=[api.node(), worker]).nodes] == [api.NODE]


def test_a_node_that_cannot_be_seen_counts_by_its_pods():
    control_plane = seen(nodes=[], pods=[api.static_pod(APISERVER)])
    assert control_plane.nodes[0].name == api.NODE
    assert control_plane.nodes[0].ready is None


def test_a_control_plane_node_without_pods_is_empty():
    assert seen().nodes[0].empty


def test_instances_belong_to_their_node():
    pods = [api.static_pod(APISERVER, on="a"), api.static_pod(APISERVER, on="b")]
    control_plane = seen(nodes=[api.node("a"), api.node("b")], pods=pods)
    names = {n.name: [i.pod for i in n.instances["kube-apiserver"]] for n in control_plane.nodes}
    assert names == {"a": ["kube-apiserver-a"], "b": ["kube-apiserver-b"]}


def test_a_roll_out_is_complete_when_all_numbers_agree():
    control_plane = seen(daemonsets=[api.daemonset(APISERVER)])
    assert control_plane.daemonsets["self-hosted-kube-apiserver"].complete


@pytest.mark.parametrize("amiss", [{"ready": 0}, {"updated": 0}])
def test_a_roll_out_is_not_complete_while_one_lags(amiss: dict):
    control_plane = seen(daemonsets=[api.daemonset(APISERVER, **amiss)])
    assert not control_plane.daemonsets["self-hosted-kube-apiserver"].complete


def test_a_roll_out_is_not_complete_before_its_controller_has_seen_it():
    daemonset = api.daemonset(APISERVER)
    daemonset["metadata"]["generation"] = 3
    assert not seen(daemonsets=[daemonset]).daemonsets["self-hosted-kube-apiserver"].complete


def test_other_daemonsets_are_passed_over():
    proxy = api.daemonset(APISERVER)
    proxy["metadata"]["name"] = "kube-proxy"
    assert seen(daemonsets=[proxy]).daemonsets == {}


def test_a_daemonset_that_somebody_else_made_is_not_ours():
    foreign = api.daemonset(APISERVER)
    foreign["metadata"]["labels"] = {}
    assert not seen(daemonsets=[foreign]).daemonsets["self-hosted-kube-apiserver"].ours


def test_the_leader_is_on_the_node_that_its_identity_names():
    control_plane = seen(leases=api.leases())
    leader = control_plane.leaders[SCHEDULER.name]
    assert leader.current
    assert leader.is_on(control_plane.nodes[0].hosts)
    assert leader.transitions == 1


def test_a_leader_whose_name_begins_alike_is_on_another_node():
    control_plane = seen(leases=api.leases(on=api.NODE + "2"))
    assert not control_plane.leaders[SCHEDULER.name].is_on(control_plane.nodes[0].hosts)


def test_a_lease_that_others_have_outlived_is_not_current():
    stale = api.lease(SCHEDULER.lease, "a_1", renewed=17)
    fresh = api.lease(CONTROLLER_MANAGER.lease, "a_2", renewed=1)
    control_plane = seen(leases=[stale, fresh])
    assert not control_plane.leaders[SCHEDULER.name].current
    assert control_plane.leaders[CONTROLLER_MANAGER.name].current


def test_a_lease_that_was_given_back_has_no_leader():
    assert seen(leases=[api.lease(SCHEDULER.lease, "")]).leaders == {}


def test_who_holds_our_lease_is_a_run_going_on():
    control_plane = seen(leases=[api.lease("kubectl-selfhost", "ada@laptop"), *api.leases()])
    assert control_plane.run_going_on.holder == "ada@laptop"


def test_a_run_that_was_killed_is_not_going_on():
    dead = api.lease("kubectl-selfhost", "ada@laptop", renewed=30)
    assert seen(leases=[dead, *api.leases()]).run_going_on is None


def test_an_agents_pod_is_seen():
    pods = [api.agent_pod(), api.static_pod(APISERVER)]
    assert [pod.name for pod in seen(pods=pods).agents] == [f"kubectl-selfhost-agent-{api.NODE}"]


def test_a_run_whose_end_was_never_written_is_unfinished():
    control_plane = seen(configmaps=[api.journal(api.run(), api.run(ended=False, outcome=None))])
    assert control_plane.unfinished_run["ended"] is None


def test_a_run_that_is_still_going_on_is_not_unfinished():
    control_plane = seen(
        configmaps=[api.journal(api.run(ended=False, outcome=None))],
        leases=[api.lease("kubectl-selfhost", "ada@laptop")],
    )
    assert control_plane.unfinished_run is None


def test_a_failed_run_that_has_ended_is_not_unfinished():
    control_plane = seen(configmaps=[api.journal(api.run(outcome="failed"))])
    assert control_plane.unfinished_run is None
    assert control_plane.last_run["outcome"] == "failed"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": 3}', "\x1b"])
def test_a_journal_that_makes_no_sense_is_said_to_be_damaged(text: str):
    configmap = {
        "metadata": {"name": "kubectl-selfhost-journal"},
        "data": {"journal.json": text},
    }
    control_plane = seen(configmaps=[configmap])
    assert control_plane.journal_damaged
    assert control_plane.last_run is None


def test_no_journal_is_no_damage():
    assert not seen().journal_damaged


def test_every_component_of_a_healthy_plane_has_an_instance():
    control_plane = observe(**api.static_plane())
    assert all(control_plane.nodes[0].instances[c.name] for c in COMPONENTS)

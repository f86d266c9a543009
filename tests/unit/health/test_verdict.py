from __future__ import annotations

from datetime import datetime, timezone

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
)
from kubectl_selfhost.controlplane.program import Carrier, Reference
from kubectl_selfhost.health.notices import Notice, notices
from kubectl_selfhost.health.observe import observe
from kubectl_selfhost.health.state import ControlPlane, NodeState, RolloutState
from kubectl_selfhost.health.verdict import Verdict, _again, judge

PIVOT = "kubectl selfhost pivot"
NOW = datetime(2026, 11, 26, tzinfo=timezone.utc)


def verdict_on(plane: dict, **more: list) -> Verdict:
    return judge(observe(**{**plane, **more}))


def half_pivoted() -> dict:
    plane = api.self_hosted_plane()
    plane["pods"][2] = api.static_pod(SCHEDULER)
    return plane


def test_static_pods_that_all_serve_are_healthy():
    verdict = verdict_on(api.static_plane())
    assert (verdict.state, verdict.healthy, verdict.next) == ("static", True, PIVOT)


def test_a_pivoted_control_plane_is_healthy():
    verdict = verdict_on(api.self_hosted_plane())
    assert (verdict.state, verdict.healthy, verdict.next) == ("self-hosted", True, "")


def test_a_former_static_pod_that_ends_takes_nothing_from_it():
    plane = api.self_hosted_plane()
    plane["pods"].append(api.ending_pod(APISERVER))
    verdict = verdict_on(plane)
    assert (verdict.state, verdict.healthy, verdict.next) == ("self-hosted", True, "")
    assert verdict.unfinished == []


def test_some_of_each_is_partly_pivoted():
    verdict = verdict_on(half_pivoted())
    assert (verdict.state, verdict.healthy, verdict.next) == ("partly-pivoted", False, PIVOT)
    assert "2 of 3" in verdict.message


def test_a_run_that_goes_on_is_said_before_all_else():
    plane = half_pivoted()
    plane["leases"].append(api.lease("kubectl-selfhost", "ada@laptop"))
    verdict = verdict_on(plane)
    assert (verdict.state, verdict.healthy) == ("run-in-progress", False)
    assert "ada@laptop" in verdict.message


def test_a_component_that_nobody_serves_is_a_trouble_with_its_reason():
    plane = api.self_hosted_plane()
    plane["pods"][2] = api.crashing_pod(SCHEDULER, message="unknown flag")
    verdict = verdict_on(plane)
    assert (verdict.state, verdict.healthy) == ("degraded", False)
    assert str(verdict.troubles[0]) == (
        f"kube-scheduler doesn't serve on {api.NODE}: CrashLoopBackOff: exit code 1: unknown flag"
    )


def test_of_a_crash_loop_the_last_logs_tell_more():
    plane = api.self_hosted_plane()
    plane["pods"][2] = api.crashing_pod(SCHEDULER)
    command = "kubectl -n kube-system logs self-hosted-kube-scheduler-x7k2p --previous"
    assert verdict_on(plane).next == command


def test_of_a_pod_that_never_ran_its_description_tells_more():
    plane = api.self_hosted_plane()
    pod = api.our_pod(SCHEDULER, ready=False, phase="Pending", containerStatuses=[])
    plane["pods"][2] = pod
    assert verdict_on(plane).next.startswith("kubectl -n kube-system describe pod ")


def test_what_a_run_left_half_done_the_next_run_mends():
    plane = half_pivoted()
    plane["pods"][1] = api.crashing_pod(CONTROLLER_MANAGER)
    plane["configmaps"] = [api.journal(api.run(ended=False, outcome=None))]
    verdict = verdict_on(plane)
    assert (verdict.state, verdict.next) == ("degraded", PIVOT)


def test_of_a_pod_that_waits_for_its_port_the_waiters_logs_tell_more():
    plane = api.self_hosted_plane()
    plane["pods"][0] = api.waiting_pod(APISERVER)
    assert verdict_on(plane).next.endswith("logs self-hosted-kube-apiserver-x7k2p -c wait-port")


def test_a_component_without_any_pod_is_a_trouble():
    plane = api.self_hosted_plane()
    del plane["pods"][1]
    assert "kube-controller-manager has no pod" in verdict_on(plane).message


def test_a_node_that_is_not_ready_is_a_trouble():
    verdict = verdict_on(api.static_plane(), nodes=[api.node(ready=False)])
    assert (verdict.state, verdict.next) == ("degraded", f"kubectl describe node {api.NODE}")


def test_a_control_plane_node_in_name_only_is_left_alone():
    verdict = verdict_on(api.static_plane(), nodes=[api.node(), api.node("second")])
    assert verdict.message == "static pods on 1 node, healthy; not self-hosted"


def test_a_component_without_leader_is_a_trouble():
    leases = [
        api.lease(SCHEDULER.lease, "a_1", renewed=40),
        api.lease(CONTROLLER_MANAGER.lease, "a_2"),
    ]
    verdict = verdict_on(api.static_plane(), leases=leases)
    assert verdict.message == "degraded: no kube-scheduler leads"


def test_without_leader_election_nobody_need_lead():
    assert verdict_on(api.static_plane(), leases=[]).healthy


def test_a_roll_out_that_is_under_way_is_a_trouble():
    plane = api.self_hosted_plane()
    plane["daemonsets"][0] = api.daemonset(APISERVER, updated=0)
    verdict = verdict_on(plane)
    assert verdict.state == "degraded"
    assert verdict.next == (
        "kubectl -n kube-system rollout status daemonset/self-hosted-kube-apiserver"
    )


def test_a_roll_out_that_is_stuck_says_on_what():
    plane = api.self_hosted_plane()
    plane["daemonsets"][0] = api.daemonset(APISERVER, updated=0)
    crashing = api.crashing_pod(APISERVER)
    crashing["metadata"]["name"] += "2"
    plane["pods"].append(crashing)
    assert "CrashLoopBackOff" in str(verdict_on(plane).troubles[0])


def test_a_daemonset_that_waits_beside_static_pods_is_no_trouble_but_unfinished():
    plane = api.static_plane()
    plane["pods"] += [api.waiting_pod(c) for c in COMPONENTS]
    plane["daemonsets"] = [api.daemonset(c, ready=0) for c in COMPONENTS]
    verdict = verdict_on(plane)
    assert (verdict.state, verdict.troubles, verdict.next) == ("partly-pivoted", [], PIVOT)
    names = "kube-apiserver, kube-controller-manager and kube-scheduler"
    said = f"On {api.NODE} the self-hosted pods of {names} wait beside the static pods."
    assert verdict.unfinished == [said]


def test_daemonsets_that_run_nothing_are_unfinished():
    daemonsets = [api.daemonset(APISERVER, desired=0, ready=0, updated=0)]
    verdict = verdict_on(api.static_plane(), daemonsets=daemonsets)
    assert verdict.unfinished == ["DaemonSet self-hosted-kube-apiserver exists, but has no pods."]


def test_a_foreign_daemonset_of_our_name_is_not_our_unfinished_business():
    foreign = api.daemonset(APISERVER, desired=0, ready=0, updated=0)
    foreign["metadata"]["labels"] = {}
    assert verdict_on(api.static_plane(), daemonsets=[foreign]).unfinished == []


def test_an_agents_pod_that_is_left_over_is_unfinished():
    plane = api.self_hosted_plane()
    plane["pods"].append(api.agent_pod())
    verdict = verdict_on(plane)
    assert (verdict.healthy, verdict.next) == (False, PIVOT)
    assert "left over" in verdict.unfinished[0]


def test_an_interrupted_run_is_unfinished_and_says_where():
    plane = api.self_hosted_plane()
    plane["configmaps"] = [api.journal(api.run(ended=False, outcome=None))]
    verdict = verdict_on(plane)
    assert verdict.healthy is False
    assert verdict.unfinished == [
        "The last pivot was interrupted in the step hand-over/kube-apiserver."
    ]


def test_while_a_run_goes_on_its_agent_is_not_left_over():
    plane = api.self_hosted_plane()
    plane["pods"].append(api.agent_pod())
    plane["leases"].append(api.lease("kubectl-selfhost", "ada@laptop"))
    assert verdict_on(plane).unfinished == []


def test_a_cluster_without_kubeadms_pods_is_told_so():
    verdict = judge(observe(nodes=[api.node()], pods=[]))
    assert (verdict.state, verdict.healthy) == ("unknown", False)
    assert "no kubeadm control plane" in verdict.message


def test_what_could_not_be_read_leaves_the_verdict_open():
    verdict = judge(observe(**api.static_plane()), unread=["leases: forbidden"])
    assert (verdict.state, verdict.healthy) == ("unknown", False)


@pytest.mark.parametrize("number", range(3))
def test_both_serving_is_not_settled(number: int):
    plane = api.self_hosted_plane()
    plane["pods"].append(api.static_pod(COMPONENTS[number]))
    verdict = verdict_on(plane)
    assert verdict.state == "partly-pivoted"
    assert "Both" in verdict.unfinished[0]


# The node agent's program


def of_program(**facts: object) -> Verdict:
    secret = Reference("Secret", "kubectl-selfhost-agent-amd64-0123")
    daemonsets = tuple(c.daemonset for c in COMPONENTS)
    return judge(
        observe(**api.self_hosted_plane(), programs=[Carrier(secret, daemonsets, **facts)])
    )


def test_a_foreign_program_is_a_trouble():
    verdict = of_program(wrong="it is not immutable")
    assert (verdict.state, verdict.healthy) == ("degraded", False)
    assert str(verdict.troubles[0]) == (
        "the Secret kubectl-selfhost-agent-amd64-0123 does not hold the node agent's program: it is "
        "not immutable; kubectl selfhost did not make this object"
    )
    assert verdict.next.startswith(
        "kubectl -n kube-system get secret kubectl-selfhost-agent-amd64-0123 "
    )


def test_a_program_that_is_gone_is_a_trouble():
    verdict = of_program(missing=True)
    assert not verdict.healthy
    assert "is gone; without it the pods of self-hosted-kube-apiserver, " in verdict.message
    assert verdict.next == "kubectl selfhost rollout"
    assert of_program(missing=True, current=True).next == "kubectl selfhost sync"


def test_our_program_is_none():
    assert of_program().healthy


def of_images(image: str, *, kubelet: str, emulates: str = "") -> list[Notice]:
    """Return the notices of a healthy self-hosted node whose API server has this image."""
    own = RolloutState(
        APISERVER.daemonset, APISERVER.name, 1, 1, 1, 1, image=image, emulates=emulates
    )
    node = NodeState("cp-1", ready=True, kubelet_version=kubelet)
    seen = ControlPlane([node], daemonsets={APISERVER.daemonset: own})
    return notices(seen, certificates=(), taken=NOW, unread={})


def test_a_kubelet_that_is_older_than_the_api_server_is_named_with_the_command():
    (found,) = of_images("r/kube-apiserver:v1.38.0", kubelet="v1.37.2")
    assert "cp-1 (v1.37.2)" in found.text
    assert found.commands == ("kubectl selfhost upgrade v1.38.0",)
    assert of_images("r/kube-apiserver:v1.38.0", kubelet="v1.38.0") == []
    assert of_images("r/kube-apiserver:latest", kubelet="v1.37.2") == []


def test_an_upgrade_that_has_not_ended_is_named_with_the_command_that_ends_it():
    (found,) = of_images("r/kube-apiserver:v1.38.0", kubelet="v1.37.2", emulates="1.37")
    assert "behaves as Kubernetes 1.37" in found.text
    assert found.commands == ("kubectl selfhost upgrade v1.38.0",)


@pytest.mark.parametrize(
    ("verb", "again"),
    [
        ("upgrade v1.38.0", "kubectl selfhost upgrade v1.38.0"),
        ("upgrade --back v1.37.2", "kubectl selfhost upgrade --back v1.37.2"),
        ("upgrade v1.38.0; rm -rf /", "kubectl selfhost pivot"),
    ],
)
def test_the_next_command_is_never_a_strangers(verb, again):
    seen = ControlPlane([], journal={"runs": [{"verb": verb, "outcome": "failed"}]})
    assert _again(seen) == again

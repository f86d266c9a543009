"""A pivot as an operator does it, on a cluster with one control-plane node.

test_handover.py, with the machine for itself, counts what clients lose and what was restarted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from bed.harness import Bed, Result
from cluster import looks


@dataclass(frozen=True)
class Pivoted:
    """A pivoted cluster, its manifests as they were before, and the run that pivoted it."""

    bed: Bed
    before: dict[str, str]
    run: Result


@pytest.fixture(scope="module")
def pivoted(cluster: Bed) -> Pivoted:
    before = looks.manifest_files(cluster)
    return Pivoted(cluster, before, cluster.selfhost("pivot", "--yes", check=False))


@pytest.fixture(scope="module")
def bed(pivoted: Pivoted) -> Bed:
    return pivoted.bed


def test_it_is_done(pivoted):
    assert pivoted.run.returncode == 0, pivoted.run.stderr


def test_each_component_is_served_by_its_daemonset_alone(bed):
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


def test_of_the_static_pods_only_etcd_is_left(bed):
    assert looks.static_pods(bed) == {"etcd"}


def test_the_former_api_server_ends_by_itself(bed):
    looks.eventually(lambda: looks.nothing_ends(bed), what="its static pod is still there")
    assert looks.static_pods(bed) == {"etcd"}
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


def test_of_the_manifests_only_etcds_is_left_and_the_guardians_has_come(bed):
    assert set(looks.manifest_files(bed)) == {"etcd.yaml", f"{looks.GUARDIAN}.yaml"}


def test_no_recovery_copy_runs_while_all_is_well(bed):
    assert looks.recovery_pods(bed) == {looks.GUARDIAN}


def test_the_manifests_are_kept_byte_for_byte(bed, pivoted):
    kept = {f"{c}.yaml": pivoted.before[f"{c}.yaml"] for c in looks.COMPONENTS}
    assert looks.kept_files(bed) == kept


def test_no_pod_of_ours_is_left_over(bed):
    assert looks.agent_pods(bed) == []


def test_the_control_plane_works(bed):
    assert looks.works(bed)


def test_kubeadm_still_finds_the_api_servers_address(bed):
    pods = looks.objects(bed, "pods", "-l", "component=kube-apiserver,tier=control-plane")
    annotation = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"
    assert [p["metadata"]["annotations"].get(annotation) for p in pods] == [
        f"{pods[0]['status']['hostIP']}:6443"
    ]


def test_the_summary_says_how_the_api_looked_meanwhile(pivoted):
    assert "requests" in pivoted.run.stdout
    assert "longest time without an answer" in " ".join(pivoted.run.stdout.split())


def test_the_journal_has_the_digests(bed, pivoted):
    data = looks.objects(
        bed, "configmaps", "--field-selector", "metadata.name=kubectl-selfhost-journal"
    )
    journal = json.loads(data[0]["data"]["journal.json"])
    facts = journal["nodes"][bed.node]
    assert {c: facts[c]["sha256"] for c in looks.COMPONENTS} == {
        c: pivoted.before[f"{c}.yaml"] for c in looks.COMPONENTS
    }


def test_the_journal_on_the_node_has_them_too(bed):
    lines = bed.node_exec("cat", f"{looks.KEPT}/journal").splitlines()
    confirmed = {e["component"] for e in map(json.loads, lines) if e["event"] == "confirmed"}
    assert confirmed == set(looks.COMPONENTS)


def test_a_second_pivot_changes_nothing(bed):
    versions = _versions(bed)
    again = bed.selfhost("pivot", "--yes")
    assert again.returncode == 0
    assert "already self-hosted" in again.stderr
    assert _versions(bed) == versions


def test_status_says_so(bed):
    status = bed.selfhost("status")
    assert status.returncode == 0, status.stdout
    assert "self-hosted" in status.stdout


def test_status_as_data(bed):
    status = json.loads(bed.selfhost("status", "-o", "json").stdout)
    assert (status["apiVersion"], status["kind"]) == ("kubectl-selfhost/v1alpha1", "Status")


@pytest.mark.parametrize("component", list(reversed(looks.COMPONENTS)))
def test_a_process_that_dies_is_started_again(bed, component):
    """By the kubelet alone: the API server's own pod needs no API to be started again."""
    daemonset = f"self-hosted-{component}"
    before = _restarts(bed, daemonset)
    bed.node_exec("pkill", "-9", "-f", f"^{component} ")
    looks.eventually(
        lambda: _restarts(bed, daemonset) > before and looks.ready_pods(bed, daemonset),
        seconds=90,
        what=f"{component} is not back",
    )


def _restarts(bed, daemonset: str) -> int:
    pods = looks.objects(bed, "pods", "-l", f"k8s-app={daemonset}")
    return sum(s["restartCount"] for pod in pods for s in pod["status"]["containerStatuses"])


def _versions(bed) -> dict[str, str]:
    """Return every object that a pivot could change, with its version. Pods change by themselves."""
    kinds = ("daemonsets", "configmaps", "secrets")
    found = [o for kind in kinds for o in looks.objects(bed, kind)]
    lease = looks.objects(bed, "leases", "--field-selector", "metadata.name=kubectl-selfhost")
    return {
        o["metadata"]["name"]: json.dumps([o.get("spec"), o.get("data")], sort_keys=True)
        for o in [*found, *lease]
    }

"""The recovery copies are what runs now, and a control plane without a guardian gets a guardian."""

from __future__ import annotations

import pytest
import yaml
from bed.harness import Bed
from cluster import looks

COPY = f"{looks.KEPT}/recovery/kube-scheduler.yaml"


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    """Return a pivoted cluster without a guardian."""
    run = cluster.selfhost("pivot", "--yes", "--no-reboot-recovery", check=False)
    assert run.returncode == 0, str(run)
    assert "does not come back by itself" in " ".join(run.stdout.split())
    return cluster


@pytest.fixture(scope="module")
def synced(bed: Bed) -> Bed:
    assert set(looks.manifest_files(bed)) == {"etcd.yaml"}
    assert "without a guardian" in bed.selfhost("status").stdout
    run = bed.selfhost("sync", "--yes", check=False)
    assert run.returncode == 0, str(run)
    return bed


def words_of_the_copy(bed: Bed) -> list[str]:
    words: list[str] = yaml.safe_load(bed.node_file(COPY))["spec"]["containers"][0]["command"]
    return words


def status(bed: Bed) -> str:
    return " ".join(bed.selfhost("status").stdout.split())


def test_sync_installs_the_guardian(synced):
    looks.eventually(lambda: looks.recovery_pods(synced) == {looks.GUARDIAN}, what="no guardian")
    assert "brings the API back" in status(synced)
    assert looks.agent_pods(synced) == []


def test_the_guardian_has_no_privileges(synced):
    (pod,) = looks.objects(synced, "pods", "-l", f"app.kubernetes.io/name={looks.GUARDIAN}")
    capabilities = synced.node_exec(
        "sh", "-c", "sed -n s/^CapEff:.//p /proc/$(pgrep -f '[a]gent guard ')/status"
    )
    assert int(capabilities, 16) == 0
    assert [volume["hostPath"]["path"] for volume in pod["spec"]["volumes"]] == [
        looks.MANIFESTS,
        looks.KEPT,
    ]


def test_a_copy_that_fits_is_not_warned_of(synced):
    assert "recovery copy of" not in status(synced)


def test_a_roll_out_renews_the_copy(synced):
    synced.selfhost("rollout", "kube-scheduler", "--set-flag=v=3", "--yes")
    pods = looks.objects(synced, "pods", "-l", "k8s-app=self-hosted-kube-scheduler")
    assert ["--v=3" in p["spec"]["containers"][0]["command"] for p in pods] == [True]
    assert looks.works(synced)
    assert "--v=3" in words_of_the_copy(synced)
    assert "recovery copy of" not in status(synced)


def test_a_change_with_kubectl_is_told_and_synced(synced):
    patch = (
        '[{"op": "add", "path": "/spec/template/spec/containers/0/command/-", "value": "--v=4"}]'
    )
    name = "daemonset/self-hosted-kube-scheduler"
    synced.kubectl("-n", "kube-system", "patch", name, "--type=json", "-p", patch)
    synced.kubectl("-n", "kube-system", "rollout", "status", name, "--timeout=120s")
    assert "The recovery copy of kube-scheduler" in status(synced)
    synced.selfhost("sync", "--yes")
    assert "--v=4" in words_of_the_copy(synced)
    assert "recovery copy of" not in status(synced)

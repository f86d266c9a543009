"""What a pivot shows, and what it refuses, before it switches anything: the cluster stays as it was.

All cases share a cluster. After each refusal the test compares the cluster with its state before, so
the pivot at the end is the second run of every one of them.
"""

from __future__ import annotations

import json
import time

import pytest
import yaml
from bed.harness import Bed
from cluster import faults, looks
from cluster.runs import LET_THROUGH, OURS, PIVOT, completes, fails, is_as_before

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.pod import difference, staticpod


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    return cluster


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_a_mirror_pod_means_what_the_file_on_the_node_means(bed, component):
    name = component.mirror_pod(bed.node)
    mirror = json.loads(bed.kubectl("-n", "kube-system", "get", "pod", name, "-o", "json"))
    file = yaml.safe_load(bed.node_exec("cat", f"{looks.MANIFESTS}/{component}.yaml"))
    assert difference.meaning(staticpod.from_mirror_pod(mirror), file) == []


def test_the_plan_is_shown_and_nothing_changed(bed):
    seen = bed.selfhost("pivot", "--dry-run=client")
    assert seen.returncode == 0, seen.stderr
    assert "kube-apiserver" in seen.stdout
    assert "Nothing was changed" in seen.stderr
    assert looks.objects(bed, "daemonsets", "-l", OURS) == []


def test_the_plan_fits_80_columns(bed):
    lines = bed.selfhost("pivot", "--dry-run=client").stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []


def test_the_manifests_can_be_applied_as_they_are(bed):
    manifests = bed.selfhost("pivot", "--dry-run=client", "-o", "yaml").stdout
    said = bed.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifests)
    assert said.count("created (server dry run)") == 4


def test_json_is_a_list_of_the_same(bed):
    whole = json.loads(bed.selfhost("pivot", "--dry-run=client", "-o", "json").stdout)
    assert [o["kind"] for o in whole["items"]] == ["Secret", *["DaemonSet"] * 3]


def test_names(bed):
    names = bed.selfhost("pivot", "--dry-run=client", "-o", "name").stdout.split()
    assert names[1:] == [f"daemonset.apps/self-hosted-{c}" for c in looks.COMPONENTS]


def test_the_server_judges_them(bed):
    seen = bed.selfhost("pivot", "--dry-run=server", "-o", "name")
    assert seen.returncode == 0, seen.stderr


def test_without_a_terminal_and_yes_it_refuses(bed):
    refused = bed.selfhost("pivot", check=False)
    assert refused.returncode == 1
    assert "no terminal" in refused.stderr


def test_admission_changes_our_pods(bed):
    manifests = looks.manifest_files(bed)
    bed.kubectl("apply", "-f", "-", stdin=faults.bad_flag("kube-scheduler"))
    time.sleep(2)
    fails(bed, *PIVOT, because="--no-such-flag")
    is_as_before(bed, manifests)
    bed.kubectl("delete", "-f", "-", stdin=faults.bad_flag("kube-scheduler"))
    time.sleep(2)  # policies are out of force within a moment, not at once


def test_the_image_can_not_be_pulled(bed):
    manifests = looks.manifest_files(bed)
    fault = faults.unpullable("kube-apiserver")
    bed.kubectl("apply", "-f", "-", stdin=fault)
    time.sleep(2)
    said = fails(bed, *LET_THROUGH, because="self-hosted-kube-apiserver")
    assert "ImagePull" in said
    assert "pivot` again" in said
    is_as_before(bed, manifests)
    bed.kubectl("delete", "-f", "-", stdin=fault)
    time.sleep(2)  # policies are out of force within a moment, not at once


def test_admission_refuses_the_agents_pod(bed):
    manifests = looks.manifest_files(bed)
    bed.kubectl("apply", "-f", "-", stdin=faults.refuse_privileged())
    time.sleep(2)
    fails(bed, *PIVOT, because="the company says no")
    is_as_before(bed, manifests)
    bed.kubectl("delete", "-f", "-", stdin=faults.refuse_privileged())
    time.sleep(2)  # policies are out of force within a moment, not at once


def test_admission_refuses_the_daemonsets_pods(bed):
    manifests = looks.manifest_files(bed)
    fault = faults.refuse_controllers_pods("kube-scheduler")
    bed.kubectl("apply", "-f", "-", stdin=fault)
    time.sleep(2)
    fails(bed, *PIVOT, because="the company says no")
    is_as_before(bed, manifests)
    bed.kubectl("delete", "-f", "-", stdin=fault)
    time.sleep(2)  # policies are out of force within a moment, not at once


def test_a_foreign_daemonset_of_our_name(bed):
    manifests = looks.manifest_files(bed)
    foreign = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: self-hosted-kube-apiserver, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: theirs}}
  template:
    metadata: {labels: {k8s-app: theirs}}
    spec:
      nodeSelector: {no: node}
      containers: [{name: c, image: "registry.k8s.io/pause:3.10.2"}]
"""
    bed.kubectl("apply", "-f", "-", stdin=foreign)
    fails(bed, *PIVOT, because="self-hosted-kube-apiserver in kube-system was not made by")
    assert looks.manifest_files(bed) == manifests
    bed.kubectl("delete", "-f", "-", stdin=foreign)
    is_as_before(bed, manifests)


def test_the_manifest_is_not_where_it_should_be(bed):
    """It is somewhere else, and only a link to it is in the kubelet's directory."""
    path = f"{looks.MANIFESTS}/kube-scheduler.yaml"
    elsewhere = "/srv/kube-scheduler.yaml"
    manifests = looks.manifest_files(bed)
    without_kubelet(bed, f"mv {path} {elsewhere} && ln -s {elsewhere} {path}")
    said = fails(bed, *PIVOT, because="No file in /etc/kubernetes/manifests")
    assert "is the manifest of kube-scheduler" in said
    assert looks.works(bed)
    without_kubelet(bed, f"rm {path} && mv {elsewhere} {path}")
    is_as_before(bed, manifests)


def test_a_copy_of_the_manifest_lies_beside_it(bed):
    manifests = looks.manifest_files(bed)
    copied = f"{looks.MANIFESTS}/kube-scheduler.yaml.bak"
    bed.node_exec("cp", f"{looks.MANIFESTS}/kube-scheduler.yaml", copied)
    fails(bed, *PIVOT, because="kube-scheduler.yaml, kube-scheduler.yaml.bak")
    bed.node_exec("rm", copied)
    is_as_before(bed, manifests)


def without_kubelet(bed, script: str) -> None:
    """Run a script on the node while its kubelet is stopped; what runs there goes on running."""
    bed.node_exec("sh", "-c", f"systemctl stop kubelet && {script} && systemctl start kubelet")


def test_the_disk_is_full_in_our_directory(bed):
    manifests = looks.manifest_files(bed)
    bed.node_exec(
        "sh",
        "-c",
        f"mkdir -p {looks.KEPT} && mount -t tmpfs -o size=16k none {looks.KEPT} && "
        f"head -c 1M /dev/zero > {looks.KEPT}/full || true",
    )
    said = fails(bed, *PIVOT, because=looks.KEPT)
    assert "No space left" in said
    is_as_before(bed, manifests)
    bed.node_exec("umount", looks.KEPT)


def test_the_next_pivot_completes(bed):
    completes(bed)

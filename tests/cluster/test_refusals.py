"""A run that fails before it switches anything leaves the cluster as it was.

All cases share a cluster. After each case the test compares the cluster with its state before, so
the pivot at the end is the second run of every one of them.
"""

from __future__ import annotations

import time

import pytest
from bed.harness import Bed
from cluster import faults, looks
from cluster.runs import LET_THROUGH, PIVOT, completes, fails, is_as_before


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    return cluster


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

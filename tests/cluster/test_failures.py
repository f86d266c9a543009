"""What goes wrong on the way ends with a working control plane, a sentence, and a second run.

Each case has a cluster of its own.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time

import pytest
from cluster import faults, looks

PIVOT = ("pivot", "--yes", "--timeout=60s")
#: Lets pods through that admission changed, so that the switch itself meets them.
LET_THROUGH = (*PIVOT, "--ignore-preflight-errors=Admission")


@pytest.fixture
def bed(fresh_cluster):
    return fresh_cluster()


def fails(bed, *arguments: str, because: str) -> str:
    """Runs a pivot that must fail in words; gives back what it said."""
    run = bed.selfhost(*arguments, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert because in run.stderr, run.stderr
    looks.eventually(lambda: looks.answers(bed), seconds=30, what="the API does not answer")
    return run.stderr


def is_as_before(bed, manifests: dict[str, str]) -> None:
    """The control plane is static again, and nothing of ours is left."""
    looks.eventually(
        lambda: looks.static_pods(bed) == {"etcd", *looks.COMPONENTS},
        what="static pods are missing",
    )
    assert looks.manifest_files(bed) == manifests
    looks.eventually(lambda: looks.objects(bed, "daemonsets", "-l", OURS) == [], what="DaemonSets")
    looks.eventually(lambda: looks.agent_pods(bed) == [], what="an agent pod is left")
    assert looks.works(bed)


OURS = "app.kubernetes.io/managed-by=kubectl-selfhost"


def completes(bed, *arguments: str) -> None:
    """A second run ends with a self-hosted control plane."""
    run = bed.selfhost(*(arguments or ("pivot", "--yes")), check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.static_pods(bed) == {"etcd"}
    assert looks.agent_pods(bed) == []


def test_admission_changes_our_pods(bed):
    manifests = looks.manifest_files(bed)
    bed.kubectl("apply", "-f", "-", stdin=faults.bad_flag("kube-scheduler"))
    time.sleep(2)
    fails(bed, *PIVOT, because="--no-such-flag")
    is_as_before(bed, manifests)
    bed.kubectl("delete", "-f", "-", stdin=faults.bad_flag("kube-scheduler"))
    time.sleep(2)
    completes(bed)


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
    time.sleep(2)
    completes(bed)


@pytest.mark.parametrize("component", looks.COMPONENTS)
def test_a_bad_flag(bed, component):
    fault = faults.bad_flag(component)
    bed.kubectl("apply", "-f", "-", stdin=fault)
    time.sleep(2)
    said = fails(bed, *LET_THROUGH, because=component)
    assert "pivot` again" in said
    stays_static(bed, component, said)
    bed.kubectl("delete", "-f", "-", stdin=fault)
    time.sleep(2)
    completes(bed)


@pytest.mark.parametrize("component", looks.COMPONENTS)
def test_it_starts_and_never_gets_ready(bed, component):
    fault = faults.never_ready(component)
    bed.kubectl("apply", "-f", "-", stdin=fault)
    time.sleep(2)
    said = fails(bed, *LET_THROUGH, because=component)
    assert "pivot` again" in said
    stays_static(bed, component, said)
    bed.kubectl("delete", "-f", "-", stdin=fault)
    time.sleep(2)
    completes(bed)


def stays_static(bed, component: str, said: str) -> None:
    """The components before the failed one are self-hosted; it and those after it are static."""
    done = looks.COMPONENTS[: looks.COMPONENTS.index(component)]
    left = set(looks.COMPONENTS) - set(done)
    looks.eventually(
        lambda: looks.static_pods(bed) == {"etcd", *left},
        what=f"{looks.static_pods(bed)} are static, not {left}, after\n{said}",
    )
    assert looks.self_hosted(bed) == set(done)
    assert looks.agent_pods(bed) == []
    assert looks.works(bed)


def test_admission_refuses_the_agents_pod(bed):
    manifests = looks.manifest_files(bed)
    bed.kubectl("apply", "-f", "-", stdin=faults.refuse_privileged())
    time.sleep(2)
    fails(bed, *PIVOT, because="the company says no")
    is_as_before(bed, manifests)
    bed.kubectl("delete", "-f", "-", stdin=faults.refuse_privileged())
    time.sleep(2)
    completes(bed)


def test_admission_refuses_the_daemonsets_pods(bed):
    manifests = looks.manifest_files(bed)
    fault = faults.refuse_controllers_pods("kube-scheduler")
    bed.kubectl("apply", "-f", "-", stdin=fault)
    time.sleep(2)
    fails(bed, *PIVOT, because="the company says no")
    is_as_before(bed, manifests)
    bed.kubectl("delete", "-f", "-", stdin=fault)
    time.sleep(2)
    completes(bed)


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
    completes(bed)


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
    completes(bed)


def test_a_copy_of_the_manifest_lies_beside_it(bed):
    copied = f"{looks.MANIFESTS}/kube-scheduler.yaml.bak"
    bed.node_exec("cp", f"{looks.MANIFESTS}/kube-scheduler.yaml", copied)
    fails(bed, *PIVOT, because="kube-scheduler.yaml, kube-scheduler.yaml.bak")
    bed.node_exec("rm", copied)
    completes(bed)


def without_kubelet(bed, script: str) -> None:
    """Runs a script on the node while its kubelet is stopped; what runs there goes on running."""
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
    completes(bed)


def test_two_pivots_at_once(bed):
    first = bed.popen(*PIVOT)
    looks.eventually(lambda: looks.agent_pods(bed) != [], what="the first has not begun")
    said = fails(bed, *PIVOT, because="Another run of kubectl selfhost is going on")
    assert "Wait until it has ended" in said
    out, err = first.communicate(timeout=300)
    assert first.returncode == 0, out + err
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


@pytest.mark.parametrize("component", looks.COMPONENTS)
def test_the_agents_pod_is_deleted_midway(bed, component):
    run = bed.popen(*PIVOT)
    wait_for_line(run, f"hand-over/{component}")
    with contextlib.suppress(Exception):
        for pod in looks.agent_pods(bed):
            bed.kubectl(
                "-n", "kube-system", "delete", "pod", pod["metadata"]["name"], "--wait=false"
            )
    rest = run.communicate(timeout=300)[1]
    looks.eventually(lambda: looks.answers(bed), what="the API does not answer")
    # It may come too late to stop this component's switch; then it stops the next one, or nothing.
    if run.returncode != 0:
        assert "deleted by somebody" in rest, rest
    assert looks.works(bed)
    completes(bed)


@pytest.mark.parametrize(
    "moment",
    [
        "standby/",
        "hand-over/kube-apiserver:",
        "the static kube-apiserver is ending",
        "the lease of the static kube-controller-manager has to run out",
        "hand-over/kube-scheduler:",
    ],
)
def test_ctrl_c_just_when(bed, moment):
    run = bed.popen(*PIVOT)
    wait_for_line(run, moment)
    run.send_signal(signal.SIGINT)
    ends_in_order_after_ctrl_c(bed, run)


def test_ctrl_c_at_a_random_moment(bed):
    after = random.uniform(1.0, 45.0)
    print(f"Ctrl-C after {after:.1f} s")
    run = bed.popen(*PIVOT)
    time.sleep(after)
    run.send_signal(signal.SIGINT)
    ends_in_order_after_ctrl_c(bed, run)


def ends_in_order_after_ctrl_c(bed, run) -> None:
    out, err = run.communicate(timeout=300)
    assert "Traceback" not in err
    looks.eventually(lambda: looks.answers(bed), what="the API does not answer")
    if run.returncode != 0:
        assert run.returncode == 1, out + err
        assert looks.agent_pods(bed) == []
    assert looks.works(bed)
    completes(bed)


def wait_for_line(run, text: str) -> str:
    """Reads the run's stderr up to a line that has ``text``; gives it back."""
    for line in run.stderr:
        if text in line:
            return line
    raise AssertionError(f"the run ended without a line with {text!r}")

"""One run at a time: a run that was frozen while another took over touches nothing any more.

A fault that passes by itself ends no run: right after ``kubeadm certs renew`` the API server closes
its connections to the kubelet.
"""

from __future__ import annotations

import signal

import pytest
from bed.harness import Bed
from cluster import looks
from cluster.runs import OURS, PIVOT, wait_for_line


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    return cluster


def versions(bed: Bed) -> dict[str, tuple[str, str]]:
    """Return the uid and the resourceVersion of every object that a run may change; the components'
    own Leases and mirror pods' statuses change by themselves.
    """
    found = {}
    for kind in ("configmaps", "secrets", "daemonsets", "endpointslices"):
        for one in bed.get(kind, "--all-namespaces")["items"]:
            metadata = one["metadata"]
            key = f"{kind}/{metadata['namespace']}/{metadata['name']}"
            found[key] = (metadata["uid"], metadata["resourceVersion"])
    lease = bed.get("lease", "kubectl-selfhost", "-n", "kube-system")["metadata"]
    found["lease"] = (lease["uid"], lease["resourceVersion"])
    for pod in looks.objects(bed, "pods"):
        found[f"pod/{pod['metadata']['name']}"] = (pod["metadata"]["uid"], "")
    labels = bed.get("node", bed.node)["metadata"]["labels"]
    found["labels"] = (str(sorted(labels.items())), "")
    return found


def are_available(bed: Bed) -> bool:
    """Return whether the DaemonSets' controller has nothing more to write about them."""
    found = [one["status"] for one in looks.objects(bed, "daemonsets", "-l", OURS)]
    return len(found) == len(looks.COMPONENTS) and all(
        one.get("numberAvailable") == one["desiredNumberScheduled"] for one in found
    )


def freeze_in_the_hand_over(bed: Bed):
    """Return a pivot that is frozen while the new apiserver gets ready beside the old one."""
    run = bed.popen(*PIVOT)
    wait_for_line(run, "hand-over/kube-apiserver")
    wait_for_line(run, "self-hosted kube-apiserver:")
    run.send_signal(signal.SIGSTOP)
    return run


def wake(run) -> str:
    """Let a frozen run go on to its end; return what it said."""
    run.send_signal(signal.SIGCONT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1, out + err
    assert "Traceback" not in err
    return " ".join(err.split())


@pytest.mark.timeout(900)
def test_a_frozen_run_that_wakes_beside_the_next_one(bed):
    first = freeze_in_the_hand_over(bed)
    second = bed.popen(*PIVOT)
    wait_for_line(second, "hand-over/kube-apiserver")
    said = wake(first)
    assert f"-{second.pid}-" in said, said
    assert "holds the lease kube-system/kubectl-selfhost now" in said
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, out + err
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.agent_pods(bed) == []
    assert looks.works(bed)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_frozen_run_that_wakes_after_the_next_one(bed):
    run = bed.selfhost("revert", "--yes", check=False)
    assert run.returncode == 0, str(run)
    first = freeze_in_the_hand_over(bed)
    run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, str(run)
    looks.eventually(lambda: are_available(bed), what="a DaemonSet whose status still changes")
    before = versions(bed)
    said = wake(first)
    assert "held the lease kube-system/kubectl-selfhost meanwhile" in said
    assert versions(bed) == before


@pytest.mark.timeout(600)
def test_a_roll_out_right_after_certificates_were_renewed(bed):
    for _ in range(3):
        bed.node_exec("kubeadm", "certs", "renew", "all")
        run = bed.selfhost("rollout", "kube-scheduler", "--yes", check=False)
        assert run.returncode == 0, str(run)

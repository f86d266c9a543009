"""The probe against a real API server: one that serves all the time, and one that is away a while."""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager

import pytest
from cluster import looks

pytestmark = pytest.mark.alone

OURS = "app.kubernetes.io/name=kubectl-selfhost-probe"


@pytest.fixture(scope="module")
def bed(cluster):
    return cluster


@contextmanager
def apiserver_away(bed, *, seconds: float):
    """Remove the API server's manifest until the server has been away for ``seconds``, then put it
    back.
    """
    manifest = f"{looks.MANIFESTS}/kube-apiserver.yaml"
    bed.node_exec("mv", manifest, "/root/kube-apiserver.yaml")
    try:
        looks.eventually(lambda: not looks.answers(bed), what="the API server still answers")
        time.sleep(seconds)
        yield
    finally:
        bed.node_exec("mv", "/root/kube-apiserver.yaml", manifest)
        looks.eventually(lambda: looks.answers(bed), seconds=120, what="the API does not answer")


def left(bed) -> list[str]:
    """Return what a probe has made and not removed (the kubelet may take a moment)."""
    found = looks.objects(bed, "configmaps,secrets,pods", "-l", OURS)
    return [one["metadata"]["name"] for one in found]


def test_an_api_that_serves_has_no_failure(bed):
    run = bed.selfhost("probe", "--duration=5s", check=False)
    assert run.returncode == 0, run
    assert "Verdict:  none of " in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80
    assert run.stderr == ""
    assert left(bed) == []


def test_from_a_pod_too(bed):
    run = bed.selfhost("probe", "--duration=5s", "--in-cluster", "-o", "json", check=False)
    assert run.returncode == 0, run
    seen = json.loads(run.stdout)
    assert seen["remarks"] == []
    assert seen["inCluster"]["failures"] == {}
    assert seen["inCluster"]["requests"] > 200
    assert seen["inCluster"]["latency"]["p50"] < 1000
    assert seen["watch"]["events"] > 15
    looks.eventually(lambda: left(bed) == [], what="the probe's pod is left")


def test_who_may_not_write_is_told_what_is_left_out(bed):
    bed.kubectl(
        "create", "role", "seer", "-n", "kube-system", "--verb=get", "--resource=configmaps"
    )
    bed.kubectl("create", "rolebinding", "seer", "-n", "kube-system", "--role=seer", "--user=seer")
    run = bed.selfhost("probe", "--duration=2s", "--as=seer", check=False)
    assert run.returncode == 0, run
    assert "- Skipped write: you may not patch configmaps in kube-system." in run.stdout


def test_an_outage_is_seen_from_here_and_from_a_pod(bed):
    probe = bed.popen("probe", "--duration=0", "--in-cluster", "-o", "json")
    looks.eventually(
        lambda: any(
            pod["status"]["phase"] == "Running" for pod in looks.objects(bed, "pods", "-l", OURS)
        ),
        what="the probe's pod does not run",
    )
    time.sleep(3)
    with apiserver_away(bed, seconds=2):
        pass
    time.sleep(3)
    probe.send_signal(signal.SIGINT)
    out, err = probe.communicate(timeout=90)
    assert probe.returncode == 1, out + err
    seen = json.loads(out)
    kinds = {kind["name"]: kind for kind in seen["kinds"]}
    assert seen["remarks"] == ["Stopped early by Ctrl-C."]
    assert 2 < kinds["connect"]["longestGap"] < 60
    assert kinds["connect"]["failed"] > 50
    assert kinds["read"]["failed"] > 0
    assert kinds["write"]["failed"] > 0
    assert sum(seen["watch"]["ended"].values()) >= 1
    assert seen["watch"]["lost"] == 0, seen["watch"]
    assert 2 < seen["inCluster"]["longestGap"] < 60
    assert seen["slots"].count("failed") >= 3
    looks.eventually(lambda: left(bed) == [], what="something of the probe is left")

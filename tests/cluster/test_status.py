"""The status page against a real control plane that kubeadm made, healthy and broken."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from cluster import looks


@pytest.fixture
def bed(cluster):
    return cluster


def document(bed) -> dict:
    return json.loads(bed.selfhost("status", "-o", "json", check=False).stdout)


@contextmanager
def without_scheduler(bed):
    """Remove the scheduler's manifest, as somebody might do by hand."""
    manifest = f"{looks.MANIFESTS}/kube-scheduler.yaml"
    bed.node_exec("mv", manifest, "/root/kube-scheduler.yaml")
    try:
        looks.eventually(
            lambda: "kube-scheduler" not in looks.static_pods(bed),
            seconds=60,
            what="the static scheduler is still there",
        )
        yield
    finally:
        bed.node_exec("mv", "/root/kube-scheduler.yaml", manifest)
        looks.eventually(
            lambda: bed.selfhost("status", check=False).returncode == 0,
            seconds=120,
            what="the control plane isn't healthy again",
        )


def test_static_pods_that_serve_are_healthy(bed):
    status = bed.selfhost("status")
    assert status.returncode == 0
    assert "Verdict:      static pods on 1 node, healthy; not self-hosted" in status.stdout
    assert status.stdout.endswith("Next:         kubectl selfhost pivot\n")
    assert status.stderr == ""


def test_the_page_fits_80_columns(bed):
    assert max(map(len, bed.selfhost("status").stdout.splitlines())) <= 80


def test_who_serves_is_what_kubectl_shows(bed):
    pods = bed.get("pods", "-n", "kube-system", "-l", "tier=control-plane")["items"]
    images = {
        pod["metadata"]["name"]: (pod["metadata"]["uid"], pod["spec"]["containers"][0]["image"])
        for pod in pods
        if pod["metadata"]["labels"]["component"] in looks.COMPONENTS
    }
    found = document(bed)["nodes"][0]["components"]
    instances = [one for component in found for one in component["instances"]]
    assert {one["pod"]: (one["uid"], one["image"]) for one in instances} == images
    assert {one["kind"] for one in instances} == {"static"}


def test_the_phase_of_every_pod_is_kubectls_status_column(bed):
    from kubectl_selfhost.controlplane.pod.status import phase_and_restarts

    bed.kubectl(
        *("run", "broken", "--image=nowhere.invalid/none:1", "--image-pull-policy=Never"),
        "--restart=Never",
    )

    def same() -> bool:
        rows = bed.kubectl("get", "pods", "-A", "--no-headers").splitlines()
        shown = {row.split()[1]: row.split()[3] for row in rows}
        pods = bed.get("pods", "-A")["items"]
        ours = {p["metadata"]["name"]: phase_and_restarts(p)[0] for p in pods}
        return ours == shown and ours["broken"] == "ErrImageNeverPull"

    looks.eventually(same, seconds=30, what="not what kubectl shows")


def test_the_leader_is_on_the_node(bed):
    components = document(bed)["nodes"][0]["components"]
    assert {c["name"]: c["leader"] for c in components} == {
        "kube-apiserver": None,
        "kube-controller-manager": True,
        "kube-scheduler": True,
    }


def test_certificates_end_when_openssl_says_so(bed):
    shown = {one["of"]: one["notAfter"] for one in document(bed)["certificates"]}
    files = {"API server": "apiserver.crt", "cluster CA": "ca.crt"}
    for what, file in files.items():
        end = subprocess.run(
            ["openssl", "x509", "-noout", "-enddate"],
            input=bed.node_file(f"/etc/kubernetes/pki/{file}"),
            capture_output=True,
            check=True,
        ).stdout.decode()
        moment = time.strptime(end.strip().partition("=")[2], "%b %d %H:%M:%S %Y GMT")
        assert shown[what] == time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    assert "your client" in shown


def test_yaml_says_what_json_says(bed):
    import yaml

    said = yaml.safe_load(bed.selfhost("status", "-o", "yaml").stdout)
    assert said["nodes"] == document(bed)["nodes"]


def test_a_component_that_is_gone_is_a_trouble(bed):
    with without_scheduler(bed):
        status = bed.selfhost("status", check=False)
        assert status.returncode == 1
        assert "degraded: kube-scheduler has no pod on" in status.stdout
        assert document(bed)["verdict"]["state"] == "degraded"


def test_a_user_who_may_only_see_pods_sees_them(bed):
    bed.kubectl("create", "role", "seer", "-n", "kube-system", "--verb=list", "--resource=pods")
    bed.kubectl("create", "rolebinding", "seer", "-n", "kube-system", "--role=seer", "--user=seer")
    status = bed.selfhost("status", "--as=seer", check=False)
    assert status.returncode == 1
    assert re.search(r"kube-apiserver +static pod", status.stdout)
    assert "Could not read nodes:" in status.stdout


def test_a_user_who_may_see_nothing_is_told_so(bed):
    status = bed.selfhost("status", "--as=nobody", check=False)
    assert (status.returncode, status.stdout) == (1, "")
    assert "may not" in status.stderr
    assert "Traceback" not in status.stderr


def test_watching_in_a_pipe_prints_a_page_once(bed):
    process = bed.popen("status", "--watch")
    page = []
    while not (page and page[-1].startswith("Next:")):
        page.append(process.stdout.readline())
        assert page[-1], process.stderr.read()
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert rest == ""
    assert process.returncode == 0


def test_watching_on_a_terminal_draws_again(bed):
    master, slave = pty.openpty()
    process = bed.popen("status", "--watch", stdout=slave, env={"TERM": "xterm"})
    os.close(slave)
    try:
        text = ""
        while text.count("\x1b[2J") < 3:
            text += os.read(master, 65536).decode()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        os.close(master)
    assert text.count("Verdict:") >= 2

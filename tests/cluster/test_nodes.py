"""Three control-plane nodes behind a load balancer: one command for all, and nobody notices.

The tests share a cluster and build on each other, in this order: a static control plane is pivoted,
rolled out, restarted, and static again at the end.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time

import pytest
from bed import kindconfig
from bed.harness import Bed
from cluster import looks
from cluster.probes import nothing_is_lost, probed_at_each_node

KIND_CONFIG = kindconfig.control_planes(3)
PIVOT = ("pivot", "--yes", "--timeout=120s")
REVERT = ("revert", "--yes", "--timeout=120s")
CERTIFICATE = "/etc/kubernetes/pki/apiserver.crt"

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    assert len(cluster.nodes) == 3
    return cluster


@pytest.fixture
def pivoted(bed: Bed) -> Bed:
    """Return a cluster that is self-hosted on every node, even if the tests before were left out."""
    if self_hosted(bed) != on_all(bed):
        bed.selfhost(*PIVOT)
    return bed


def self_hosted(bed: Bed) -> dict[str, set[str]]:
    """Return by node the components that have only a DaemonSet's Ready pod."""
    found: dict[str, set[str]] = {node: set() for node in bed.nodes}
    for component in looks.COMPONENTS:
        for pod in looks.objects(bed, "pods", "-l", f"component={component}"):
            node = pod["spec"]["nodeName"]
            owners = pod["metadata"].get("ownerReferences", [{}])
            if looks.is_ready(pod) and owners[0].get("kind") == "DaemonSet":
                found[node].add(component)
    static = {
        (pod["spec"]["nodeName"], pod["metadata"]["labels"].get("component"))
        for pod in looks.objects(bed, "pods")
        if looks.is_static(pod)
    }
    return {n: {c for c in some if (n, c) not in static} for n, some in found.items()}


def on_all(bed: Bed) -> dict[str, set[str]]:
    return {node: set(looks.COMPONENTS) for node in bed.nodes}


def on_none(bed: Bed) -> dict[str, set[str]]:
    return {node: set() for node in bed.nodes}


def etcd_leader_changes(bed: Bed) -> dict[str, str]:
    """Return how often each member has seen the leader change."""
    script = "curl -s http://127.0.0.1:2381/metrics | grep ^etcd_server_leader_changes_seen_total"
    return {node: bed.node_exec("sh", "-c", script, node=node) for node in bed.nodes}


def last_steps(bed: Bed) -> list[dict]:
    content = bed.get("configmap", "kubectl-selfhost-journal", "-n", "kube-system")
    return json.loads(content["data"]["journal.json"])["runs"][-1]["steps"]


def test_the_plan_tells_each_node_once(bed):
    text = bed.selfhost("pivot", "--dry-run=client").stdout
    said = " ".join(text.split())
    assert f"then the same 9 on {bed.nodes[1]}, then on {bed.nodes[2]}:" in said, said
    assert text.count("Create DaemonSet self-hosted-kube-apiserver") == 1
    assert text.count("Hand kube-apiserver over from") == 1


@pytest.mark.soak
def test_nodes_that_differ_in_a_flag_are_told(bed):
    node = bed.nodes[1]
    file = f"{looks.MANIFESTS}/kube-scheduler.yaml"
    bed.node_exec(
        "sh",
        "-c",
        f"cp {file} /root/ && sed -i 's/- kube-scheduler$/&\\n    - --v=3/' {file}",
        node=node,
    )
    try:
        looks.eventually(
            lambda: "--v=3" in _command(bed, "kube-scheduler", node), what="the flag is not seen"
        )
        run = bed.selfhost("pivot", "--dry-run=client", check=False)
    finally:
        bed.node_exec("sh", "-c", f"cp /root/kube-scheduler.yaml {file}", node=node)
    assert run.returncode == 1
    assert "NodesAlike" in run.stderr
    said = " ".join(run.stderr.split())
    assert f"kube-scheduler on {node}: spec.containers[kube-scheduler].command --v" in said
    looks.eventually(
        lambda: "--v=3" not in _command(bed, "kube-scheduler", node), what="still there"
    )
    looks.eventually(
        lambda: looks.is_ready(bed.get("pod", f"kube-scheduler-{node}", "-n", "kube-system")),
        what="not Ready again",
    )


def _command(bed: Bed, component: str, node: str) -> list[str]:
    pod = bed.get("pod", f"{component}-{node}", "-n", "kube-system")
    return pod["spec"]["containers"][0]["command"]


def test_a_node_without_room_for_second_instances_is_told(bed):
    node = bed.nodes[1]
    free = int(bed.get("node", node)["status"]["allocatable"]["cpu"]) * 1000
    pods = bed.get("pods", "--all-namespaces", f"--field-selector=spec.nodeName={node}")["items"]
    image = next(one["spec"]["containers"][0]["image"] for one in pods)
    requests = [
        container["resources"].get("requests", {}).get("cpu", "0m")
        for pod in pods
        for container in pod["spec"]["containers"]
    ]
    used = sum(int(one.removesuffix("m")) * (1 if one.endswith("m") else 1000) for one in requests)
    large = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "large", "namespace": "default"},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "large",
                    "image": image,
                    "command": ["/does-not-exist"],
                    "resources": {"requests": {"cpu": f"{free - used - 50}m"}},
                }
            ],
        },
    }
    bed.kubectl("apply", "-f", "-", stdin=json.dumps(large))
    try:
        run = bed.selfhost("pivot", "--dry-run=client", check=False)
    finally:
        bed.kubectl("delete", "pod", "large", "-n", "default", "--now")
    assert run.returncode == 1
    said = " ".join(run.stderr.split())
    assert "HeadRoom" in said
    assert f"but node {node} has 50m left" in said or f"but node {node} has 50m and" in said, said


@pytest.mark.soak
def test_a_node_that_fails_is_put_back_and_the_others_stay(bed):
    """Its new apiserver finds no certificate; the old one has read it long ago."""
    first, second, third = bed.nodes
    bed.node_exec("mv", CERTIFICATE, f"{CERTIFICATE}.away", node=second)
    try:
        run = bed.selfhost(*PIVOT, check=False)
    finally:
        bed.node_exec("mv", f"{CERTIFICATE}.away", CERTIFICATE, node=second)
    assert run.returncode == 1, str(run)
    assert "Traceback" not in run.stderr
    assert second in run.stderr.splitlines()[-2] + run.stderr.splitlines()[-1], run.stderr
    assert self_hosted(bed) == {first: set(looks.COMPONENTS), second: set(), third: set()}
    assert looks.agent_pods(bed) == []
    status = bed.selfhost("status", check=False).stdout
    assert "partly pivoted: 3 of 9 components are self-hosted" in status


def test_killed_between_two_nodes_it_goes_on(bed):
    second, third = bed.nodes[1:]
    run = bed.popen(*PIVOT)
    for line in run.stderr:
        print(line, end="")
        if f"settled/{second}: done" in line:
            run.send_signal(signal.SIGKILL)
            break
    run.wait()
    assert self_hosted(bed)[second] == set(looks.COMPONENTS)
    assert self_hosted(bed)[third] == set()


def test_the_rest_is_pivoted_and_nothing_is_lost(bed, tmp_path):
    changes = etcd_leader_changes(bed)
    with probed_at_each_node(bed, tmp_path) as seen:
        run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, str(run)
    assert self_hosted(bed) == on_all(bed)
    nothing_is_lost(seen, ended=len(bed.nodes))
    assert etcd_leader_changes(bed) == changes
    assert looks.works(bed)


def test_status_shows_nodes_that_are_alike_as_one(bed):
    text = bed.selfhost("status").stdout
    assert f"Nodes {', '.join(bed.nodes)}" in " ".join(text.split())
    assert "self-hosted on 3 nodes, healthy" in text
    assert text.count("\nkube-scheduler ") == 1


def test_a_roll_out_reaches_every_node_and_loses_nothing(bed, tmp_path):
    with probed_at_each_node(bed, tmp_path) as seen:
        run = bed.selfhost("rollout", "kube-apiserver", "--set-flag=v=1", "--yes", check=False)
    assert run.returncode == 0, str(run)
    commands = [
        pod["spec"]["containers"][0]["command"]
        for pod in looks.objects(bed, "pods", "-l", "k8s-app=self-hosted-kube-apiserver")
    ]
    assert ["--v=1" in one for one in commands] == [True, True, True]
    nothing_is_lost(seen, ended=len(bed.nodes))
    assert self_hosted(bed) == on_all(bed)


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_a_roll_out_that_fails_on_one_node_is_taken_back_on_all(bed):
    before = _images_and_commands(bed)
    second = bed.nodes[1]
    bed.node_exec("mv", CERTIFICATE, f"{CERTIFICATE}.away", node=second)
    try:
        run = bed.selfhost("rollout", "kube-apiserver", "--set-flag=v=2", "--yes", check=False)
    finally:
        bed.node_exec("mv", f"{CERTIFICATE}.away", CERTIFICATE, node=second)
    assert run.returncode == 1, str(run)
    assert _images_and_commands(bed) == before, str(run)
    assert self_hosted(bed) == on_all(bed)


def _images_and_commands(bed: Bed) -> list[tuple[str, str, list[str]]]:
    return sorted(
        (pod["spec"]["nodeName"], one["image"], one["command"])
        for pod in looks.objects(bed, "pods", "-l", "k8s-app=self-hosted-kube-apiserver")
        if "deletionTimestamp" not in pod["metadata"]
        for one in pod["spec"]["containers"]
    )


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_one_node_is_restarted(bed):
    restart(bed.nodes[1:2])
    heals(bed)


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_all_nodes_are_restarted_at_once(bed):
    restart(bed.nodes)
    heals(bed)


def restart(nodes: list[str]) -> None:
    threads = [
        threading.Thread(
            target=subprocess.run,
            args=(["docker", "restart", node],),
            kwargs={"check": True, "capture_output": True},
        )
        for node in nodes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def heals(bed: Bed) -> None:
    began = time.monotonic()
    looks.eventually(lambda: looks.answers(bed), seconds=180, what="no API")
    print(f"the API answered after {time.monotonic() - began:.1f} s")
    looks.eventually(
        lambda: self_hosted(bed) == on_all(bed) and looks.recovery_pods(bed) == {looks.GUARDIAN},
        seconds=400,
        what="it is not as it was",
    )
    print(f"it is as it was after {time.monotonic() - began:.1f} s")


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_a_node_object_that_is_made_anew_gets_its_pods_back(bed):
    gets_its_pods_back(bed, bed.nodes[2])


def gets_its_pods_back(bed: Bed, node: str) -> None:
    """Delete the node's Node object and have it registered anew; a pivot gives the node its label
    again.
    """
    bed.kubectl("delete", "node", node)
    time.sleep(10)
    bed.node_exec("systemctl", "restart", "kubelet", node=node)
    looks.eventually(lambda: bed.get("node", node), what="it is not registered again")
    looks.eventually(
        lambda: (
            "the node has lost its label"
            in " ".join(bed.selfhost("status", check=False).stdout.split())
        ),
        what="status does not tell",
    )
    run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, str(run)
    heals(bed)


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_a_node_that_leaves_and_joins_again_is_taken_in(bed):
    first, node = bed.nodes[0], bed.nodes[2]
    run = bed.selfhost(*REVERT, f"--node={node}", check=False)
    assert run.returncode == 0, str(run)
    bed.node_exec("kubeadm", "reset", "--force", node=node)
    bed.kubectl("delete", "node", node)
    looks.eventually(  # the DaemonSet's pods go some time after the DaemonSet
        lambda: "self-hosted on 2 nodes, healthy" in bed.selfhost("status", check=False).stdout,
        what="status still knows it",
    )
    assert bed.node_exec("ls", looks.MANIFESTS, node=node) == ""
    for file in ("ca.crt", "ca.key", "sa.pub", "sa.key", "front-proxy-ca.crt", "front-proxy-ca.key",
                 "etcd/ca.crt", "etcd/ca.key"):  # fmt: skip
        path = f"/etc/kubernetes/pki/{file}"
        content = bed.node_exec("cat", path, node=first)
        script = f"mkdir -p /etc/kubernetes/pki/etcd && cat > {path}"
        bed.node_exec("sh", "-c", script, node=node, stdin=content)
    subprocess.run(
        [*("docker", "exec", node, "kubeadm", "join", "--config", "/kind/kubeadm.conf"),
         "--ignore-preflight-errors=all"],
        check=True,
        timeout=600,
    )  # fmt: skip
    looks.eventually(  # kubeadm doesn't wait for them
        lambda: "partly pivoted: 6 of 9" in bed.selfhost("status", check=False).stdout,
        what="status does not show its static pods",
    )
    run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, str(run)
    assert self_hosted(bed) == on_all(bed)


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_the_way_back_loses_nothing_and_leaves_nothing(bed, tmp_path):
    with probed_at_each_node(bed, tmp_path) as seen:
        run = bed.selfhost(*REVERT, check=False)
    assert run.returncode == 0, str(run)
    assert self_hosted(bed) == on_none(bed)
    for node in bed.nodes:
        files = bed.node_exec("ls", looks.MANIFESTS, node=node).split()
        assert set(files) == {"etcd.yaml", *(f"{c}.yaml" for c in looks.COMPONENTS)}
        labels = bed.get("node", node)["metadata"]["labels"]
        assert not [label for label in labels if "selfhost" in label]
    for kind in ("daemonsets", "configmaps", "secrets", "leases"):
        names = [one["metadata"]["name"] for one in looks.objects(bed, kind)]
        assert not [name for name in names if "self" in name], (kind, names)
    nothing_is_lost(seen, ended=len(bed.nodes))
    assert looks.works(bed)


@pytest.mark.soak
def test_all_nodes_are_pivoted_one_at_a_time(bed, tmp_path):
    changes = etcd_leader_changes(bed)
    with probed_at_each_node(bed, tmp_path) as seen:
        run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, str(run)
    nothing_is_lost(seen, ended=len(bed.nodes))
    assert etcd_leader_changes(bed) == changes
    switched = [s["name"] for s in last_steps(bed) if s["name"].startswith("hand-over/")]
    turns = [name.rpartition("/")[2] for name in switched]
    assert turns == [node for node in bed.nodes for _ in looks.COMPONENTS]

"""A node as people have them: links, logs elsewhere, proxies on the components' ports.

One node has all of these at once: /etc/kubernetes is an absolute symbolic link, the kubelet writes
pods' logs elsewhere, a manifest is JSON with tabs, the API server listens at the node's address
alone, and proxies have the same ports at other addresses, also right after a restart.
"""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml
from bed.harness import Bed
from cluster import faults, looks, runs

pytestmark = pytest.mark.soak

LOGS = "/data/pod-logs"
KIND_CONFIG = f"""
kubeadmConfigPatches:
- |
  apiVersion: kubelet.config.k8s.io/v1beta1
  kind: KubeletConfiguration
  podLogsDir: {LOGS}
"""
VIRTUAL = "10.99.0.100"
#: The address that a proxy has for each port; the components listen at other addresses.
PROXIES = {6443: VIRTUAL, 10257: "{node}", 10259: "{node}"}
_UNIT = """\
[Unit]
Before=kubelet.service
[Service]
ExecStartPre=/sbin/sysctl -w net.ipv4.ip_nonlocal_bind=1
ExecStart=/usr/bin/socat TCP-LISTEN:{port},bind={address},reuseaddr,fork TCP:127.0.0.1:{port}
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    address = cluster.get("node", cluster.node)["status"]["addresses"][0]["address"]
    listen_at_one_address(cluster, address)
    for port, at in PROXIES.items():
        unit = _UNIT.format(port=port, address=at.format(node=address))
        path = f"/etc/systemd/system/proxy-{port}.service"
        cluster.node_exec("tee", path, stdin=unit)
        cluster.node_exec("systemctl", "enable", "--now", f"proxy-{port}")
    as_json_with_tabs(cluster, "kube-scheduler")
    move_behind_a_link(cluster)
    looks.eventually(lambda: all_ready(cluster), seconds=120, what="not as before")
    return cluster


def listen_at_one_address(bed: Bed, address: str) -> None:
    path = f"{looks.MANIFESTS}/kube-apiserver.yaml"
    bed.node_exec(
        "sed", "-i", f"s/    - --secure-port=.*/&\\n    - --bind-address={address}/", path
    )
    looks.eventually(lambda: bound(bed, 6443) == {address}, seconds=120, what="not bound there")


def as_json_with_tabs(bed: Bed, component: str) -> None:
    path = f"{looks.MANIFESTS}/{component}"
    manifest = yaml.safe_load(bed.node_exec("cat", f"{path}.yaml"))
    bed.node_exec("tee", f"{looks.MANIFESTS}/.new", stdin=json.dumps(manifest, indent="\t"))
    bed.node_exec("sh", "-c", f"rm {path}.yaml && mv {looks.MANIFESTS}/.new {path}.json")


def move_behind_a_link(bed: Bed) -> None:
    """Move the directory behind a link, and restart the node: its overlay file system copies a
    directory rather than moves it.
    """
    script = (
        "systemctl stop kubelet && mkdir -p /data && mv /etc/kubernetes /data/kubernetes && "
        "ln -s /data/kubernetes /etc/kubernetes"
    )
    bed.node_exec("sh", "-c", script)
    restart(bed)


def restart(bed: Bed) -> None:
    subprocess.run(["docker", "restart", bed.node], check=True, capture_output=True)


def bound(bed: Bed, port: int) -> set[str]:
    """Return the addresses at which somebody listens on the port, without the proxies' addresses."""
    lines = bed.node_exec("ss", "-Hltnp", f"sport = :{port}").splitlines()
    return {one.split()[3].rpartition(":")[0] for one in lines if "socat" not in one}


def all_ready(bed: Bed) -> bool:
    ready = {
        pod["metadata"]["labels"].get("component")
        for pod in looks.objects(bed, "pods", "-l", "tier=control-plane")
        if looks.is_ready(pod)
    }
    return looks.answers(bed) and ready >= set(looks.COMPONENTS) and looks.works(bed)


def test_a_manifest_that_is_a_link_is_named_before_anything_goes(bed):
    path = f"{looks.MANIFESTS}/kube-controller-manager.yaml"
    bed.node_exec("sh", "-c", f"cp -a {path} /data/kcm.yaml && ln -sf /data/kcm.yaml {path}")
    before = looks.manifest_files(bed)
    said = runs.fails(bed, *runs.PIVOT, because="kube-controller-manager.yaml to /data/kcm.yaml")
    assert "cp LINK .LINK.part && mv .LINK.part LINK" in said
    assert looks.manifest_files(bed) == before
    uid = mirror_uid(bed, "kube-controller-manager")
    part = f"{looks.MANIFESTS}/.kube-controller-manager.yaml.part"
    bed.node_exec("sh", "-c", f"cp {path} {part} && mv {part} {path}")
    looks.eventually(lambda: all_ready(bed), what="not as before")
    assert mirror_uid(bed, "kube-controller-manager") == uid


def mirror_uid(bed: Bed, component: str) -> str:
    pods = looks.objects(bed, "pods", "-l", f"component={component}")
    (pod,) = [p for p in pods if "kubernetes.io/config.mirror" in p["metadata"]["annotations"]]
    return pod["metadata"]["annotations"]["kubernetes.io/config.hash"]


def test_a_crash_loop_is_seen_by_the_logs(bed):
    """Long before the limit of 60 s, and while there may be no API to tell it."""
    manifests = faults.bad_flag("kube-apiserver")
    bed.kubectl("apply", "-f", "-", stdin=manifests)
    said = runs.fails(
        bed,
        *(*runs.LET_THROUGH, "--handover=waiting"),
        because="kube-apiserver of the DaemonSet exited 2 times",
    )
    assert "nothing listened" not in said
    bed.kubectl("delete", "-f", "-", stdin=manifests)
    looks.eventually(lambda: all_ready(bed), seconds=120, what="not as before")


def test_a_pivot(bed):
    before = looks.manifest_files(bed)
    runs.completes(bed)
    assert set(looks.manifest_files(bed)) == {"etcd.yaml", f"{looks.GUARDIAN}.yaml"}
    assert looks.kept_files(bed).items() <= before.items()
    assert bed.node_exec("readlink", "/etc/kubernetes").strip() == "/data/kubernetes"


def test_a_restart_of_the_node(bed):
    """The proxies are there first. Copies come all the same; and they go when the DaemonSets' own pods
    serve beside them."""
    placed = len(events(bed, "recovery-placed"))
    restart(bed)
    looks.eventually(
        lambda: len(events(bed, "recovery-placed")) > placed, seconds=60, what="no copy"
    )
    looks.eventually(lambda: looks.answers(bed), seconds=120, what="no API")
    looks.eventually(
        lambda: (
            looks.self_hosted(bed) == set(looks.COMPONENTS)
            and looks.recovery_pods(bed) == {looks.GUARDIAN}
        ),
        seconds=300,
        what="not healed",
    )
    assert all("socat" in bed.node_exec("ss", "-Hltnp", f"sport = :{port}") for port in PROXIES)
    assert looks.works(bed)


def events(bed: Bed, kind: str) -> list[str]:
    lines = bed.node_exec("cat", f"{looks.KEPT}/journal").splitlines()
    found = [json.loads(line) for line in lines]
    return [one["component"] for one in found if one["event"] == kind]


def test_a_revert(bed):
    run = bed.selfhost("revert", "--yes", check=False)
    assert run.returncode == 0, str(run)
    assert looks.static_pods(bed) == {"etcd", *looks.COMPONENTS}
    assert bound(bed, 6443)
    assert "*" not in bound(bed, 6443)
    assert looks.works(bed)

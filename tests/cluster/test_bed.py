"""The bed gives what it promises: a real kubeadm cluster, of the kind that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from bed import versions
from bed.harness import Bed
from conftest import FreshCluster

SEVERAL_NODES = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  scheduler:
    extraArgs:
    - name: v
      value: "3"
nodes:
- role: control-plane
  extraMounts:
  - hostPath: {folder}
    containerPath: /mnt/ours
- role: control-plane
- role: control-plane
- role: worker
"""


def test_the_api_server_is_of_the_version_we_build(cluster: Bed) -> None:
    assert versions.KUBERNETES in cluster.kubectl("version")


def test_the_runtime_is_containerd_2(cluster: Bed) -> None:
    info = cluster.get("node", cluster.node)["status"]["nodeInfo"]
    assert info["containerRuntimeVersion"].startswith("containerd://2.")


def test_kube_proxy_programs_nftables(cluster: Bed) -> None:
    assert "kube-proxy" in cluster.node_exec("nft", "list", "tables")


def test_a_service_address_reaches_the_api_server(cluster: Bed) -> None:
    address = cluster.get("service", "kubernetes")["spec"]["clusterIP"]
    assert cluster.node_exec("curl", "-ks", f"https://{address}/healthz") == "ok"


def test_coredns_answers_from_the_pod_network(cluster: Bed) -> None:
    pods = cluster.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"]
    address = pods[0]["status"]["podIP"]
    assert cluster.node_exec("curl", "-s", f"http://{address}:8181/ready") == "OK"


def test_kubeadm_upgrade_takes_it_for_a_cluster_of_its_own(cluster: Bed) -> None:
    version = versions.KUBERNETES
    cluster.node_exec("kubeadm", "upgrade", "plan", version, "--allow-experimental-upgrades")


@pytest.mark.soak
def test_a_configuration_with_several_nodes_mounts_and_patches(
    fresh_cluster: FreshCluster, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("from outside")
    bed = fresh_cluster(SEVERAL_NODES.format(folder=tmp_path))

    assert len(bed.nodes) == 3
    assert bed.node_exec("cat", "/mnt/ours/file") == "from outside"
    for node in bed.nodes:
        manifest = bed.node_exec("cat", "/etc/kubernetes/manifests/kube-scheduler.yaml", node=node)
        assert "--v=3" in manifest


@pytest.mark.soak
def test_an_ipv6_cluster(fresh_cluster: FreshCluster) -> None:
    bed = fresh_cluster("networking: {ipFamily: ipv6}")
    assert ":" in bed.get("service", "kubernetes")["spec"]["clusterIP"]


@pytest.mark.soak
def test_a_dual_stack_cluster(fresh_cluster: FreshCluster) -> None:
    bed = fresh_cluster("networking: {ipFamily: dual}")
    pods = bed.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"]
    assert len(pods[0]["status"]["podIPs"]) == 2

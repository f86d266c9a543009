"""What else a control plane may have: an etcd that is not its own, static pods of others, and work.

The etcd is a pod on a cluster of its own.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml
from bed import pytestkind
from bed.harness import Bed
from cluster import looks
from cluster.probes import nothing_is_lost, probed

PORT = 23790
#: It does nothing here, under the name of what keeps a control plane's address on other clusters.
OTHER = "kube-vip"

pytestmark = [pytest.mark.alone, pytest.mark.soak]


@pytest.fixture(scope="module")
def etcd(cluster: Bed) -> str:
    """Return the URL of an etcd without TLS, on the node of a cluster that serves nothing else."""
    own = yaml.safe_load(cluster.node_exec("cat", f"{looks.MANIFESTS}/etcd.yaml"))
    address = cluster.get("node", cluster.node)["status"]["addresses"][0]["address"]
    url = f"http://{address}:{PORT}"
    flags = {
        "name": "external",
        "data-dir": "/data",
        "listen-client-urls": f"http://0.0.0.0:{PORT}",
        "advertise-client-urls": url,
        "listen-peer-urls": f"http://127.0.0.1:{PORT + 1}",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "external", "namespace": "default"},
        "spec": {
            "hostNetwork": True,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "etcd",
                    "image": own["spec"]["containers"][0]["image"],
                    "command": ["etcd", *(f"--{name}={value}" for name, value in flags.items())],
                }
            ],
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/external", "--timeout=60s")
    return url


@pytest.fixture(scope="module")
def bed(kit, etcd: str, tmp_path_factory: pytest.TempPathFactory):
    """Yield a cluster without an etcd of its own, with somebody else's static pod, and with work."""
    patch = {"kind": "ClusterConfiguration", "etcd": {"external": {"endpoints": [etcd]}}}
    config = {
        "nodes": [{"role": "control-plane"}],
        "kubeadmConfigPatches": [yaml.safe_dump(patch)],
    }
    name, folder = f"{pytestkind.PREFIX}{os.getpid()}-beside", tmp_path_factory.mktemp("beside")
    with pytestkind.running(kit, name, folder, yaml.safe_dump(config)) as made:
        assert "etcd.yaml" not in looks.manifest_files(made)
        tags = made.node_exec("ctr", "-n", "k8s.io", "images", "ls", "-q").split()
        other = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": OTHER, "namespace": "kube-system"},
            "spec": {
                "hostNetwork": True,
                "containers": [
                    {"name": OTHER, "image": next(tag for tag in tags if "/pause:" in tag)}
                ],
            },
        }
        manifest = f"{looks.MANIFESTS}/{OTHER}.yaml"
        made.node_exec("sh", "-c", f"cat > {manifest}", stdin=yaml.safe_dump(other))
        looks.eventually(lambda: running(made), what=f"no {OTHER}")
        made.kubectl("apply", "-f", "-", stdin=json.dumps(work(made)))
        yield made


def running(bed: Bed) -> str:
    """Return the ID of the other static pod's container, once it runs."""
    for pod in looks.objects(bed, "pods"):
        for status in pod["status"].get("containerStatuses", []):
            if pod["metadata"]["name"].startswith(OTHER) and "running" in status["state"]:
                return status["containerID"]
    return ""


def work(bed: Bed) -> dict:
    """Return a Deployment on the control-plane node."""
    pod = looks.objects(bed, "pods", "-l", "k8s-app=kube-dns")[0]
    container = {**pod["spec"]["containers"][0], "args": ["-version=false", "-dns.port=20053"]}
    kept = {key: container[key] for key in ("name", "image", "args")}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "work", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "work"}},
            "template": {
                "metadata": {"labels": {"app": "work"}},
                "spec": {"containers": [kept], "tolerations": [{"operator": "Exists"}]},
            },
        },
    }


def restarts_of_work(bed: Bed) -> list[tuple[str, int]]:
    pods = bed.get("pods", "-l", "app=work", "-n", "default")["items"]
    return sorted(
        (pod["metadata"]["uid"], status["restartCount"])
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
    )


@pytest.mark.parametrize("verb", ["pivot", "revert"])
def test_nothing_is_lost_and_what_is_not_ours_stays_untouched(bed, verb):
    bed.kubectl("wait", "-n", "default", "--for=condition=Available", "deployment/work")
    before = running(bed), looks.manifest_files(bed)[f"{OTHER}.yaml"], restarts_of_work(bed)
    with probed(bed) as seen:
        run = bed.selfhost(verb, "--yes", check=False)
    assert run.returncode == 0, str(run)
    nothing_is_lost(seen)
    assert before == (
        running(bed),
        looks.manifest_files(bed)[f"{OTHER}.yaml"],
        restarts_of_work(bed),
    )
    hosted = set(looks.COMPONENTS) if verb == "pivot" else set()
    assert looks.self_hosted(bed) == hosted
    assert looks.static_pods(bed) == {OTHER} | (set(looks.COMPONENTS) - hosted)
    bed.selfhost("status")
    assert looks.works(bed)


def test_it_comes_back_after_a_restart(bed):
    bed.selfhost("pivot", "--yes")
    subprocess.run(["docker", "restart", bed.node], check=True, capture_output=True)
    looks.eventually(lambda: looks.answers(bed), seconds=180, what="no API")
    looks.eventually(
        lambda: (
            looks.self_hosted(bed) == set(looks.COMPONENTS)
            and looks.recovery_pods(bed) == {looks.GUARDIAN}
        ),
        seconds=300,
        what="it is not as it was",
    )

"""The way back: a revert undoes a pivot, and leaves nothing of it in the cluster and on the node."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
import yaml
from bed import golang, versions
from bed.harness import Bed
from cluster import looks
from cluster.probes import nothing_is_lost, probed
from cluster.runs import OURS, PIVOT, completes
from cluster.test_kills import killed_when

from kubectl_selfhost.controlplane.pod import difference

pytestmark = pytest.mark.alone

REVERT = ("revert", "--yes", "--timeout=90s")
SHARING = "--permit-port-sharing was added: true"


@pytest.fixture(scope="module")
def before(cluster: Bed) -> dict[str, dict]:
    """Return the manifests as kubeadm made them."""
    return manifests(cluster)


@pytest.fixture(scope="module")
def bed(cluster: Bed, before: dict[str, dict]) -> Bed:
    """Return one cluster for all tests but the last ones, in this order."""
    completes(cluster, *PIVOT)
    return cluster


def manifests(bed: Bed) -> dict[str, dict]:
    return {
        c: yaml.safe_load(bed.node_exec("cat", f"{looks.MANIFESTS}/{c}.yaml"))
        for c in looks.COMPONENTS
    }


def nothing_of_ours_is_left(bed: Bed) -> None:
    ours = [
        *looks.objects(bed, "daemonsets,configmaps,secrets,pods", "-l", OURS),
        *looks.objects(bed, "leases", "--field-selector", "metadata.name=kubectl-selfhost"),
    ]
    assert [one["metadata"]["name"] for one in ours] == []
    assert "kubectl-selfhost/pivoted" not in bed.get("node", bed.node)["metadata"]["labels"]
    slices = bed.get("endpointslices", "-l", "kubernetes.io/service-name=kubernetes")["items"]
    assert [one["metadata"]["name"] for one in slices] == ["kubernetes"]
    assert "kubectl-selfhost" not in bed.node_exec("ls", "-a", "/etc/kubernetes")
    assert bed.node_exec("sysctl", "-n", "net.ipv4.tcp_migrate_req").strip() == "0"


def is_static(bed: Bed) -> None:
    looks.eventually(
        lambda: looks.static_pods(bed) == {"etcd", *looks.COMPONENTS},
        what="static pods are missing",
    )
    assert set(looks.manifest_files(bed)) == {"etcd.yaml", *(f"{c}.yaml" for c in looks.COMPONENTS)}
    assert looks.works(bed)


def is_untouched(bed: Bed) -> None:
    """Check that the DaemonSets still serve."""
    looks.eventually(lambda: looks.answers(bed), seconds=30, what="the API does not answer")
    looks.eventually(
        lambda: looks.self_hosted(bed) == set(looks.COMPONENTS),
        seconds=120,
        what="not all is self-hosted any more",
    )
    assert set(looks.manifest_files(bed)) == {"etcd.yaml", f"{looks.GUARDIAN}.yaml"}


def test_the_plan_says_what_will_be_different(bed):
    plan = " ".join(bed.selfhost("revert", "--dry-run=client").stdout.split())
    assert SHARING in plan
    assert "The probes of kube-apiserver use 127.0.0.3" in plan
    is_untouched(bed)


def test_the_manifests_can_be_looked_at(bed, before):
    text = bed.selfhost("revert", "--dry-run=client", "-o", "yaml").stdout
    shown = {pod["metadata"]["name"]: pod for pod in yaml.safe_load_all(text)}
    found = difference.meaning(before["kube-scheduler"], shown["kube-scheduler"])
    assert [str(one).partition("command ")[2] for one in found] == [SHARING]


@pytest.mark.soak
def test_killed_in_the_middle_of_each_switch_it_is_gone_on_with(bed):
    for component in looks.COMPONENTS:
        assert killed_when(bed.popen(*REVERT), f"hand-over/{component}", ended=False)
        looks.eventually(lambda: looks.answers(bed), seconds=30, what=f"no API after {component}")
    run = bed.selfhost(*REVERT, check=False)
    assert run.returncode == 0, str(run)
    is_static(bed)
    nothing_of_ours_is_left(bed)
    completes(bed, *PIVOT)


@pytest.mark.soak
def test_ctrl_c_takes_back_what_was_being_switched(bed):
    run = bed.popen(*REVERT)
    for line in run.stderr:
        if "static kube-apiserver:" in line:
            break
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=180)
    assert run.returncode == 1
    is_untouched(bed)
    assert looks.agent_pods(bed) == []


def test_a_static_pod_that_cannot_run_costs_nothing(bed):
    """The manifest names a file that isn't there any more."""
    bed.node_exec("mv", "/etc/kubernetes/scheduler.conf", "/etc/kubernetes/scheduler.gone")
    try:
        run = bed.selfhost(*REVERT, "--component=kube-scheduler", check=False)
        assert run.returncode == 1, str(run)
        looks.eventually(lambda: looks.static_pods(bed) == {"etcd"}, what="a static pod is left")
    finally:
        bed.node_exec("rm", "-rf", "/etc/kubernetes/scheduler.conf")
        bed.node_exec("mv", "/etc/kubernetes/scheduler.gone", "/etc/kubernetes/scheduler.conf")
    is_untouched(bed)


def test_one_component_alone(bed):
    run = bed.selfhost(*REVERT, "--component=kube-scheduler", check=False)
    assert run.returncode == 0, str(run)
    assert looks.self_hosted(bed) == {"kube-apiserver", "kube-controller-manager"}
    assert looks.static_pods(bed) == {"etcd", "kube-scheduler"}
    assert looks.works(bed)
    completes(bed, *PIVOT)


def test_it_loses_nothing(bed):
    with probed(bed) as seen:
        run = bed.selfhost(*REVERT, "--handover=seamless", check=False)
    assert run.returncode == 0, str(run)
    nothing_is_lost(seen)
    is_static(bed)


def test_nothing_of_ours_is_left(bed):
    nothing_of_ours_is_left(bed)


def test_the_manifests_mean_what_they_meant(bed, before):
    after = manifests(bed)
    for component in looks.COMPONENTS:
        found = [str(d) for d in difference.meaning(before[component], after[component])]
        assert [f for f in found if SHARING not in f and "httpGet.host" not in f] == []


def test_kubeadm_knows_the_cluster_again(bed):
    version = bed.node_exec("cat", "/kind/version").strip()
    bed.node_exec("kubeadm", "upgrade", "plan", version, "--allow-experimental-upgrades")


def test_a_second_revert_changes_nothing(bed):
    again = bed.selfhost(*REVERT)
    assert "Nothing was changed" in again.stderr


def test_status_says_so(bed):
    status = json.loads(bed.selfhost("status", "-o", "json", check=False).stdout)
    assert status["verdict"]["healthy"], status["verdict"]


@pytest.mark.soak
def test_kubeadm_upgrades_it_to_the_next_patch_release(bed):
    bed.selfhost(*REVERT)  # where the tests before this one were left out
    node, now, new = bed.node, versions.KUBERNETES, versions.NEXT_KUBERNETES
    kubeadm = golang.built(golang.NEXT_KUBEADM) / "kubeadm"
    subprocess.run(["docker", "cp", kubeadm, f"{node}:/usr/local/bin/next-kubeadm"], check=True)
    for image in bed.node_exec("ctr", "-n", "k8s.io", "images", "ls", "-q").split():
        if image.endswith(f":{now}"):
            name = image.removesuffix(now) + new
            bed.node_exec("ctr", "-n", "k8s.io", "images", "tag", "--force", image, name)
    bed.node_exec("next-kubeadm", "upgrade", "plan", new)
    # A node that is a container passes no system verification; kind leaves it out, too.
    ignored = "--ignore-preflight-errors=SystemVerification"
    subprocess.run(
        ["docker", "exec", node, "next-kubeadm", "upgrade", "apply", new, "--yes", ignored],
        check=True,
        timeout=600,
    )
    for component, manifest in manifests(bed).items():
        assert manifest["spec"]["containers"][0]["image"].endswith(f"{component}:{new}")
    is_static(bed)
    assert looks.works(bed)


@pytest.mark.soak
def test_a_change_since_the_pivot_stays(bed):
    completes(bed, *PIVOT)
    bed.selfhost("rollout", "kube-scheduler", "--set-flag=v=3", "--yes")
    run = bed.selfhost(*REVERT, "--keep-backups", check=False)
    assert run.returncode == 0, str(run)
    assert "--v=3" in manifests(bed)["kube-scheduler"]["spec"]["containers"][0]["command"]
    assert set(looks.kept_files(bed)) == {f"{c}.yaml" for c in looks.COMPONENTS}
    is_static(bed)


@pytest.mark.soak
def test_from_the_backup_the_files_are_as_before_byte_for_byte(fresh_cluster):
    bed = fresh_cluster()
    files = looks.manifest_files(bed)
    completes(bed, *PIVOT)
    bed.selfhost("rollout", "kube-scheduler", "--set-flag=v=3", "--yes")
    run = bed.selfhost(*REVERT, "--from-backup", check=False)
    assert run.returncode == 0, str(run)
    assert looks.manifest_files(bed) == files
    is_static(bed)
    nothing_of_ours_is_left(bed)


@pytest.mark.soak
def test_what_kubeadm_had_pivoted_itself_is_mended(fresh_cluster):
    """Its DaemonSets have no other label than k8s-app, don't share their ports, and nothing is kept."""
    bed = fresh_cluster()
    for component in looks.COMPONENTS:
        by_kubeadm(bed, component)
    run = bed.selfhost(*REVERT, check=False)
    assert run.returncode == 0, str(run)
    is_static(bed)
    nothing_of_ours_is_left(bed)


def by_kubeadm(bed: Bed, component: str) -> None:
    """Do with one component what kubeadm did until 1.20 (selfhosting.go)."""
    manifest = f"{looks.MANIFESTS}/{component}.yaml"
    spec = yaml.safe_load(bed.node_exec("cat", manifest))["spec"]
    for container in spec["containers"]:
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            if probe in container:
                container[probe]["httpGet"]["port"] = container["ports"][0]["containerPort"]
        del container["ports"]
    del spec["priority"]
    spec["nodeSelector"] = {"node-role.kubernetes.io/control-plane": ""}
    spec["tolerations"] = [{"operator": "Exists"}]
    spec["dnsPolicy"] = "ClusterFirstWithHostNet"
    labels = {"k8s-app": f"self-hosted-{component}"}
    daemonset = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": f"self-hosted-{component}",
            "labels": labels,
            "namespace": "kube-system",
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    bed.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(daemonset))
    name = f"self-hosted-{component}"
    looks.eventually(
        lambda: any(
            pod["status"].get("containerStatuses")
            for pod in looks.objects(bed, "pods", "-l", f"k8s-app={name}")
        ),
        what=f"no pod of {name}",
    )
    bed.node_exec("rm", manifest)
    looks.eventually(
        lambda: len(looks.ready_pods(bed, name)) == 1 and component not in looks.static_pods(bed),
        seconds=180,
        what=f"{name} does not serve",
    )


@pytest.mark.soak
def test_three_rounds(fresh_cluster):
    bed = fresh_cluster()
    for _ in range(3):
        completes(bed, *PIVOT)
        run = bed.selfhost(*REVERT, check=False)
        assert run.returncode == 0, str(run)
        is_static(bed)
        nothing_of_ours_is_left(bed)

"""Upgrades of a real cluster, probed from outside and from a pod; then the new kubeadm runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from bed import cluster as bed_cluster
from bed import golang, nextimages, pytestkind, versions
from bed.harness import Bed
from cluster import looks
from cluster.probes import nothing_is_lost, probed
from cluster.runs import PIVOT, completes

pytestmark = [pytest.mark.alone, pytest.mark.soak]

NOW, NEXT = versions.KUBERNETES, versions.NEXT_KUBERNETES
BEFORE = bed_cluster.release_named("v1.36.4")
#: A node that is a container passes no system verification; kind leaves it out, too.
IGNORED = "--ignore-preflight-errors=SystemVerification,StaticPodManifest"


def images(bed: Bed) -> set[str]:
    """Return the versions of the components' images, as their pods run."""
    pods = [
        pod for c in looks.COMPONENTS for pod in looks.objects(bed, "pods", "-l", f"component={c}")
    ]
    return {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods}


def flags(bed: Bed) -> str:
    pods = [
        pod for c in looks.COMPONENTS for pod in looks.objects(bed, "pods", "-l", f"component={c}")
    ]
    return " ".join(word for pod in pods for word in pod["spec"]["containers"][0]["command"])


def recorded(bed: Bed) -> str:
    found = bed.get("-n", "kube-system", "configmap", "kubeadm-config")["data"]
    return str(yaml.safe_load(found["ClusterConfiguration"])["kubernetesVersion"])


def kube_proxy(bed: Bed) -> set[str]:
    pods = looks.objects(bed, "pods", "-l", "k8s-app=kube-proxy")
    return {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods}


def is_of(bed: Bed, version: str) -> None:
    assert images(bed) == {version}
    assert "--emulated-version" not in flags(bed)
    assert recorded(bed) == version
    looks.eventually(lambda: kube_proxy(bed) == {version}, what="kube-proxy is of another version")
    assert looks.works(bed)


def kubeadm(bed: Bed, program: Path, *words: str) -> str:
    """Run a kubeadm on the node, as its package will; return what it says."""
    subprocess.run(["docker", "cp", program, f"{bed.node}:/usr/local/bin/next-kubeadm"], check=True)
    return bed.node_exec("next-kubeadm", *words, IGNORED)


class TestPatchRelease:
    """To the next patch release."""

    @pytest.fixture(scope="class")
    def bed(self, cluster: Bed) -> Bed:
        nextimages.load(cluster.node)
        completes(cluster, *PIVOT)
        return cluster

    def test_no_request_is_lost(self, bed):
        with probed(bed) as seen:
            run = bed.selfhost("upgrade", NEXT, "--yes", check=False)
        assert run.returncode == 0, str(run)
        nothing_is_lost(seen)
        is_of(bed, NEXT)
        assert f"kubelet='{NEXT.removeprefix('v')}-*'" in run.stdout

    def test_it_goes_back(self, bed):
        with probed(bed) as seen:
            run = bed.selfhost("upgrade", "--back", NOW, "--yes", check=False)
        assert run.returncode == 0, str(run)
        nothing_is_lost(seen)
        is_of(bed, NOW)

    def test_after_a_revert_kubeadm_has_nothing_to_do(self, bed):
        bed.selfhost("upgrade", NEXT, "--yes")
        bed.selfhost("revert", "--yes")
        said = kubeadm(bed, golang.built(golang.NEXT_KUBEADM) / "kubeadm", "upgrade", "plan", NEXT)
        assert "FATAL" not in said
        assert images(bed) == {NEXT}
        is_of(bed, NEXT)


class TestMinorRelease:
    """To the next minor release, which first behaves as the old one."""

    @pytest.fixture(scope="class")
    def bed(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
        kit = bed_cluster.prepare(BEFORE)
        folder = tmp_path_factory.mktemp("minor")
        with pytestkind.running(kit, f"{pytestkind.PREFIX}minor", folder) as bed:
            nextimages.load(bed.node, version=NOW)
            completes(bed, *PIVOT)
            yield bed

    def test_a_version_that_does_not_hold_goes_back_by_itself(self, bed):
        with probed(bed) as seen:
            run = bed.popen("upgrade", NOW, "--yes", "--soak=5m")
            looks.eventually(
                lambda: images(bed) == {NOW} and "--emulated-version=1.36" in flags(bed),
                what="the new version does not run",
                seconds=240.0,
            )
            looks.eventually(lambda: len(looks.agent_pods(bed)) == 1, what="no agent")
            self.crash(bed, "kube-scheduler")
            _, said = run.communicate(timeout=300)
        assert run.returncode == 1, said
        assert "kube-scheduler" in said
        assert "has restarted" in said
        nothing_is_lost(seen)
        is_of(bed, BEFORE.kubernetes)

    def crash(self, bed: Bed, component: str) -> None:
        """End the component's process again and again until its pod has restarted."""

        def restarted() -> bool:
            pods = looks.objects(bed, "pods", "-l", f"component={component}")
            statuses = [one for pod in pods for one in pod["status"].get("containerStatuses", [])]
            if any(one["restartCount"] for one in statuses):
                return True
            bed.node_exec("pkill", "-9", "-x", component[:15])
            return False

        looks.eventually(restarted, what=f"{component} does not restart", seconds=60.0)

    def test_no_request_is_lost(self, bed):
        with probed(bed) as seen:
            run = bed.selfhost("upgrade", NOW, "--yes", "--soak=30s", check=False)
        assert run.returncode == 0, str(run)
        nothing_is_lost(seen)
        is_of(bed, NOW)

    def test_kubeadm_of_the_new_version_does_what_is_left(self, bed):
        program = golang.built(golang.kubernetes(versions.DEFAULT)) / "kubeadm"
        kubeadm(
            bed, program, "upgrade", "apply", NOW, "-y", "--skip-phases=control-plane,addon/coredns"
        )
        is_of(bed, NOW)

    def test_after_a_revert_kubeadm_takes_it_as_its_own(self, bed):
        bed.selfhost("revert", "--yes")
        program = golang.built(golang.kubernetes(versions.DEFAULT)) / "kubeadm"
        assert "FATAL" not in kubeadm(bed, program, "upgrade", "plan", NOW)
        is_of(bed, NOW)

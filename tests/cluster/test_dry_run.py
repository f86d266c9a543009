"""What a person can see before anything is changed."""

from __future__ import annotations

import json

import pytest
import yaml
from bed.harness import Bed
from cluster import looks

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.pod import difference, staticpod


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    return cluster


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_a_mirror_pod_means_what_the_file_on_the_node_means(bed, component):
    name = component.mirror_pod(bed.node)
    mirror = json.loads(bed.kubectl("-n", "kube-system", "get", "pod", name, "-o", "json"))
    file = yaml.safe_load(bed.node_exec("cat", f"{looks.MANIFESTS}/{component}.yaml"))
    assert difference.meaning(staticpod.from_mirror_pod(mirror), file) == []


def test_the_plan_is_shown_and_nothing_changed(bed):
    seen = bed.selfhost("pivot", "--dry-run=client")
    assert seen.returncode == 0, seen.stderr
    assert "kube-apiserver" in seen.stdout
    assert "Nothing was changed" in seen.stderr
    assert (
        looks.objects(bed, "daemonsets", "-l", "app.kubernetes.io/managed-by=kubectl-selfhost")
        == []
    )


def test_the_plan_fits_80_columns(bed):
    lines = bed.selfhost("pivot", "--dry-run=client").stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []


def test_the_manifests_can_be_applied_as_they_are(bed):
    manifests = bed.selfhost("pivot", "--dry-run=client", "-o", "yaml").stdout
    said = bed.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifests)
    assert said.count("created (server dry run)") == 4


def test_json_is_a_list_of_the_same(bed):
    whole = json.loads(bed.selfhost("pivot", "--dry-run=client", "-o", "json").stdout)
    assert [o["kind"] for o in whole["items"]] == ["Secret", *["DaemonSet"] * 3]


def test_names(bed):
    names = bed.selfhost("pivot", "--dry-run=client", "-o", "name").stdout.split()
    assert names[1:] == [f"daemonset.apps/self-hosted-{c}" for c in looks.COMPONENTS]


def test_the_server_judges_them(bed):
    seen = bed.selfhost("pivot", "--dry-run=server", "-o", "name")
    assert seen.returncode == 0, seen.stderr


def test_without_a_terminal_and_yes_it_refuses(bed):
    refused = bed.selfhost("pivot", check=False)
    assert refused.returncode == 1
    assert "no terminal" in refused.stderr

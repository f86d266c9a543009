"""The README's ClusterRole is enough for everything, and each thing in it is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from bed.harness import REPOSITORY, Bed
from cluster import looks

AS = "--as=operator"


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    return cluster


def roles() -> list[dict]:
    """The RBAC objects in the README."""
    readme = Path(REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    return [
        document
        for block in blocks
        for document in yaml.safe_load_all(block)
        if document and document.get("apiVersion", "").startswith("rbac.authorization")
    ]


def without(role: dict, resource: str) -> dict:
    rules = [r for r in role.get("rules", []) if resource not in r["resources"]]
    return {**role, "rules": rules} if "rules" in role else role


def test_a_permission_is_missing(bed):
    for role in roles():
        bed.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(without(role, "pods/exec")))
    bound(bed)
    manifests = looks.manifest_files(bed)
    run = bed.selfhost("pivot", "--yes", AS, check=False)
    assert run.returncode == 1
    assert "pods/exec" in run.stderr
    assert looks.manifest_files(bed) == manifests


def test_the_clusterrole_is_enough_for_every_verb(bed):
    for role in roles():
        bed.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(role))
    bound(bed)
    run = bed.selfhost("pivot", "--yes", AS, check=False)
    assert run.returncode == 0, run
    status = bed.selfhost("status", AS, check=False)
    assert status.returncode == 0, status
    assert "forbidden" not in status.stdout + status.stderr
    probe = bed.selfhost("probe", "--duration=2s", "--in-cluster", AS, check=False)
    assert probe.returncode == 0, probe
    assert "Left out" not in probe.stdout


def bound(bed: Bed) -> None:
    """RBAC is applied within a moment, not at once."""
    looks.eventually(
        lambda: bed.kubectl("auth", "can-i", "list", "nodes", AS).strip() == "yes",
        what="the ClusterRole is not in force",
    )

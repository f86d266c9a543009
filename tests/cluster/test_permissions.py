"""The roles in docs/permissions.md suffice for everything; a unit test proves that all are needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from bed import versions
from bed.harness import REPOSITORY, Bed, Result
from cluster import looks

AS = "--as=operator"
VIEWER = "--as=viewer"


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    return cluster


def roles() -> list[dict]:
    """Return the RBAC objects in docs/permissions.md."""
    page = Path(REPOSITORY / "docs/permissions.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    return [
        document
        for block in blocks
        for document in yaml.safe_load_all(block)
        if document and document.get("apiVersion", "").startswith("rbac.authorization")
    ]


def without(role: dict, resource: str) -> dict:
    rules = [r for r in role.get("rules", []) if resource not in r.get("resources", [])]
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


def test_the_roles_are_enough_for_a_pivot(bed):
    for role in roles():
        bed.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(role))
    bound(bed)
    does(bed, "pivot", "--yes")


def test_they_are_enough_to_look(bed):
    status = does(bed, "status")
    assert "Could not read" not in status.stdout
    assert "forbidden" not in status.stdout + status.stderr
    probe = does(bed, "probe", "--duration=2s", "--in-cluster")
    assert "Skipped" not in probe.stdout
    # The present version's images are on the node, so nothing is pulled.
    for version in ((), (versions.KUBERNETES,)):
        assert "could not" not in does(bed, "upgrade", *version, "-o", "json").stdout


LATER = [
    ("sync",),
    ("rollout", "kube-scheduler"),
    ("credentials", "renew", "--only=scheduler.conf"),
    ("credentials", "to-secrets"),
    ("credentials", "to-host"),
]


@pytest.mark.parametrize("verb", LATER)
def test_they_are_enough_for_what_comes_later(bed, verb):
    does(bed, *verb, "--yes")


def test_who_may_only_look_sees_all(bed):
    for role in read_only():
        bed.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(role))
    bound(bed, VIEWER)
    status = bed.selfhost("status", VIEWER, check=False)
    assert status.returncode == 0, str(status)
    assert "Could not read" not in status.stdout
    credentials = bed.selfhost("credentials", "status", VIEWER)
    assert "scheduler.conf" in credentials.stdout


def test_who_may_read_no_secret_is_told_what_was_not_compared(bed):
    for role in read_only():
        bed.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(without(role, "secrets")))
    looks.eventually(
        lambda: "Could not read" in bed.selfhost("status", VIEWER, check=False).stdout,
        what="Secrets can still be read",
    )
    status = bed.selfhost("status", VIEWER, check=False)
    said = " ".join(status.stdout.split())
    assert "Could not read the node agent's program: " in said
    assert "secrets" in said
    assert "healthy" in said
    assert status.returncode == 0


def test_they_are_enough_for_a_revert(bed):
    does(bed, "revert", "--yes")
    assert looks.static_pods(bed) == {"etcd", *looks.COMPONENTS}


def does(bed: Bed, *arguments: str) -> Result:
    run = bed.selfhost(*arguments, AS, check=False)
    assert run.returncode == 0, str(run)
    return run


def read_only() -> list[dict]:
    """Return the documented roles for somebody else, and without what changes anything."""
    found = []
    for role in roles():
        rules = [
            {**rule, "verbs": [verb for verb in rule["verbs"] if verb in ("get", "list")]}
            for rule in role.get("rules", [])
            if {"get", "list"} & set(rule["verbs"])
            and not {"pods/exec", "nodes/proxy"} & set(rule.get("resources", []))
        ]
        name = {**role["metadata"], "name": "viewer"}
        if "rules" in role:
            found.append({**role, "metadata": name, "rules": rules})
        else:
            reference = {**role["roleRef"], "name": "viewer"}
            subjects = [{**one, "name": "viewer"} for one in role["subjects"]]
            found.append({**role, "metadata": name, "roleRef": reference, "subjects": subjects})
    return found


def bound(bed: Bed, who: str = AS) -> None:
    """Wait until RBAC is applied: this happens within a moment, not at once."""
    for words in (("list", "nodes"), ("list", "leases", "-n", "kube-system")):
        looks.eventually(
            lambda words=words: bed.kubectl("auth", "can-i", *words, who).strip() == "yes",
            what="the roles are not in force",
        )

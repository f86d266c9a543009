"""The roles in docs/permissions.md are what the code asks for, and nothing more."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from kubectl_selfhost.plans.shared import permissions

PAGE = Path(__file__).parents[4] / "docs/permissions.md"
#: What `probe --in-cluster` needs beyond a pivot.
OF_THE_PROBE = {("kube-system", "", "pods/log", "get"), ("default", "", "services", "get")}


def granted() -> set[tuple[str, str, str, str]]:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    documents = [one for block in blocks for one in yaml.safe_load_all(block) if one]
    return {
        (one["metadata"].get("namespace", ""), group, resource, verb)
        for one in documents
        for rule in one.get("rules", [])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked() -> set[tuple[str, str, str, str]]:
    return {
        (
            one.namespace,
            one.group,
            f"{one.resource}/{one.subresource}".rstrip("/"),
            one.verb,
        )
        for one in permissions.for_pivot()
    }


def test_the_documentation_grants_what_is_needed():
    assert asked() - granted() == set()


def test_the_documentation_grants_nothing_else():
    assert granted() - asked() == OF_THE_PROBE


def test_only_nodes_and_the_list_of_pods_are_cluster_wide():
    assert {(group, resource, verb) for where, group, resource, verb in granted() if not where} == {
        ("", "nodes", "get"),
        ("", "nodes", "list"),
        ("", "nodes", "patch"),
        ("", "nodes/proxy", "get"),
        ("", "pods", "list"),
    }

"""The roles in docs/permissions.md are what the code asks for, and nothing more."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from kubectl_selfhost.plans.shared import permissions

PAGE = Path(__file__).parents[4] / "docs/permissions.md"
#: What `probe --in-cluster` needs beyond a pivot.
OF_THE_PROBE = {("kube-system", "", "pods/log", "get"), ("default", "", "services", "get")}
#: What `upgrade` looks at, and creates, if it may.
OF_AN_UPGRADE = {
    ("", "apiextensions.k8s.io", "customresourcedefinitions", "list"),
    ("", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list"),
    ("", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "list"),
    ("", "rbac.authorization.k8s.io", "clusterrolebindings", "get"),
    ("", "rbac.authorization.k8s.io", "clusterrolebindings", "create"),
    ("", "rbac.authorization.k8s.io", "clusterroles", "bind"),
    ("kube-system", "apps", "deployments", "get"),
}


def documents() -> list[dict]:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [one for block in blocks for one in yaml.safe_load_all(block) if one]


def granted() -> set[tuple[str, str, str, str]]:
    return {
        (one["metadata"].get("namespace", ""), group, resource, verb)
        for one in documents()
        for rule in one.get("rules", [])
        if "resources" in rule
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
    assert granted() - asked() == OF_THE_PROBE | OF_AN_UPGRADE


def test_of_other_paths_only_metrics_may_be_read():
    rules = [rule for one in documents() for rule in one.get("rules", [])]
    paths = [rule for rule in rules if "nonResourceURLs" in rule]
    assert paths == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]


def test_only_nodes_and_the_list_of_pods_are_needed_cluster_wide():
    needed = granted() - OF_AN_UPGRADE
    assert {(group, resource, verb) for where, group, resource, verb in needed if not where} == {
        ("", "nodes", "get"),
        ("", "nodes", "list"),
        ("", "nodes", "patch"),
        ("", "nodes/proxy", "get"),
        ("", "pods", "list"),
    }

"""What users notice: deprecated APIs, stored versions, webhooks, their own Corefile."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from kubectl_selfhost.controlplane.upgrade.users import (
    corefile,
    custom_resources,
    deprecated,
    requested,
    started,
    webhooks,
)
from kubectl_selfhost.controlplane.upgrade.version import Version


def metric(resource: str, group: str, removed: str, version: str, part: str = "") -> str:
    labels = {
        "group": group,
        "removed_release": removed,
        "resource": resource,
        "subresource": part,
        "version": version,
    }
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"apiserver_requested_deprecated_apis{{{text}}} 1\n"


METRICS = (
    "# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs\n"
    + metric("endpoints", "", "", "v1")
    + metric("volumes", "storage.k8s.io", "1.38", "v1beta1", "status")
    + "process_start_time_seconds 1.79582412345e+09\n"
)
SINCE = datetime(2026, 11, 27, 14, 2, 3, tzinfo=timezone.utc)
KUBEADMS = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes corp.example in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success corp.example
       disable denial corp.example
    }
    loop
    reload
    loadbalance
}
"""


def test_the_metric_names_what_clients_use_and_when_it_goes():
    (found,) = requested(METRICS)
    assert (found.name, found.removed) == ("volumes/status.storage.k8s.io/v1beta1", "1.38")
    since = started(METRICS)
    assert since is not None
    assert since.year == 2026
    assert started("") is None


@pytest.mark.parametrize(
    ("target", "blocks"),
    [
        (Version(1, 37, 9), False),
        (Version(1, 38, 0), True),
        (Version(1, 39, 0), True),
        (None, False),
    ],
)
def test_an_api_blocks_from_the_release_that_lacks_it(target, blocks):
    (found,) = deprecated("n1", requested(METRICS), SINCE, target)
    assert found.blocks is blocks
    assert "since 2026-11-27 14:02 UTC" in found.value
    assert ("rollout kube-apiserver" in found.remedy) is blocks


def test_a_pre_release_lacks_it_too():
    pre = Version(1, 38, 0, "alpha.0")
    assert [one.blocks for one in deprecated("n1", requested(METRICS), None, pre)] == [True]


def definition(*stored: str) -> dict:
    versions = [{"name": "v1", "served": True}, {"name": "v1alpha1", "served": False}]
    return {
        "metadata": {"name": "things.example.com"},
        "spec": {"versions": versions},
        "status": {"storedVersions": list(stored)},
    }


def test_objects_in_a_version_that_is_not_served_are_told():
    assert custom_resources([definition("v1")]) == []
    (found,) = custom_resources([definition("v1", "v1alpha1")] * 7)
    assert "things.example.com (v1alpha1)" in found.value
    assert found.value.endswith("and 2 more")
    assert not found.blocks


def webhook(**changes: object) -> dict:
    rule = {"apiGroups": ["*"], "resources": ["*/*"], "operations": ["*"]}
    hook = {"name": "all.example.com", "failurePolicy": "Fail", "rules": [rule], **changes}
    kind = "ValidatingWebhookConfiguration"
    return {"kind": kind, "metadata": {"name": "guard"}, "webhooks": [hook]}


def test_a_webhook_that_can_stop_everything_is_told():
    (found,) = webhooks([webhook()])
    assert "ValidatingWebhookConfiguration guard (all.example.com)" in found.value
    assert not found.blocks


@pytest.mark.parametrize(
    "changes",
    [
        {"failurePolicy": "Ignore"},
        {"rules": [{"apiGroups": ["apps"], "resources": ["*"], "operations": ["*"]}]},
        {"rules": [{"apiGroups": ["*"], "resources": ["pods"], "operations": ["*"]}]},
        {"rules": [{"apiGroups": ["*"], "resources": ["*"], "operations": ["DELETE"]}]},
        {"namespaceSelector": {"matchLabels": {"guarded": "yes"}}},
    ],
)
def test_other_webhooks_are_not(changes):
    assert webhooks([webhook(**changes)]) == []


def test_kubeadms_own_corefile_is_known():
    assert corefile(KUBEADMS) == []
    before_1_32 = KUBEADMS.replace("cache 30 {", "cache 30", 1)
    before_1_32 = "\n".join(
        line
        for number, line in enumerate(before_1_32.splitlines())
        if "disable" not in line and number != before_1_32.splitlines().index("    cache 30") + 3
    )
    assert corefile(before_1_32) == []


@pytest.mark.parametrize("text", [KUBEADMS.replace("30", "60"), ".:53 { errors }"])
def test_another_corefile_is_told(text):
    (found,) = corefile(text)
    assert not found.blocks

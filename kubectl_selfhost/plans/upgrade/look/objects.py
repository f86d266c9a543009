"""The cluster's objects that tell what an upgrade means for its users, and kubeadm's own records.

An object that can't be read (a missing permission) stops nothing: the person is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import (
    CONFIGMAPS,
    CUSTOM_RESOURCES,
    MUTATING_WEBHOOKS,
    VALIDATING_WEBHOOKS,
)
from kubectl_selfhost.controlplane.upgrade import users
from kubectl_selfhost.controlplane.upgrade.findings import COREDNS, Finding, Running
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import KUBEADM_CONFIG, NAMESPACE

_READABLE = "kubeadm.k8s.io/v1beta4"


def of_users(cluster: Cluster, *, dns: bool) -> list[Finding]:
    """Return what the cluster's objects tell; ``dns``: kubeadm's CoreDNS runs."""
    return [
        *_looked(
            "CustomResourceDefinitions",
            lambda: users.custom_resources(cluster.list(CUSTOM_RESOURCES)),
        ),
        *_looked(
            "Webhooks",
            lambda: users.webhooks(
                [*cluster.list(MUTATING_WEBHOOKS), *cluster.list(VALIDATING_WEBHOOKS)]
            ),
        ),
        *(_looked(COREDNS, lambda: _of_corefile(cluster)) if dns else []),
    ]


def _of_corefile(cluster: Cluster) -> list[Finding]:
    found = cluster.find(CONFIGMAPS, "coredns", NAMESPACE)
    text = ((found or {}).get("data") or {}).get("Corefile", "")
    return users.corefile(text) if text else []


def _looked(what: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except SelfhostError as error:
        return [Finding(what, f"could not look at them: {error.message.rstrip('.')}")]


def records(cluster: Cluster, newest: Version) -> tuple[Mapping, list[Finding]]:
    """Return kubeadm's ClusterConfiguration (empty if it can't be read), and what is wrong with it."""
    try:
        found = cluster.find(CONFIGMAPS, KUBEADM_CONFIG, NAMESPACE)
    except SelfhostError as error:
        return {}, [_unreadable(error.message.rstrip("."))]
    if found is None:
        return {}, [_unreadable("it does not exist")]
    configuration = _parsed(((found.get("data") or {}).get("ClusterConfiguration")) or "")
    if not configuration:
        return {}, [_unreadable("it holds no ClusterConfiguration")]
    return configuration, [*_old_form(configuration), *_stale(configuration, newest)]


def _parsed(text: str) -> Mapping:
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _unreadable(why: str) -> Finding:
    return Finding(
        f"ConfigMap {KUBEADM_CONFIG}",
        f"could not be read: {why}",
        remedy="kubeadm needs it for `join` and `upgrade node`.",
    )


def _old_form(configuration: Mapping) -> list[Finding]:
    form = configuration.get("apiVersion")
    if form == _READABLE:
        return []
    return [
        Finding(
            f"ConfigMap {KUBEADM_CONFIG}",
            f"is written as {form}, which kubeadm 1.37 can't read any more",
            remedy="`kubeadm config migrate` of an older kubeadm brings it to v1beta4.",
        )
    ]


def _stale(configuration: Mapping, newest: Version) -> list[Finding]:
    said = Version.parse(str(configuration.get("kubernetesVersion", "")))
    if said is None or said == newest:
        return []
    return [
        Finding(
            f"ConfigMap {KUBEADM_CONFIG}",
            f"says Kubernetes {said}, but {newest} runs",
            remedy="After a revert, kubeadm would bring that version back.",
        )
    ]


def runs(running: list[Running], component: str) -> bool:
    """Return whether the component runs anywhere."""
    return any(one.component == component for one in running)

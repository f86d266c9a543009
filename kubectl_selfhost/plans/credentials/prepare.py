"""What a renewal looks at before its plan."""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.session import Prepared
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.credentials.options import RenewalOptions
from kubectl_selfhost.plans.credentials.plan import Renewal
from kubectl_selfhost.plans.rollout import prepare as rollout
from kubectl_selfhost.plans.shared import nodes

_FOLDER = "/etc/kubernetes"


def prepare(cluster: Cluster, options: RenewalOptions, *, observer: Observer) -> Prepared[Renewal]:
    """Look at the control plane and make the plan; change nothing.

    Raise SelfhostError if a renewal can't begin, with what to do.
    """
    renewal = _look(cluster, options, observer)
    return rollout.judged("credentials renew", renewal, observer=observer)


def prepare_look(
    cluster: Cluster, options: RenewalOptions, *, observer: Observer
) -> Prepared[Renewal]:
    """Make the plan that only looks at the certificates on the nodes."""
    renewal = _look(cluster, options, observer)
    journal = Journal(cluster, warn=observer.warning)
    plan = renewal.look(observer=observer, journal=journal)
    return Prepared("credentials status", renewal, plan, journal, options.timeout)


def _look(cluster: Cluster, options: RenewalOptions, observer: Observer) -> Renewal:
    renewal = rollout.look_for(Renewal, cluster, options, observer=observer)
    nodes.chosen(renewal.situation, options.nodes)  # refuses a name that is no node's
    for one in renewal.nodes:
        if one.target.parent != _FOLDER:
            raise SelfhostError(
                f"The kubelet of node {one.node} reads static pods from "
                f"{one.target.static_pod_path}, not from {_FOLDER}/manifests: kubeadm's certificates "
                "are not beside it.",
                "Renew them with `kubeadm certs renew all` on the node, then run `kubectl selfhost "
                "rollout`.",
            )
    return renewal

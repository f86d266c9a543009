"""What a move of the credentials looks at before its plan."""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.daemonset import in_secrets, reads
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.session import Prepared
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.credentials import prepare as credentials
from kubectl_selfhost.plans.credentials.options import RenewalOptions
from kubectl_selfhost.plans.credentials.plan import Renewal
from kubectl_selfhost.plans.rollout import prepare as rollout
from kubectl_selfhost.plans.secrets.options import SecretsOptions
from kubectl_selfhost.plans.secrets.plan import Move
from kubectl_selfhost.plans.shared import nodes, stored_credentials
from kubectl_selfhost.plans.shared.situation import Situation, read_situation


def nothing_to_do(cluster: Cluster, situation: Situation, options: SecretsOptions) -> str:
    """Return the sentence that no pod reads a Secret, for a move to the host; else empty."""
    hosted = situation.self_hosted_daemonsets(COMPONENTS)
    if not options.to_host or not hosted or any(map(in_secrets.is_in_secrets, hosted)):
        return ""
    if stored_credentials.unused(cluster):
        return ""
    return "The control plane reads its credentials from the nodes' files already."


def prepare(cluster: Cluster, options: SecretsOptions, *, observer: Observer) -> Prepared[Move]:
    """Look at the control plane and make the plan; change nothing.

    Raise SelfhostError if the move can't begin, with what to do.
    """
    move = rollout.look_for(Move, cluster, options, observer=observer)
    for one in move.nodes:
        if one.target.parent != reads.FOLDER:
            raise SelfhostError(
                f"The kubelet of node {one.node} reads static pods from "
                f"{one.target.static_pod_path}, not from {reads.FOLDER}/manifests: the node agent "
                "can't read credentials there.",
                "Keep the credentials on the nodes.",
            )
    if not any(move.reads.values()):
        raise SelfhostError(
            "No component reads credentials from a volume of its node.",
            "`kubectl -n kube-system get daemonset -o yaml` shows the volumes.",
        )
    return rollout.judged(options.verb, move, observer=observer)


def prepare_renewal(
    cluster: Cluster, options: RenewalOptions, *, observer: Observer
) -> Prepared[Renewal]:
    """Make the plan of a renewal, of certificates in the nodes' files or in Secrets.

    Raise SelfhostError also if some components read files, and others Secrets.
    """
    hosted = read_situation(cluster).self_hosted_daemonsets(COMPONENTS)
    stored = [in_secrets.is_in_secrets(one) for one in hosted]
    if not any(stored):
        return credentials.prepare(cluster, options, observer=observer)
    if not all(stored):
        raise SelfhostError(
            "Some components read their credentials from Secrets, others from the nodes' files.",
            "Run `kubectl selfhost credentials to-secrets` or `credentials to-host` first.",
        )
    chosen = {**vars(options), "components": COMPONENTS}
    made = prepare(cluster, SecretsOptions(**chosen), observer=observer)
    nodes.chosen(made.whole.situation, options.nodes)  # refuses a name that is no node's
    return made  # type: ignore[return-value]

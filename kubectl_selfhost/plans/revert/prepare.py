"""What a revert looks at before its plan: what is self-hosted, and whether it can go back."""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.engine import journal as journals
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.session import Prepared
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import JOURNAL, NAMESPACE
from kubectl_selfhost.node import program
from kubectl_selfhost.plans.revert.options import RevertOptions
from kubectl_selfhost.plans.revert.plan import Revert, hosted_nodes
from kubectl_selfhost.plans.shared import nodes, permissions, stored_credentials
from kubectl_selfhost.plans.shared.situation import (
    Situation,
    at_rest,
    require_kubelet,
    require_rolled_out,
)


def nothing_to_do(cluster: Cluster, situation: Situation, options: RevertOptions) -> str:
    """Return the sentence that there is nothing to do; empty if there is something to do."""
    if not _is_done(cluster, situation, options):
        return ""
    return "None of the selected components is self-hosted. See `kubectl selfhost status`."


def _is_done(cluster: Cluster, situation: Situation, options: RevertOptions) -> bool:
    """Return whether none of the components is self-hosted, and no trace of a pivot is left."""

    if any(component.groups_in(situation.daemonsets) for component in options.components):
        return False
    if any(component.groups_in(situation.daemonsets) for component in COMPONENTS):
        return True
    labelled = any(situation.is_labelled(name) for name in situation.node_names)
    return not (labelled or cluster.find(CONFIGMAPS, JOURNAL, NAMESPACE) or program.unused(cluster))


def prepare(cluster: Cluster, options: RevertOptions, *, observer: Observer) -> Prepared[Revert]:
    """Look at the control plane and make the plan; change nothing.

    Raise SelfhostError if a revert can't begin, with what to do.
    """
    permissions.require(cluster)
    situation = at_rest(cluster, timeout=options.timeout, observer=observer)
    stored_credentials.refuse(situation.self_hosted_daemonsets(options.components), "revert")
    hosted = hosted_nodes(situation)
    meant = nodes.chosen(situation, options.nodes, server=cluster.server)
    journal = journals.read(cluster)
    # A run that ended after the last node was done may have left something on any node.
    left_over = not hosted and not nothing_to_do(cluster, situation, options)
    revert = Revert(
        cluster,
        situation,
        # A lone node counts also if only a leftover is there.
        kubelets={
            node: require_kubelet(cluster, node)
            for node in meant
            if node in hosted or left_over or not nodes.are_several(situation)
        },
        options=options,
        backups={node: _backups(journal, node) for node in meant},
    )
    if not revert.nodes:
        raise SelfhostError(
            f"kubectl selfhost has not changed {', '.join(meant)}.",
            "See `kubectl selfhost status`.",
        )
    program.refuse_foreign(cluster, (one.target.arch for one in revert.nodes))
    for one in revert.nodes:
        for component in one.to_revert:
            if not one.is_static(component):
                require_rolled_out(situation.daemonsets[component.daemonset])
                one.instance(component)
    writing = Journal(cluster, warn=observer.warning)
    return Prepared(
        "revert",
        revert,
        revert.plan(observer=observer, journal=writing),
        writing,
        options.timeout,
        leaves_nothing=revert.whole,
    )


def _backups(journal: dict, node: str) -> dict[Component, dict]:
    """Return the manifests of before the pivot, as far as the journal has them.

    The plan alone uses them: before anything is placed, the node's own manifests replace them.
    """
    import yaml

    found: dict[Component, dict] = {}
    for component in COMPONENTS:
        text = journal["nodes"].get(node, {}).get(component.name, {}).get("manifest")
        try:
            document = yaml.safe_load(text if isinstance(text, str) else "")
        except (yaml.YAMLError, RecursionError):
            continue
        if isinstance(document, dict) and document.get("kind") == "Pod":
            found[component] = document
    return found

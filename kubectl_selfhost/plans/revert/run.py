"""A revert from beginning to end: what has to be settled, checked, planned, and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.engine import journal as journals
from kubectl_selfhost.engine import session
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Plan
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.handover import seconds_each
from kubectl_selfhost.names import JOURNAL, NAMESPACE
from kubectl_selfhost.node import program
from kubectl_selfhost.plans.revert.options import RevertOptions
from kubectl_selfhost.plans.revert.plan import Revert, hosted_nodes
from kubectl_selfhost.plans.rollout.run import require_rolled_out
from kubectl_selfhost.plans.shared import nodes, permissions
from kubectl_selfhost.plans.shared.situation import Situation, require_kubelet, without_copies
from kubectl_selfhost.probe.sightings import ProbeReport


@dataclass(frozen=True)
class Prepared:
    """A revert that was looked at and may begin."""

    revert: Revert
    plan: Plan
    journal: Journal


@dataclass(frozen=True)
class RevertResult:
    """What a finished revert did. ``seconds`` is each switch, by component and node; ``whole``:
    no component is self-hosted any more."""

    whole: bool
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    probe: ProbeReport | None = None


def nothing_to_do(cluster: Cluster, situation: Situation, options: RevertOptions) -> bool:
    """Whether none of the components is self-hosted, and nothing of ours is left over."""

    if any(component.groups_in(situation.daemonsets) for component in options.components):
        return False
    if any(component.groups_in(situation.daemonsets) for component in COMPONENTS):
        return True
    labelled = any(situation.is_labelled(name) for name in situation.node_names)
    return not (labelled or cluster.find(CONFIGMAPS, JOURNAL, NAMESPACE) or program.unused(cluster))


def prepare(cluster: Cluster, options: RevertOptions, *, observer: Observer) -> Prepared:
    """Looks at the control plane and makes the plan; changes nothing.

    Raises SelfhostError where a revert can't begin, with what to do.
    """
    permissions.require(cluster)
    situation = without_copies(cluster, timeout=options.timeout, observer=observer)
    hosted = hosted_nodes(situation)
    meant = nodes.chosen(situation, options.nodes, server=cluster.server)
    journal = journals.read(cluster)
    revert = Revert(
        cluster,
        situation,
        # A lone node also where just something of ours is left over.
        kubelets={
            node: require_kubelet(cluster, node)
            for node in meant
            if node in hosted or not nodes.are_several(situation)
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
    return Prepared(revert, revert.plan(observer=observer, journal=writing), writing)


def carry_out(
    cluster: Cluster,
    prepared: Prepared,
    *,
    observer: Observer,
    still_ours: Callable[[], None],
) -> RevertResult:
    """Runs the plan; see ``carrying.carry_out``. A journal of what is undone whole goes, too."""
    revert = prepared.revert
    probe = session.carry_out(
        cluster,
        prepared.plan,
        prepared.journal,
        verb="revert",
        timeout=revert.options.timeout,
        observer=observer,
        still_ours=still_ours,
    )
    if revert.whole:
        with cluster.waiting(revert.options.timeout):
            prepared.journal.remove()
    return RevertResult(
        whole=revert.whole,
        seconds=seconds_each([revert.handovers]),
        probe=probe,
    )


def _backups(journal: dict, node: str) -> dict[Component, dict]:
    """Return the manifests of before the pivot, as far as the journal has them.

    They are good for the plan alone: before anything is placed, the node's own take their place.
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

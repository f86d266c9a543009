"""A pivot from beginning to end: what has to be settled, checked, planned, asked, run, and told.

The verb in cli/ says what a person typed and prints what comes out; the order of things is here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.engine import journal as journals
from kubectl_selfhost.engine import preflight, session
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.preflight import Finding
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Plan
from kubectl_selfhost.handover.handover import seconds_each
from kubectl_selfhost.names import AGENT_LABELS
from kubectl_selfhost.plans.pivot.checks import Preflight
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.pivot.plan import Pivot
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import Situation, read_situation
from kubectl_selfhost.probe.sightings import ProbeReport

_BY = {STATIC: "static pod", DAEMONSET: "DaemonSet"}


@dataclass(frozen=True)
class Prepared:
    """A pivot that was looked at and may begin: what was found, and what would be done."""

    pivot: Pivot
    findings: list[Finding]
    plan: Plan
    journal: Journal


@dataclass(frozen=True)
class PivotResult:
    """What a finished pivot did. ``kept``: on which nodes the former manifests are, by directory;
    ``seconds``: each switch, by component and node. ``whole``: nothing is static any more."""

    kept: dict[str, list[str]]
    whole: bool
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    probe: ProbeReport | None = None


def nothing_to_do(cluster: Cluster, situation: Situation, options: PivotOptions) -> bool:
    """Whether all is self-hosted already and no earlier run has left anything unfinished."""
    meant = nodes.chosen(situation, options.nodes)
    if not all(situation.self_hosted(c, node) for node in meant for c in options.components):
        return False
    runs = journals.read(cluster).get("runs", [])
    return not _agent_pods(situation) and all(r.get("ended") for r in runs)


def prepare(
    cluster: Cluster,
    options: PivotOptions,
    *,
    observer: Observer,
    show_findings: Callable[[list[Finding]], None],
) -> Prepared:
    """Waits for a healthy control plane, runs the pre-flight checks and makes the plan.

    Changes nothing. Raises PreflightFailed after ``show_findings`` was given all findings.
    """
    looked = Preflight(cluster, options, tell=observer.step_waiting)
    findings = preflight.run_checks(looked.checks(), ignore=options.ignore)
    show_findings(findings)
    preflight.require(findings)
    pivot = looked.pivot
    journal = Journal(cluster, warn=observer.warning)
    return Prepared(pivot, findings, pivot.plan(observer=observer, journal=journal), journal)


def carry_out(
    cluster: Cluster,
    prepared: Prepared,
    *,
    observer: Observer,
    still_ours: Callable[[], None],
) -> PivotResult:
    """Runs the plan; ``still_ours`` is asked before each step and raises when another run has taken
    over. Raises the SelfhostError that ended the run, after everything was undone that could be.
    """
    pivot = prepared.pivot
    probe = session.carry_out(
        cluster,
        prepared.plan,
        prepared.journal,
        verb="pivot",
        timeout=pivot.options.timeout,
        observer=observer,
        still_ours=still_ours,
    )
    kept: dict[str, list[str]] = {}
    for one in pivot.nodes:
        kept.setdefault(one.target.directory, []).append(one.node)
    return PivotResult(
        kept=kept,
        whole=_is_whole(pivot),
        seconds=seconds_each([pivot.handovers]),
        probe=probe,
    )


def _is_whole(pivot: Pivot) -> bool:
    """Whether nothing is static any more, once ``pivot`` is done."""
    situation = pivot.situation
    done = {(part.node, c) for part in pivot.nodes for c in pivot.options.components}
    return all(
        (name, component) in done or situation.self_hosted(component, name)
        for name in situation.node_names
        if nodes.runs(situation, name)
        for component in COMPONENTS
    )


def served(cluster: Cluster) -> list[tuple[str, str, str]]:
    """What runs where now: (component, by whom, on which node)."""
    situation = read_situation(cluster)
    rows = []
    for name in situation.node_names:
        for component in COMPONENTS if nodes.runs(situation, name) else ():
            ready = [i for i in situation.instances(component, name) if i.ready]
            by = " and ".join(_BY[i.kind] for i in ready)
            rows.append((component.name, by or "none", name))
    return rows


def _agent_pods(situation: Situation) -> list[dict]:

    return [
        pod
        for pod in situation.pods
        if AGENT_LABELS.items() <= (pod["metadata"].get("labels") or {}).items()
    ]

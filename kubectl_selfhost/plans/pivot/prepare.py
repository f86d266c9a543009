"""What a pivot looks at before its plan: whether there is anything to do, and its pre-flight
checks.
"""

from __future__ import annotations

from collections.abc import Callable

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.engine import journal as journals
from kubectl_selfhost.engine import preflight
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.preflight import Finding
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.session import Prepared
from kubectl_selfhost.names import AGENT_LABELS
from kubectl_selfhost.plans.pivot.checks import catalogue
from kubectl_selfhost.plans.pivot.checks.look import Look
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.pivot.plan import Pivot
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import Situation


def nothing_to_do(cluster: Cluster, situation: Situation, options: PivotOptions) -> str:
    """Return the sentence that there is nothing to do; empty if there is something to do."""
    if not _is_done(cluster, situation, options):
        return ""
    whole = len(options.components) == len(COMPONENTS)
    what = "The control plane is" if whole else f"{', '.join(map(str, options.components))}:"
    lines = [f"{what} already self-hosted. See `kubectl selfhost status`."]
    for name in nodes.left_alone(situation):
        lines.append(
            f"Skipped node {name}: it has no static pods. If it is still joining, run this command "
            "again later."
        )
    return "\n".join(lines)


def _is_done(cluster: Cluster, situation: Situation, options: PivotOptions) -> bool:
    """Return whether all is self-hosted already and no earlier run has left anything unfinished."""
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
) -> Prepared[Pivot]:
    """Wait for a healthy control plane, run the pre-flight checks and make the plan.

    Change nothing. Raise PreflightFailed after ``show_findings`` was given all findings.
    """
    looked = Look(cluster, options, tell=observer.step_waiting)
    findings = preflight.run_checks(catalogue.checks(looked), ignore=options.ignore)
    show_findings(findings)
    preflight.require(findings)
    pivot = looked.pivot
    journal = Journal(cluster, warn=observer.warning)
    plan = pivot.plan(observer=observer, journal=journal)
    return Prepared("pivot", pivot, plan, journal, options.timeout)


def _agent_pods(situation: Situation) -> list[dict]:

    return [
        pod
        for pod in situation.pods
        if AGENT_LABELS.items() <= (pod["metadata"].get("labels") or {}).items()
    ]

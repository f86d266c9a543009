"""``kubectl selfhost pivot``: what was typed goes in, what was found and done comes out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import flags, pages, run, suggestions
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.engine.preflight import Finding
    from kubectl_selfhost.engine.session import Prepared
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.plans.pivot.options import PivotOptions
    from kubectl_selfhost.plans.pivot.plan import Pivot

_WHEN_NODES_DIFFER = ("refuse", "separate")


def pivot(
    connection: ConnectionOptions,
    *,
    yes: Yes = False,
    dry_run: DryRun = "none",
    output: Annotated[str, output_format("yaml", "json", "name")] = "",
    timeout: Timeout = 300.0,
    component: flags.Components = None,
    node: flags.Nodes = None,
    handover: flags.HandOverWay = "auto",
    when_nodes_differ: Annotated[
        str,
        typer.Option(
            "--when-nodes-differ",
            parser=flags.one_of(*_WHEN_NODES_DIFFER),
            metavar="|".join(_WHEN_NODES_DIFFER),
            help="Refuse nodes that differ, or give them DaemonSets of their own.",
            autocompletion=suggestions.among(_WHEN_NODES_DIFFER),
        ),
    ] = "refuse",
    no_reboot_recovery: Annotated[
        bool,
        typer.Option(
            "--no-reboot-recovery",
            help="Install no guardian: after a reboot the API then needs a hand to come back.",
        ),
    ] = False,
    ignore_preflight_errors: Annotated[
        str,
        typer.Option(
            "--ignore-preflight-errors",
            metavar="CHECK,...",
            help="Checks whose failure shall only be a warning; all for every one.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Move the control plane from static pods into DaemonSets, one component after the other.

    On all control-plane nodes, one after the other.

    Nothing is changed before the plan is shown and agreed to. (While you read it, a Lease keeps other
    runs away.) If a component does not come up in
    its DaemonSet, the node puts its static pod back by itself.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.plans.pivot.options import PivotOptions

    options = PivotOptions(
        components=flags.components(component),
        nodes=tuple(node or ()),
        timeout=timeout,
        handover=handover,
        ignore=tuple(filter(None, ignore_preflight_errors.split(","))),
        reboot_recovery=not no_reboot_recovery,
        separate=when_nodes_differ == "separate",
    )
    cluster = connect(connection)
    run.through(
        cluster,
        _verb(cluster, options),
        yes=yes,
        dry_run=dry_run,
        output=output,
        manifests=lambda whole: _manifests(cluster, whole, judged=dry_run == "server"),
    )


def _manifests(cluster: Cluster, whole: Pivot, *, judged: bool) -> list[dict]:
    """Return what the pivot applies; ``judged``: as the API server would have it."""
    made = whole.to_apply()
    return [cluster.apply(one, dry_run=True) for one in made] if judged else made


def _verb(cluster: Cluster, options: PivotOptions) -> run.Verb[Pivot]:
    from kubectl_selfhost.plans.pivot.prepare import nothing_to_do, prepare

    shown: list[list[Finding]] = []

    def look(progress: Progress) -> Prepared[Pivot]:
        def show(findings: list[Finding]) -> None:
            if findings not in shown:  # checked again after something was settled
                shown.append(findings)
                _show_findings(progress, findings)

        return prepare(cluster, options, observer=progress, show_findings=show)

    return run.Verb(
        name="pivot",
        timeout=options.timeout,
        nothing_to_do=lambda situation: nothing_to_do(cluster, situation, options),
        prepare=look,
    )


def _show_findings(progress: Progress, findings: list[Finding]) -> None:
    from kubectl_selfhost.output import report

    progress.clear()
    pages.print_lines(sys.stderr, lambda style: report.findings(findings, style=style))

"""``kubectl selfhost pivot``: what was typed goes in, what was found and done comes out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import pages, run, suggestions
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions
from kubectl_selfhost.controlplane.component import COMPONENTS

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.engine.preflight import Finding
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.plans.pivot.options import PivotOptions
    from kubectl_selfhost.plans.pivot.run import PivotResult, Prepared
    from kubectl_selfhost.plans.shared.situation import Situation

_WHEN_NODES_DIFFER = ("refuse", "separate")


def pivot(
    connection: ConnectionOptions,
    *,
    yes: Yes = False,
    dry_run: DryRun = "none",
    output: Annotated[str, output_format("yaml", "json", "name")] = "",
    timeout: Timeout = 300.0,
    component: Annotated[
        list[str] | None,
        typer.Option(
            "--component",
            parser=pages.component_name,
            metavar="NAME",
            help="Only this component (repeatable).",
            autocompletion=suggestions.among(pages.NAMES),
        ),
    ] = None,
    node: pages.Nodes = None,
    handover: pages.HandOverWay = "auto",
    when_nodes_differ: Annotated[
        str,
        typer.Option(
            "--when-nodes-differ",
            parser=pages.one_of(*_WHEN_NODES_DIFFER),
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

    if timeout <= 0:
        raise typer.BadParameter("must be more than 0", param_hint="--timeout")
    chosen = component or pages.NAMES
    options = PivotOptions(
        components=tuple(c for c in COMPONENTS if c.name in chosen),
        nodes=tuple(node or ()),
        timeout=timeout,
        handover=handover,
        ignore=tuple(filter(None, ignore_preflight_errors.split(","))),
        reboot_recovery=not no_reboot_recovery,
        separate=when_nodes_differ == "separate",
    )
    cluster = connect(connection)
    verb = _verb(cluster, options)
    if dry_run == "none":
        done = run.carry_out(cluster, verb, yes=yes)
        if done is not None:
            _tell(cluster, options, done, output)
    else:
        run.rehearse(
            cluster,
            verb,
            how=dry_run,
            output=output,
            manifests=lambda prepared: _manifests(cluster, prepared, judged=dry_run == "server"),
        )


def _manifests(cluster: Cluster, prepared: Prepared, *, judged: bool) -> list[dict]:
    """Return what the pivot applies; ``judged``: as the API server would have it."""
    made = prepared.pivot.manifests()
    return [cluster.apply(one, dry_run=True) for one in made] if judged else made


def _verb(cluster: Cluster, options: PivotOptions) -> run.Verb[Prepared, PivotResult]:
    from kubectl_selfhost.plans.pivot import run as pivoting

    shown: list[list[Finding]] = []

    def prepare(progress: Progress) -> Prepared:
        def show(findings: list[Finding]) -> None:
            if findings not in shown:  # checked again after something was settled
                shown.append(findings)
                _show_findings(progress, findings)

        return pivoting.prepare(cluster, options, observer=progress, show_findings=show)

    return run.Verb(
        name="pivot",
        timeout=options.timeout,
        nothing_to_do=lambda situation: _nothing_to_do(cluster, situation, options),
        prepare=prepare,
        carry_out=lambda prepared, progress, lease: pivoting.carry_out(
            cluster, prepared, observer=progress, still_ours=lease.check
        ),
    )


def _tell(
    cluster: Cluster, options: PivotOptions, done: run.Done[Prepared, PivotResult], output: str
) -> None:
    from kubectl_selfhost.plans.pivot.plan import BEFORE_A_RESET

    pivot, result = done.prepared.pivot, done.result
    if output:
        pages.print_manifests(pivot.groups.daemonsets(), output)
    pages.print_summary(
        cluster,
        "The control plane is self-hosted." if result.whole else "That is self-hosted.",
        seconds=result.seconds,
        probe=result.probe,
        know=[
            *[
                f"The static manifests are kept on {', '.join(names)} in {directory}."
                for directory, names in result.kept.items()
            ],
            "`kubeadm upgrade` no longer applies to this control plane.",
            *([BEFORE_A_RESET] if pivot.several else []),
            "After a reboot of the node its guardian brings the API back by itself."
            if options.reboot_recovery
            else "After a reboot of the node the API does not come back by itself "
            "(--no-reboot-recovery): see docs/failures.md.",
        ],
        file=sys.stderr if output else sys.stdout,
    )


def _nothing_to_do(cluster: Cluster, situation: Situation, options: PivotOptions) -> str:
    from kubectl_selfhost.plans.pivot import run as pivoting
    from kubectl_selfhost.plans.shared import nodes

    if not pivoting.nothing_to_do(cluster, situation, options):
        return ""
    whole = len(options.components) == len(pages.NAMES)
    what = "The control plane is" if whole else f"{', '.join(map(str, options.components))}:"
    lines = [f"{what} already self-hosted. See `kubectl selfhost status`."]
    for name in nodes.left_alone(situation):
        lines.append(
            f"Skipped node {name}: it has no static pods. If it is still joining, run this command "
            "again later."
        )
    return "\n".join(lines)


def _show_findings(progress: Progress, findings: list[Finding]) -> None:
    from kubectl_selfhost.output import report

    progress.clear()
    pages.print_lines(sys.stderr, lambda style: report.findings(findings, style=style))

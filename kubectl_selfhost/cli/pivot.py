"""``kubectl selfhost pivot``: what was typed goes in, what was found and done comes out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from kubectl_selfhost.cli import pages, suggestions
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions
from kubectl_selfhost.controlplane.component import COMPONENTS

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

    Nothing is changed before the plan is shown and agreed to. If a component does not come up in
    its DaemonSet, the node puts its static pod back by itself.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.workflow.pivot import PivotOptions

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
    if dry_run == "none":
        _carry_out(cluster, options, yes=yes, output=output)
    else:
        _rehearse(cluster, options, on_server=dry_run == "server", output=output)


def _rehearse(cluster: Any, options: Any, *, on_server: bool, output: str) -> None:
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.workflow import pivoting

    if _is_done(cluster, options):
        return
    with Progress() as progress:
        prepared = pivoting.prepare(
            cluster, options, observer=progress, show_findings=_shower(progress)
        )
    manifests = prepared.pivot.manifests()
    if on_server:
        manifests = [cluster.apply(manifest, dry_run=True) for manifest in manifests]
    if output:
        pages.print_manifests(manifests, output)
    else:
        pages.print_plan(prepared.plan, file=sys.stdout)
    how = "server" if on_server else "client"
    pages.say(f"Nothing was changed (--dry-run={how}).")


def _carry_out(cluster: Any, options: Any, *, yes: bool, output: str) -> None:
    from kubectl_selfhost.workflow import pivoting
    from kubectl_selfhost.workflow.pivot import BEFORE_A_RESET

    if _is_done(cluster, options):
        return
    pages.require_an_answer(yes=yes)
    with pages.only_run(cluster, options.timeout) as (progress, lease):
        prepared = pivoting.prepare(
            cluster, options, observer=progress, show_findings=_shower(progress)
        )
        pages.print_plan(prepared.plan, file=sys.stderr)
        pages.ask(yes=yes)
        result = pivoting.carry_out(cluster, prepared, observer=progress, still_ours=lease.check)
    if output:
        pages.print_manifests(prepared.pivot.daemonsets(), output)
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
            *([BEFORE_A_RESET] if prepared.pivot.several else []),
            "After a reboot of the node its guardian brings the API back by itself."
            if options.reboot_recovery
            else "After a reboot of the node the API does not come back by itself "
            "(--no-reboot-recovery): see the README.",
        ],
        file=sys.stderr if output else sys.stdout,
    )


def _is_done(cluster: Any, options: Any) -> bool:
    from kubectl_selfhost.workflow import nodes, pivoting
    from kubectl_selfhost.workflow.situation import read_situation

    situation = read_situation(cluster)
    if not pivoting.nothing_to_do(cluster, situation, options):
        return False
    what = "The control plane is" if len(options.components) == len(pages.NAMES) else "That is"
    pages.say(f"{what} already self-hosted; nothing was changed. See `kubectl selfhost status`.")
    for name in nodes.left_alone(situation):
        pages.say(
            f"Node {name} has the control-plane label, and no static pods: it was left alone. If it "
            "has just joined, its static pods are still to come: then do this again."
        )
    return True


def _shower(progress: Any) -> Callable[[list[Any]], None]:
    def show(findings: list[Any]) -> None:
        from kubectl_selfhost.output import report

        progress.clear()
        pages.print_lines(sys.stderr, lambda style: report.findings(findings, style=style))

    return show

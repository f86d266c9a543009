"""``kubectl selfhost revert``: the way back into static pods."""

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
    from kubectl_selfhost.engine.lease import RunLease
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.plans.revert.options import RevertOptions
    from kubectl_selfhost.plans.revert.run import Prepared, RevertResult
    from kubectl_selfhost.plans.shared.situation import Situation


def revert(
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
    keep_backups: Annotated[
        bool,
        typer.Option("--keep-backups", help="Leave the manifests of before the pivot on the node."),
    ] = False,
    from_backup: Annotated[
        bool,
        typer.Option(
            "--from-backup", help="Put the files of before the pivot back, byte for byte."
        ),
    ] = False,
    handover: pages.HandOverWay = "auto",
) -> None:
    """Move the control plane from DaemonSets back into static pods, one component after the other.

    The static pods run what runs now: an image or a flag that was changed since the pivot is kept
    (without --from-backup).
    A DaemonSet is deleted only when its static pod serves; when all are, nothing of kubectl selfhost
    is left in the cluster and on the node.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.plans.revert.options import RevertOptions

    if timeout <= 0:
        raise typer.BadParameter("must be more than 0", param_hint="--timeout")
    chosen = component or pages.NAMES
    options = RevertOptions(
        components=tuple(c for c in COMPONENTS if c.name in chosen),
        nodes=tuple(node or ()),
        timeout=timeout,
        handover=handover,
        keep_backups=keep_backups,
        from_backup=from_backup,
    )
    cluster = connect(connection)
    verb = _verb(cluster, options)
    if dry_run == "none":
        done = run.carry_out(cluster, verb, yes=yes)
        if done is not None:
            _tell(cluster, done, output)
    else:
        run.rehearse(
            cluster,
            verb,
            how=dry_run,
            output=output,
            manifests=lambda prepared: prepared.revert.manifests(),
        )


def _verb(cluster: Cluster, options: RevertOptions) -> run.Verb[Prepared, RevertResult]:
    from kubectl_selfhost.plans.revert import run as reverting

    def carry_out(prepared: Prepared, progress: Progress, lease: RunLease) -> RevertResult:
        result = reverting.carry_out(cluster, prepared, observer=progress, still_ours=lease.check)
        lease.discard = result.whole
        return result

    def nothing_to_do(situation: Situation) -> str:
        if not reverting.nothing_to_do(cluster, situation, options):
            return ""
        return "None of the selected components is self-hosted. See `kubectl selfhost status`."

    return run.Verb(
        name="revert",
        timeout=options.timeout,
        nothing_to_do=nothing_to_do,
        prepare=lambda progress: reverting.prepare(cluster, options, observer=progress),
        carry_out=carry_out,
    )


def _tell(cluster: Cluster, done: run.Done[Prepared, RevertResult], output: str) -> None:
    result = done.result
    if output:
        pages.print_manifests(done.prepared.revert.manifests(), output)
    pages.print_summary(
        cluster,
        "The control plane is static again." if result.whole else "That is static again.",
        seconds=result.seconds,
        probe=result.probe,
        know=["`kubeadm upgrade` knows this control plane again."] if result.whole else [],
        file=sys.stderr if output else sys.stdout,
    )

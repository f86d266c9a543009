"""``kubectl selfhost revert``: the way back into static pods."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from kubectl_selfhost.cli import pages, suggestions
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions
from kubectl_selfhost.controlplane.component import COMPONENTS


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
    from kubectl_selfhost.workflow.revert import RevertOptions

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
    if _is_done(cluster, options):
        return
    if dry_run == "none":
        _carry_out(cluster, options, yes=yes, output=output)
    else:
        _rehearse(cluster, options, how=dry_run, output=output)


def _rehearse(cluster: Any, options: Any, *, how: str, output: str) -> None:
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.workflow import reverting

    with Progress() as progress:
        prepared = reverting.prepare(cluster, options, observer=progress)
    if output:
        pages.print_manifests(prepared.revert.manifests(), output)
    else:
        pages.print_plan(prepared.plan, file=sys.stdout)
    pages.say(f"Nothing was changed (--dry-run={how}).")


def _carry_out(cluster: Any, options: Any, *, yes: bool, output: str) -> None:
    from kubectl_selfhost.workflow import reverting

    pages.require_an_answer(yes=yes)
    with pages.only_run(cluster, options.timeout) as (progress, lease):
        prepared = reverting.prepare(cluster, options, observer=progress)
        pages.print_plan(prepared.plan, file=sys.stderr)
        pages.ask(yes=yes)
        result = reverting.carry_out(cluster, prepared, observer=progress, still_ours=lease.check)
        lease.discard = result.whole
    if output:
        pages.print_manifests(prepared.revert.manifests(), output)
    pages.print_summary(
        cluster,
        "The control plane is static again." if result.whole else "That is static again.",
        seconds=result.seconds,
        probe=result.probe,
        know=["`kubeadm upgrade` knows this control plane again."] if result.whole else [],
        file=sys.stderr if output else sys.stdout,
    )


def _is_done(cluster: Any, options: Any) -> bool:
    from kubectl_selfhost.workflow import reverting

    if not reverting.nothing_to_do(cluster, options):
        return False
    pages.say("Nothing of that is self-hosted; nothing was changed. See `kubectl selfhost status`.")
    return True

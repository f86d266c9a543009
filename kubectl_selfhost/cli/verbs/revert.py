"""``kubectl selfhost revert``: from DaemonSets back to static pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import flags, run
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.plans.revert.options import RevertOptions
    from kubectl_selfhost.plans.revert.plan import Revert


def revert(
    connection: ConnectionOptions,
    *,
    yes: Yes = False,
    dry_run: DryRun = "none",
    output: Annotated[str, output_format("yaml", "json", "name")] = "",
    timeout: Timeout = 300.0,
    component: flags.Components = None,
    node: flags.Nodes = None,
    keep_backups: Annotated[
        bool,
        typer.Option(
            "--keep-backups", help="Leave the manifests from before the pivot on the node."
        ),
    ] = False,
    from_backup: Annotated[
        bool,
        typer.Option(
            "--from-backup", help="Restore the manifests from before the pivot, byte for byte."
        ),
    ] = False,
    handover: flags.HandOverWay = "auto",
) -> None:
    """Move the control plane from DaemonSets back into static pods, one component after the other.

    The static pods run what runs now: they keep an image or a flag that was changed since the pivot
    (but not with --from-backup). A DaemonSet is deleted only when its static pod serves. When all
    static pods serve, nothing of kubectl selfhost is left in the cluster or on the node.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.plans.revert.options import RevertOptions

    options = RevertOptions(
        components=flags.components(component),
        nodes=tuple(node or ()),
        timeout=timeout,
        handover=handover,
        keep_backups=keep_backups,
        from_backup=from_backup,
    )
    cluster = connect(connection)
    run.through(cluster, _verb(cluster, options), yes=yes, dry_run=dry_run, output=output)


def _verb(cluster: Cluster, options: RevertOptions) -> run.Verb[Revert]:
    from kubectl_selfhost.plans.revert.prepare import nothing_to_do, prepare

    return run.Verb(
        name="revert",
        timeout=options.timeout,
        nothing_to_do=lambda situation: nothing_to_do(cluster, situation, options),
        prepare=lambda progress: prepare(cluster, options, observer=progress),
    )

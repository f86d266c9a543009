"""``kubectl selfhost credentials``: the certificates on the nodes, shown and renewed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import flags, run, suggestions
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions
from kubectl_selfhost.controlplane.credentials import CREDENTIALS, NAMES

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.plans.credentials.options import RenewalOptions
    from kubectl_selfhost.plans.credentials.plan import Renewal


def credentials_status(
    connection: ConnectionOptions,
    *,
    on_nodes: Annotated[
        bool,
        typer.Option(
            "--on-nodes",
            help="Look at the files first, with a privileged pod on each node for some seconds.",
        ),
    ] = False,
    yes: Yes = False,
    output: Annotated[str, output_format("json", "yaml")] = "",
    timeout: Timeout = 300.0,
) -> None:
    """Show the certificates on the control-plane nodes, as the last run has seen them.

    Exits 0 if each is valid for 14 days at least and in use, 1 if not. Changes nothing, unless
    --on-nodes is given.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.health.credentials import credentials
    from kubectl_selfhost.health.survey import survey
    from kubectl_selfhost.output import credentials as shown
    from kubectl_selfhost.output import document
    from kubectl_selfhost.output.text import Style

    cluster = connect(connection)
    if on_nodes:
        run.carry_out(cluster, _look(cluster, timeout), yes=yes)
    found = credentials(survey(cluster))
    if output == "json":
        print(document.as_json(shown.document(found)))
    elif output == "yaml":
        print(document.as_yaml(shown.document(found)))
    else:
        print("\n".join(shown.page(found, style=Style.for_stream(sys.stdout))))
    raise typer.Exit(0 if found.healthy else 1)


def credentials_renew(
    connection: ConnectionOptions,
    *,
    node: flags.Nodes = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            parser=flags.one_of(*NAMES),
            metavar="NAME",
            help="Only this certificate, by kubeadm's name for it (repeatable).",
            autocompletion=suggestions.among(NAMES),
        ),
    ] = None,
    if_less_than: Annotated[
        float | None,
        typer.Option(
            "--if-less-than",
            parser=flags.days,
            metavar="DURATION",
            help="Only certificates that end sooner, like 60d or 36h; fit for a cron job.",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = "none",
    timeout: Timeout = 300.0,
    handover: flags.HandOverWay = "auto",
) -> None:
    """Renew the certificates of a self-hosted control plane, and have them used.

    Each node's own kubeadm makes the new files beside the old ones. They are verified before they
    are used, and new pods take over where a kubeconfig is read at the start only. If anything fails,
    the files and the DaemonSets are what they were. No request is lost.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.plans.credentials.options import RenewalOptions

    names = tuple(only or NAMES)
    options = RenewalOptions(
        components=tuple(c.restarts for c in CREDENTIALS if c.restarts and c.name in names),
        timeout=timeout,
        handover=handover,
        nodes=tuple(node or ()),
        only=names,
        less_than=if_less_than,
    )
    cluster = connect(connection)
    run.through(cluster, _verb(cluster, options), yes=yes, dry_run=dry_run, output="")


def _verb(cluster: Cluster, options: RenewalOptions) -> run.Verb[Renewal]:
    from kubectl_selfhost.plans.secrets.prepare import prepare_renewal

    return run.Verb(
        name="credentials renew",
        timeout=options.timeout,
        prepare=lambda progress: prepare_renewal(cluster, options, observer=progress),
    )


def _look(cluster: Cluster, timeout: float) -> run.Verb[Renewal]:
    from kubectl_selfhost.plans.credentials.options import RenewalOptions
    from kubectl_selfhost.plans.credentials.prepare import prepare_look

    options = RenewalOptions(components=(), timeout=timeout, looks=True)
    return run.Verb(
        name="credentials status",
        timeout=timeout,
        prepare=lambda progress: prepare_look(cluster, options, observer=progress),
    )

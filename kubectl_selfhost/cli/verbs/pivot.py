"""``kubectl selfhost pivot``: its flags, and the findings of its checks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import flags, pages, run, suggestions
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cli.verbs import secrets
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
            help="If nodes differ: refuse, or create separate DaemonSets for them.",
            autocompletion=suggestions.among(_WHEN_NODES_DIFFER),
        ),
    ] = "refuse",
    no_reboot_recovery: Annotated[
        bool,
        typer.Option(
            "--no-reboot-recovery",
            help="Install no guardian. After a reboot a person must bring the API back by hand.",
        ),
    ] = False,
    store_certs_in_secrets: Annotated[
        bool,
        typer.Option(
            "--store-certs-in-secrets",
            help="Afterwards run `credentials to-secrets`, which shows a plan of its own.",
        ),
    ] = False,
    ignore_preflight_errors: Annotated[
        str,
        typer.Option(
            "--ignore-preflight-errors",
            metavar="CHECK,...",
            help="Checks that only warn when they fail; all: every check.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Move the control plane from static pods into DaemonSets, one component after the other.

    The command works on all control-plane nodes, one after the other.

    The command shows its plan and asks before it changes anything. (While you read the plan, a Lease
    keeps other runs away.) If a component does not become ready in its DaemonSet, the node itself
    puts the static pod back.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.plans.pivot.options import PivotOptions

    if store_certs_in_secrets and (component or node or output):
        raise typer.BadParameter(
            "it is for the whole control plane, without --component, --node and --output",
            param_hint="--store-certs-in-secrets",
        )
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
    if store_certs_in_secrets and dry_run != "none":
        pages.say("`credentials to-secrets` follows then, with a plan of its own.")
    elif store_certs_in_secrets:
        secrets.move(cluster, yes=yes, dry_run=dry_run, timeout=timeout, handover=handover)


def _manifests(cluster: Cluster, whole: Pivot, *, judged: bool) -> list[dict]:
    """Return the objects that the pivot applies; ``judged``: as the API server would store them."""
    made = whole.to_apply()
    return [cluster.apply(one, dry_run=True) for one in made] if judged else made


def _verb(cluster: Cluster, options: PivotOptions) -> run.Verb[Pivot]:
    from kubectl_selfhost.plans.pivot.prepare import nothing_to_do, prepare

    shown: list[list[Finding]] = []

    def look(progress: Progress) -> Prepared[Pivot]:
        def show(findings: list[Finding]) -> None:
            if findings not in shown:  # the checks run again after leftovers were settled
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

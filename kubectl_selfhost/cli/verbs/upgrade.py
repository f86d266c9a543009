"""``kubectl selfhost upgrade``: to another version; without a version, which versions there are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import flags, run
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, duration, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.controlplane.upgrade.findings import Findings
    from kubectl_selfhost.controlplane.upgrade.version import Version
    from kubectl_selfhost.plans.upgrade.options import UpgradeOptions
    from kubectl_selfhost.plans.upgrade.plan import Upgrade


def _version(text: str) -> Version:
    from kubectl_selfhost.controlplane.upgrade.version import Version

    found = Version.parse(text)
    if found is None:
        raise typer.BadParameter(f'"{text}" is no version like v1.37.3')
    return found


def upgrade(
    connection: ConnectionOptions,
    *,
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]",
            help="The version to go to, like v1.37.3 (default: only look).",
            parser=_version,
        ),
    ] = None,
    back: Annotated[
        bool,
        typer.Option("--back", help="Go back to VERSION: at most one minor release."),
    ] = False,
    etcd: Annotated[
        str,
        typer.Option(
            "--etcd",
            metavar="keep",
            help="What becomes of etcd: it stays as it is.",
            parser=flags.one_of("keep"),
        ),
    ] = "keep",
    unset_flag: Annotated[
        list[str] | None,
        typer.Option(
            "--unset-flag",
            metavar="NAME",
            help="Leave out a flag that the target does not have (repeatable).",
            parser=flags.flag_name,
            show_default=False,
        ),
    ] = None,
    unset_gate: Annotated[
        list[str] | None,
        typer.Option(
            "--unset-gate",
            metavar="NAME",
            help="Leave out a feature gate that the target does not have (repeatable).",
            show_default=False,
        ),
    ] = None,
    soak: Annotated[
        float | None,
        typer.Option(
            "--soak",
            parser=duration,
            metavar="DURATION",
            help="How long the new version is watched before it stays (default 10m for a new minor "
            "release, 0 for a patch release).",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = "none",
    output: Annotated[str, output_format("json", "yaml")] = "",
    timeout: Timeout = 300.0,
    handover: flags.HandOverWay = "auto",
) -> None:
    """Upgrade a self-hosted control plane to VERSION, without a lost request.

    Without a VERSION, show which version runs where, to which version an upgrade may go, and what
    blocks it; -o shows the same as data, also with a VERSION, and changes nothing.

    First short pods on the control-plane nodes ask the new images whether they fit. A new minor
    release runs at first as the old release, and is watched; if it does not hold, it goes back by
    itself. Packages on the nodes are left to you: the report names the commands.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.plans.upgrade.options import UpgradeOptions

    options = UpgradeOptions(
        version=version,  # type: ignore[arg-type]
        back=back,
        keep_etcd=etcd == "keep",
        unset_flags=tuple(unset_flag or ()),
        unset_gates=tuple(unset_gate or ()),
        timeout=timeout,
        soak=soak,
        handover=handover,
    )
    if back and version is None:
        raise typer.BadParameter("name the VERSION to go back to", param_hint="--back")
    cluster = connect(connection)
    if version is not None and dry_run == "none" and not output:
        run.through(cluster, _verb(cluster, options), yes=yes, dry_run="none", output="")
        return
    found = _page(cluster, options, output)
    if version is not None and dry_run != "none" and not output and not found.blocking:
        run.through(cluster, _verb(cluster, options, found), yes=yes, dry_run=dry_run, output="")
    raise typer.Exit(0 if not found.blocking else 1)


def _page(cluster: Cluster, options: UpgradeOptions, output: str) -> Findings:
    """Print what is found; return it."""
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.plans.shared.situation import read_situation
    from kubectl_selfhost.plans.upgrade.look.examine import examine

    with Progress() as progress:
        found = examine(cluster, read_situation(cluster), options, observer=progress)
    print("\n".join(_lines(found, output)))
    return found


def _verb(
    cluster: Cluster, options: UpgradeOptions, found: Findings | None = None
) -> run.Verb[Upgrade]:
    from kubectl_selfhost.plans.upgrade.prepare import prepare

    return run.Verb(
        name=f"upgrade {'--back ' if options.back else ''}{options.version}",
        timeout=options.timeout,
        prepare=lambda progress: prepare(cluster, options, observer=progress, found=found),
    )


def _lines(found: Findings, output: str) -> list[str]:
    from kubectl_selfhost.output.document import as_json, as_yaml
    from kubectl_selfhost.output.text import Style
    from kubectl_selfhost.output.upgrade.document import document
    from kubectl_selfhost.output.upgrade.page import page

    if output == "json":
        return [as_json(document(found))]
    if output == "yaml":
        return [as_yaml(document(found))]
    return page(found, style=Style.for_stream(sys.stdout))

"""``kubectl selfhost upgrade``: to which version a control plane may go, and what blocks the way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import flags
from kubectl_selfhost.cli.options import Timeout, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.controlplane.upgrade.findings import Findings
    from kubectl_selfhost.controlplane.upgrade.version import Version


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
            help="The version to ask about, like v1.37.3 (default: only look).",
            parser=_version,
        ),
    ] = None,
    back: Annotated[
        bool,
        typer.Option("--back", help="The version is older: at most one minor release."),
    ] = False,
    etcd: Annotated[
        str,
        typer.Option(
            "--etcd",
            metavar="upgrade|keep",
            help="Whether etcd goes to the version that kubeadm has for the target.",
            parser=flags.one_of("upgrade", "keep"),
        ),
    ] = "upgrade",
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
    output: Annotated[str, output_format("json", "yaml")] = "",
    timeout: Timeout = 300.0,
) -> None:
    """Show which version runs where, to which version an upgrade may go, and what blocks it.

    With a VERSION, short pods on the control-plane nodes ask the new images whether they fit: they
    pull the images, and show the true version and each flag and feature gate that is gone. Nothing
    else changes. Exits 0 if nothing blocks, 1 if something does.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.plans.shared.situation import read_situation
    from kubectl_selfhost.plans.upgrade.look.examine import examine
    from kubectl_selfhost.plans.upgrade.options import UpgradeOptions

    options = UpgradeOptions(
        version=version,  # type: ignore[arg-type]
        back=back,
        keep_etcd=etcd == "keep",
        unset_flags=tuple(unset_flag or ()),
        unset_gates=tuple(unset_gate or ()),
        timeout=timeout,
    )
    cluster = connect(connection)
    with Progress() as progress:
        found = examine(cluster, read_situation(cluster), options, observer=progress)
    print("\n".join(_lines(found, output)))
    raise typer.Exit(0 if not found.blocking else 1)


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

"""``kubectl selfhost rollout``: change self-hosted components, or just restart them."""

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
    from kubectl_selfhost.plans.rollout.options import RolloutOptions
    from kubectl_selfhost.plans.rollout.run import Prepared, RolloutResult


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.lstrip("-").partition("=")
    if not name or not equals:
        raise typer.BadParameter(f'"{text}" is not NAME=VALUE')
    return name, value


def _settings(texts: list[str]) -> dict[str, list[str]]:
    """All values of each flag, in order; ``_`` counts as ``-`` in a name, as for the components."""
    found: dict[str, list[str]] = {}
    for name, value in map(_setting, texts):
        found.setdefault(name.replace("_", "-"), []).append(value)
    return found


def _flag_name(text: str) -> str:
    name = text.lstrip("-")
    if not name or "=" in name:
        raise typer.BadParameter(f'"{text}" is no flag\'s name')
    return name.replace("_", "-")


def rollout(
    connection: ConnectionOptions,
    *,
    component: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMPONENT]...",
            help="What to roll out; all three without any.",
            parser=pages.component_name,
            autocompletion=suggestions.among(pages.NAMES),
        ),
    ] = None,
    image: Annotated[
        str, typer.Option("--image", metavar="IMAGE", help="The new image.", show_default=False)
    ] = "",
    set_flag: Annotated[
        list[str] | None,
        typer.Option(
            "--set-flag",
            metavar="NAME=VALUE",
            help="Set a flag of the component (repeatable; all values of one flag are set, in order).",
            show_default=False,
        ),
    ] = None,
    unset_flag: Annotated[
        list[str] | None,
        typer.Option(
            "--unset-flag",
            metavar="NAME",
            help="Take a flag of the component off (repeatable).",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = "none",
    output: Annotated[str, output_format("yaml", "json", "name")] = "",
    timeout: Timeout = 300.0,
    handover: pages.HandOverWay = "auto",
) -> None:
    """Replace the pods of self-hosted components, one component after the other.

    With new image or flags, or unchanged (they read renewed certificates then). No client meets a
    new API server before it is ready. If a new pod does not become Ready, the old pod keeps serving
    and the DaemonSet is rolled back.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.controlplane.daemonset.change import Change
    from kubectl_selfhost.plans.rollout.options import RolloutOptions

    if timeout <= 0:
        raise typer.BadParameter("must be more than 0", param_hint="--timeout")
    chosen = component or list(pages.NAMES)
    change = Change(
        image=image,
        flags=_settings(set_flag or []),
        without=tuple(_flag_name(text) for text in unset_flag or []),
    )
    if change and len(chosen) != 1:
        raise typer.BadParameter(
            f"name the one component that is meant: {', '.join(pages.NAMES)}",
            param_hint="COMPONENT",
        )
    options = RolloutOptions(
        components=tuple(c for c in COMPONENTS if c.name in chosen),
        change=change,
        timeout=timeout,
        handover=handover,
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
            manifests=lambda prepared: prepared.rollout.manifests(),
        )


def _verb(cluster: Cluster, options: RolloutOptions) -> run.Verb[Prepared, RolloutResult]:
    from kubectl_selfhost.plans.rollout import run as rolling

    return run.Verb(
        name="rollout",
        timeout=options.timeout,
        nothing_to_do=run.always_something,
        prepare=lambda progress: rolling.prepare(cluster, options, observer=progress),
        carry_out=lambda prepared, progress, lease: rolling.carry_out(
            cluster, prepared, observer=progress, still_ours=lease.check
        ),
    )


def _tell(cluster: Cluster, done: run.Done[Prepared, RolloutResult], output: str) -> None:
    if output:
        pages.print_manifests(done.prepared.rollout.manifests(), output)
    pages.print_summary(
        cluster,
        "The roll-out is done.",
        seconds=done.result.seconds,
        probe=done.result.probe,
        know=[],
        file=sys.stderr if output else sys.stdout,
    )

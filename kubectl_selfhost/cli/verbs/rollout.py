"""``kubectl selfhost rollout``: change self-hosted components, or only restart them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli import flags, run, suggestions
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.plans.rollout.options import RolloutOptions
    from kubectl_selfhost.plans.rollout.plan import Rollout


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.lstrip("-").partition("=")
    if not name or not equals:
        raise typer.BadParameter(f'"{text}" is not NAME=VALUE')
    return name, value


def _settings(texts: list[str]) -> dict[str, list[str]]:
    """Return all values of each flag, in order. In a name ``_`` means ``-``, as it does for the
    components.
    """
    found: dict[str, list[str]] = {}
    for name, value in map(_setting, texts):
        found.setdefault(name.replace("_", "-"), []).append(value)
    return found


def rollout(
    connection: ConnectionOptions,
    *,
    component: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMPONENT]...",
            help="The components to roll out (default: all three).",
            parser=flags.component_name,
            autocompletion=suggestions.among(flags.NAMES),
        ),
    ] = None,
    image: Annotated[
        str,
        typer.Option(
            "--image", metavar="IMAGE", help="The new image of the component.", show_default=False
        ),
    ] = "",
    set_flag: Annotated[
        list[str] | None,
        typer.Option(
            "--set-flag",
            metavar="NAME=VALUE",
            help="Set a flag of the component (repeatable; repeat NAME to give it several values).",
            show_default=False,
        ),
    ] = None,
    unset_flag: Annotated[
        list[str] | None,
        typer.Option(
            "--unset-flag",
            metavar="NAME",
            help="Remove a flag of the component (repeatable).",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = "none",
    output: Annotated[str, output_format("yaml", "json", "name")] = "",
    timeout: Timeout = 300.0,
    handover: flags.HandOverWay = "auto",
) -> None:
    """Replace the pods of self-hosted components, one component after the other.

    With a new image or new flags the command changes one component. Without them it starts new pods,
    which read renewed certificates. No client reaches a new API server before that server is ready.
    If a new pod does not become Ready, the old pod keeps serving and the DaemonSet is rolled back.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.controlplane.daemonset.change import Change
    from kubectl_selfhost.plans.rollout.options import RolloutOptions

    change = Change(
        image=image,
        flags=_settings(set_flag or []),
        without=tuple(flags.flag_name(text) for text in unset_flag or []),
    )
    if change and len(component or ()) != 1:
        raise typer.BadParameter(
            f"name exactly one component: {', '.join(flags.NAMES)}",
            param_hint="COMPONENT",
        )
    options = RolloutOptions(
        components=flags.components(component),
        change=change,
        timeout=timeout,
        handover=handover,
    )
    cluster = connect(connection)
    run.through(cluster, _verb(cluster, options), yes=yes, dry_run=dry_run, output=output)


def _verb(cluster: Cluster, options: RolloutOptions) -> run.Verb[Rollout]:
    from kubectl_selfhost.plans.rollout.prepare import prepare

    return run.Verb(
        name="rollout",
        timeout=options.timeout,
        prepare=lambda progress: prepare(cluster, options, observer=progress),
    )

"""``kubectl selfhost recover``: what to run on a node where there is no API and no guardian."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def recover(
    *,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the lines; nothing else is done.")
    ] = False,
    static_pod_path: Annotated[
        str,
        typer.Option(
            "--static-pod-path", metavar="DIRECTORY", help="The kubelet's staticPodPath there."
        ),
    ] = "/etc/kubernetes/manifests",
) -> None:
    """Print the few shell lines that bring the API back on a control-plane node, run there by hand.

    They need no API, and neither does this command. Where a guardian is installed, it does the same
    by itself.
    """
    from kubectl_selfhost.node.byhand import script

    if not print_:
        raise typer.BadParameter(
            "say so: the lines are only printed, you run them on the node", param_hint="--print"
        )
    if not static_pod_path.startswith("/"):
        raise typer.BadParameter("must begin with a slash", param_hint="--static-pod-path")
    sys.stdout.write(script(static_pod_path))

"""``kubectl selfhost recover``: the commands for a node whose API no guardian brings back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def recover(
    *,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the commands; nothing else is done.")
    ] = False,
    expired: Annotated[
        bool,
        typer.Option("--expired", help="The node's certificates have expired: renew them there."),
    ] = False,
    static_pod_path: Annotated[
        str,
        typer.Option(
            "--static-pod-path",
            metavar="DIRECTORY",
            help="The kubelet's staticPodPath on the node.",
        ),
    ] = "/etc/kubernetes/manifests",
) -> None:
    """Print the shell commands that bring the API back on a control-plane node, by hand.

    Run the printed commands on the node, as root. Neither they nor `recover` itself need the API. A
    node with a guardian brings the API back without help.
    """
    from kubectl_selfhost.node.byhand import script, script_for_expired_certificates

    if not print_:
        raise typer.BadParameter(
            "add --print: this command prints a script; run the script on the node",
            param_hint="--print",
        )
    if not static_pod_path.startswith("/"):
        raise typer.BadParameter("must begin with a slash", param_hint="--static-pod-path")
    lines = script_for_expired_certificates() if expired else script(static_pod_path)
    sys.stdout.write(lines)

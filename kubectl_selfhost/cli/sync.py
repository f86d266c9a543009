"""``kubectl selfhost sync``: what a reboot brings back is what runs now."""

from __future__ import annotations

import sys
from typing import Any

import typer

from kubectl_selfhost.cli import pages
from kubectl_selfhost.cli.options import Timeout, Yes
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions


def sync(connection: ConnectionOptions, *, yes: Yes = False, timeout: Timeout = 300.0) -> None:
    """Install the guardian, or renew it, with recovery copies of what serves now.

    After a reboot the guardian starts these copies, until the DaemonSets' own pods are up again. No
    component is touched.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect

    if timeout <= 0:
        raise typer.BadParameter("must be more than 0", param_hint="--timeout")
    pages.require_an_answer(yes=yes)
    _carry_out(connect(connection), yes=yes, timeout=timeout)
    pages.say("After a reboot of the node its guardian brings back what runs now.")


def _carry_out(cluster: Any, *, yes: bool, timeout: float) -> None:
    from kubectl_selfhost.workflow import syncing
    from kubectl_selfhost.workflow.situation import read_situation

    with pages.only_run(cluster, timeout) as (progress, lease):
        prepared = syncing.prepare(
            cluster, read_situation(cluster), timeout=timeout, observer=progress
        )
        pages.print_plan(prepared.plan, file=sys.stderr)
        pages.ask(yes=yes)
        syncing.carry_out(
            cluster, prepared, timeout=timeout, observer=progress, still_ours=lease.check
        )

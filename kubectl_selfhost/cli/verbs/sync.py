"""``kubectl selfhost sync``: makes the reboot recovery files match what runs now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.cli import pages, run
from kubectl_selfhost.cli.options import Timeout, Yes
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.plans.rollout.plan import Rollout


def sync(connection: ConnectionOptions, *, yes: Yes = False, timeout: Timeout = 300.0) -> None:
    """Install or update the guardian, with recovery copies of what serves now.

    After a reboot of a node, its guardian runs these copies until the DaemonSets' own pods serve
    again. The command changes no component.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect

    cluster = connect(connection)
    run.carry_out(cluster, _verb(cluster, timeout), yes=yes)
    pages.say("After a reboot of a node, its guardian brings back what runs now.")


def _verb(cluster: Cluster, timeout: float) -> run.Verb[Rollout]:
    from kubectl_selfhost.plans.sync import prepare

    return run.Verb(
        name="sync",
        timeout=timeout,
        prepare=lambda progress: prepare(cluster, timeout=timeout, observer=progress),
    )

"""``kubectl selfhost credentials to-secrets`` and ``to-host``: where the components read credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.cli import flags, run
from kubectl_selfhost.cli.options import DryRun, Timeout, Yes
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.plans.secrets.options import SecretsOptions
    from kubectl_selfhost.plans.secrets.plan import Move


def credentials_to_secrets(
    connection: ConnectionOptions,
    *,
    yes: Yes = False,
    dry_run: DryRun = "none",
    timeout: Timeout = 300.0,
    handover: flags.HandOverWay = "auto",
) -> None:
    """Store the control plane's credentials in Secrets, and have the components read them there.

    The credentials of each node are verified, stored in immutable Secrets in kube-system, and mounted
    where the files were: no flag changes. No request is lost. If a new pod does not serve, the
    DaemonSets are rolled back. The files stay on the nodes.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect

    move(connect(connection), yes=yes, dry_run=dry_run, timeout=timeout, handover=handover)


def credentials_to_host(
    connection: ConnectionOptions,
    *,
    yes: Yes = False,
    dry_run: DryRun = "none",
    timeout: Timeout = 300.0,
    handover: flags.HandOverWay = "auto",
) -> None:
    """Have the components read their credentials from the nodes' files, and delete the Secrets.

    A file that differs from what the pods read, or that is missing, is put back first: its bytes, its
    mode and its owner. No request is lost.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect

    cluster = connect(connection)
    move(cluster, to_host=True, yes=yes, dry_run=dry_run, timeout=timeout, handover=handover)


def move(
    cluster: Cluster,
    *,
    to_host: bool = False,
    yes: bool,
    dry_run: str,
    timeout: float,
    handover: str,
) -> None:
    """Move the credentials into Secrets, or ``to_host``."""
    from kubectl_selfhost.plans.secrets.options import SecretsOptions

    options = SecretsOptions(timeout=timeout, handover=handover, to_host=to_host)
    run.through(cluster, _verb(cluster, options), yes=yes, dry_run=dry_run, output="")


def _verb(cluster: Cluster, options: SecretsOptions) -> run.Verb[Move]:
    from kubectl_selfhost.plans.secrets.prepare import nothing_to_do, prepare

    return run.Verb(
        name=options.verb,
        timeout=options.timeout,
        prepare=lambda progress: prepare(cluster, options, observer=progress),
        nothing_to_do=lambda situation: nothing_to_do(cluster, situation, options),
    )

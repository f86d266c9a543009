"""``kubectl selfhost probe``: what clients of the API see for some time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubectl_selfhost.cli.options import duration, output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.probe.run import Probed

#: Each connection also costs this machine a TLS handshake: a higher rate would measure this machine.
_MOST = 200


def probe(
    connection: ConnectionOptions,
    *,
    rate: Annotated[
        int, typer.Option("--rate", metavar="NUMBER", help="New connections per second.")
    ] = 50,
    length: Annotated[
        float,
        typer.Option(
            "--duration",
            parser=duration,
            metavar="DURATION",
            help="How long to probe, for example 2m (default 30s); 0: until Ctrl-C.",
            show_default=False,
        ),
    ] = 30.0,
    in_cluster: Annotated[
        bool,
        typer.Option(
            "--in-cluster",
            help="Probe also from a pod on a control-plane node, at the kubernetes Service's address.",
        ),
    ] = False,
    output: Annotated[str, output_format("json", "yaml")] = "",
) -> None:
    """Send requests to the API as clients do, and report what clients would have seen.

    The probe opens new connections, reads and writes over kept connections (it writes a ConfigMap of
    its own in kube-system), watches that ConfigMap, asks /readyz, and checks that the kubernetes
    Service has an address. Ctrl-C stops the probe early; the report is printed then, too. The exit
    status is 0 if nothing failed, and 1 if anything failed.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.probe import run as probing

    if not 1 <= rate <= _MOST:
        raise typer.BadParameter(f"must be from 1 to {_MOST}", param_hint="--rate")
    if length < 0:
        raise typer.BadParameter("must not be negative", param_hint="--duration")
    cluster = connect(connection)
    with Progress() as progress:

        def glance(elapsed: float, requests: int, failed: int, gap: float) -> None:
            if progress.live:
                progress.step_waiting(
                    f"{elapsed:.0f}s: {requests} requests, {failed} failed, longest gap {gap:.1f}s"
                )

        seen = probing.probe(
            cluster,
            rate=rate,
            seconds=length,
            in_cluster=in_cluster,
            glance=glance,
            tell=progress.step_waiting,
        )
        progress.clear()
    print("\n".join(_lines(cluster, seen, output)))
    raise typer.Exit(0 if seen.spotless else 1)


def _lines(cluster: Cluster, seen: Probed, output: str) -> list[str]:
    from kubectl_selfhost.output import document, probe_document
    from kubectl_selfhost.output.probe import page
    from kubectl_selfhost.output.text import Style

    if not output:
        style = Style.for_stream(sys.stdout)
        return page(cluster.server, seen.api, seen.in_cluster, remarks=seen.remarks, style=style)
    made: dict[str, Any] = probe_document.document(
        seen.api,
        seen.in_cluster,
        context=cluster.context,
        server=cluster.server,
        spotless=seen.spotless,
        remarks=seen.remarks,
    )
    return [document.as_json(made) if output == "json" else document.as_yaml(made)]

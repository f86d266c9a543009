"""Each API server's own answers: its version, and which deprecated APIs its clients have used.

Only the API server itself counts its requests. So with several nodes each is asked at its own
address; a machine that reaches only a load balancer gets no answer there, and the person is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.upgrade.findings import Finding
from kubectl_selfhost.controlplane.upgrade.users import deprecated, requested, started
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.controlplane.values import addresses
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import Situation

#: Seconds for a connection to an API server that this machine may not reach at all.
_LIMIT = 5.0


@dataclass(frozen=True)
class Server:
    """An API server's answers. ``why`` is why its metrics could not be read."""

    node: str
    version: Version | None = None
    metrics: str = ""
    why: str = ""


def servers(cluster: Cluster, situation: Situation) -> list[Server]:
    """Return the answers of each node's API server."""
    names = [name for name in situation.node_names if situation.pods_of(APISERVER, name)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        asked = [
            pool.submit(_ask, cluster if len(names) == 1 else _at(cluster, situation, name), name)
            for name in names
        ]
        return [one.result() for one in asked]


def _at(cluster: Cluster, situation: Situation, node: str) -> Cluster:
    pod = situation.pods_of(APISERVER, node)[0]
    port = staticpod.secure_port(pod, APISERVER)
    address = addresses.in_url(nodes.advertise_address(situation, node))
    return cluster.at(f"https://{address}:{port}", timeout=_LIMIT)


def _ask(cluster: Cluster, node: str) -> Server:
    version = None
    try:
        version = Version.parse(json.loads(cluster.raw("GET", "/version")[1])["gitVersion"])
        metrics = cluster.raw("GET", "/metrics")[1].decode("utf-8", "replace")
    except SelfhostError as error:
        return Server(node, version, why=error.message.rstrip("."))
    except (ValueError, KeyError, TypeError):
        return Server(node, version, why="its answer could not be read")
    return Server(node, version, metrics)


def measured(found: list[Server]) -> Mapping[str, Version]:
    """Return the version that each API server says, by node."""
    return {one.node: one.version for one in found if one.version is not None}


def findings(found: list[Server], target: Version | None) -> list[Finding]:
    """Return which deprecated APIs clients use, and which API server could not be asked."""
    told = []
    for one in found:
        if one.why:
            told.append(
                Finding(
                    APISERVER.name,
                    f"could not ask it which deprecated APIs clients use: {one.why}",
                    node=one.node,
                )
            )
        used = requested(one.metrics)
        told += deprecated(one.node, used, started(one.metrics), target)
    return told

"""A probe that a person asks for: for a while, or until it is stopped, and if wanted also from a
pod.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import NODES, PODS, SERVICES
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.instance import is_ready, kind_of
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import CONTROL_PLANE_LABEL, NAMESPACE
from kubectl_selfhost.probe.from_a_pod import Reach, ReachReport, ReachTarget
from kubectl_selfhost.probe.prober import EVERY_KIND, Prober
from kubectl_selfhost.probe.sightings import ProbeReport

_GLANCE_EVERY = 0.25
_POD_LIMIT = 60.0
#: The program has 3 s for what is under way; and the API may be away when the probe ends.
_LOG_LIMIT = 12.0
_PATIENCE = 30.0

#: Called with the state so far: seconds since the start, requests, failures, longest gap.
Glance = Callable[[float, int, int, float], None]


@dataclass(frozen=True)
class Probed:
    """What was seen from here, and from a pod if this was asked for.

    ``remarks`` are sentences on what could not be seen, or is left behind.
    """

    api: ProbeReport
    in_cluster: ReachReport | None = None
    remarks: tuple[str, ...] = ()

    @property
    def spotless(self) -> bool:
        """Return whether no client could have noticed anything."""
        return self.api.spotless and not (self.in_cluster and self.in_cluster.failed)


def probe(
    cluster: Cluster,
    *,
    rate: int,
    seconds: float,
    in_cluster: bool,
    glance: Glance,
    tell: Callable[[str], None],
) -> Probed:
    """Probe for ``seconds`` (0: for ever), or until Ctrl-C, which ends the probe well.

    ``rate``: new connections a second. ``tell`` is called with what the probe waits for. Raise
    SelfhostError.
    """

    remarks: list[str] = []
    with _from_a_pod(cluster, rate, seconds, tell, wanted=in_cluster) as pod:
        prober = Prober(cluster, kinds=EVERY_KIND, rate=rate)
        try:
            with prober:
                _watch(prober.glance, seconds, glance)
        except KeyboardInterrupt:
            # A person has seen enough. (A second Ctrl-C, while the probe ends, ends it at once.)
            remarks.append("It was ended early.")
        api = prober.report()
        remarks += [f"Left out: {kind}: {why}." for kind, why in api.left_out.items()]
        if prober.leftover:
            remarks.append(f"The ConfigMap {NAMESPACE}/{prober.leftover} could not be deleted.")
        seen = None
        if pod is not None:
            try:
                seen = pod.finish(timeout=_LOG_LIMIT)
            except SelfhostError as error:
                remarks.append(f"What the pod saw is not known: {error.message}")
    return Probed(api, seen, tuple(remarks))


def _watch(look: Callable[[], tuple[int, int, float]], seconds: float, glance: Glance) -> None:
    began = time.monotonic()
    while not seconds or time.monotonic() - began < seconds:
        elapsed = time.monotonic() - began
        glance(elapsed, *look())
        time.sleep(min(_GLANCE_EVERY, max(0.0, seconds - elapsed) if seconds else _GLANCE_EVERY))


@contextmanager
def _from_a_pod(
    cluster: Cluster, rate: int, seconds: float, tell: Callable[[str], None], *, wanted: bool
) -> Iterator[Reach | None]:

    if not wanted:
        yield None
        return
    patient = cluster.with_patience(_PATIENCE)
    reach = Reach(patient, _target(cluster), rate=rate, seconds=seconds)
    try:
        reach.start(timeout=_POD_LIMIT, tell=tell)
        yield reach
    finally:
        reach.remove()


def _target(cluster: Cluster) -> ReachTarget:
    """Return a control-plane node that is Ready, an image that it has (its kube-apiserver's), and
    the Service.

    Raise SelfhostError if there is none.
    """

    nodes = {n["metadata"]["name"]: n for n in cluster.list(NODES, labels=CONTROL_PLANE_LABEL)}
    running = [
        pod
        for name in nodes
        for pod in cluster.list(PODS, NAMESPACE, fields=f"spec.nodeName={name}")
        if kind_of(pod, APISERVER) is not None and is_ready(pod)
    ]
    if not running:
        raise SelfhostError(
            "No control-plane node has a kube-apiserver that is ready, in whose image the probe "
            "could run.",
            "Run it without --in-cluster.",
        )
    pod = running[0]
    node = pod["spec"]["nodeName"]
    service = cluster.get(SERVICES, "kubernetes", "default")["spec"]
    return ReachTarget(
        node=node,
        arch=nodes[node]["status"]["nodeInfo"]["architecture"],
        image=staticpod.component_container(pod)["image"],
        address=service["clusterIP"],
        port=service["ports"][0]["port"],
    )

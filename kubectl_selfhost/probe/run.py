"""The probe of ``kubectl selfhost probe``: for some time or until Ctrl-C, on request also from a pod."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import NODES, PODS, SERVICES
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.instance import kind_of
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.status import is_ready
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import CONTROL_PLANE_LABEL, NAMESPACE
from kubectl_selfhost.probe.from_a_pod import Reach, ReachReport, ReachTarget
from kubectl_selfhost.probe.prober import EVERY_KIND, Prober
from kubectl_selfhost.probe.sightings import ProbeReport

_GLANCE_EVERY = 0.25
_POD_LIMIT = 60.0
#: The program has 3 s for its open connections, and the API may be away when the probe ends.
_LOG_LIMIT = 12.0
_PATIENCE = 30.0

#: A listener to the state: seconds since the start, requests, failures, longest gap.
Glance = Callable[[float, int, int, float], None]


@dataclass(frozen=True)
class Probed:
    """The result of the probe of this machine, and of the pod if there was one.

    ``remarks`` are sentences on what the probe could not see, or could not remove.
    """

    api: ProbeReport
    in_cluster: ReachReport | None = None
    remarks: tuple[str, ...] = ()

    @property
    def spotless(self) -> bool:
        """Return whether no client could notice anything."""
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
    """Probe for ``seconds`` (0: without limit), or until Ctrl-C, which ends the probe early.

    ``rate``: new connections per second. ``tell`` is called with what the probe waits for. Raise
    SelfhostError.
    """

    remarks: list[str] = []
    with _from_a_pod(cluster, rate, seconds, tell, wanted=in_cluster) as pod:
        prober = Prober(cluster, kinds=EVERY_KIND, rate=rate)
        try:
            with prober:
                _watch(prober.glance, seconds, glance)
        except KeyboardInterrupt:
            # The person has seen enough. (A second Ctrl-C ends the probe without a report.)
            remarks.append("Stopped early by Ctrl-C.")
        api = prober.report()
        remarks += [f"Skipped {kind}: {why}." for kind, why in api.left_out.items()]
        if prober.leftover:
            remarks.append(f"The ConfigMap {NAMESPACE}/{prober.leftover} could not be deleted.")
        seen = None
        if pod is not None:
            try:
                seen = pod.finish(timeout=_LOG_LIMIT)
            except SelfhostError as error:
                remarks.append(f"The pod gave no report: {error.message}")
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
    """Return a control-plane node that is Ready, its kube-apiserver's image, and the Service.

    Raise SelfhostError if there is no such node.
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
            "No control-plane node has a Ready kube-apiserver, whose image the probe's pod needs.",
            "Run the probe without --in-cluster.",
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

"""The ways from static pods to DaemonSets that are compared: two of kubeadm's, three of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bed import kubeadm_algorithm
from bed.bench.pivot import component_seconds
from bed.harness import Bed
from kubectl_selfhost.cluster.errors import ApiError

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

LATE = 25.0  # seconds from Running to the deletion, when kubeadm's pivot is late


@dataclass(frozen=True)
class Ran:
    """The course of a way: seconds in all, seconds of each component, and why it failed (or empty)."""

    seconds: float
    components: dict[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Way:
    """A way from static pods to DaemonSets: ``go`` pivots a cluster in this way."""

    title: str
    go: Callable[[Bed, Cluster], Ran]


def _kubeadm(bed: Bed, cluster: Cluster, *, late: float) -> Ran:
    began = time.monotonic()
    try:
        components = kubeadm_algorithm.pivot(bed, cluster, late=late)
    except (kubeadm_algorithm.TookTooLong, ApiError) as error:
        return Ran(time.monotonic() - began, error=str(error))
    return Ran(time.monotonic() - began, components)


def _ours(bed: Bed, cluster: Cluster, *, handover: str) -> Ran:
    run = bed.selfhost("pivot", "--yes", f"--handover={handover}", check=False)
    if run.returncode:
        return Ran(run.seconds, error=str(run))
    return Ran(run.seconds, component_seconds(bed))


#: By the name that WAYS=... uses, in the order in which they are run and printed.
WAYS = {
    "kubeadm": Way("kubeadm's algorithm, at once", partial(_kubeadm, late=0.0)),
    "kubeadm-late": Way(f"kubeadm's algorithm, {LATE:.0f} s late", partial(_kubeadm, late=LATE)),
    "waiting": Way("waiting", partial(_ours, handover="waiting")),
    "shared": Way("shared", partial(_ours, handover="shared")),
    "seamless": Way("seamless", partial(_ours, handover="seamless")),
}

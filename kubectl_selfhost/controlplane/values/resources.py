"""Amounts of CPU and memory: Kubernetes quantities as numbers, and the free room of a node.

Source: ``k8s.io/apimachinery/pkg/api/resource`` (the notation) and
``k8s.io/component-helpers/resource`` (what a pod requests), Kubernetes 1.37.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import NamedTuple

_SUFFIXES = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,3})|(?P<suffix>[a-zA-Z]*))"
)


#: The classes of a pod's quality of service.
GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"


class Amount(NamedTuple):
    """Thousandths of a CPU, and bytes of memory."""

    millicores: int
    bytes: int


def quantity(text: str | int | float) -> Fraction:
    """Return the exact number of a quantity; raise ValueError for another text.

    A manifest may have a plain number (``cpu: 1``), while the API always returns a string.
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None or (match["suffix"] or "") not in _SUFFIXES:
        raise ValueError(f'"{text}" is not a Kubernetes quantity')
    number = Fraction(match["number"])
    if match["exponent"] is not None:
        return number * Fraction(10) ** int(match["exponent"])
    return number * _SUFFIXES[match["suffix"]]


def requests(pod_spec: dict) -> Amount:
    """Return what the scheduler and the kubelet reserve for a pod.

    Containers run together with the init containers that stay (``restartPolicy: Always``,
    "sidecars"); other init containers run before, one by one. The pod's own ``resources``
    (Kubernetes 1.34) override those of its containers. Its overhead is added.
    """
    return Amount(ceil(_requested(pod_spec, "cpu") * 1000), ceil(_requested(pod_spec, "memory")))


def quality_of_service(pod_spec: dict) -> str:
    """Return the pod's class by the kubelet's rules (pkg/apis/core/v1/helper/qos/qos.go)."""
    of_pod = pod_spec.get("resources")
    every = [*(pod_spec.get("initContainers") or []), *(pod_spec.get("containers") or [])]
    amounts = [
        _requested_and_limit(holder, resource)
        for holder in ([pod_spec] if of_pod else every)
        for resource in ("cpu", "memory")
    ]
    if not any(request or limit for request, limit in amounts):
        return BEST_EFFORT
    same = all(limit and request == limit for request, limit in amounts)
    return GUARANTEED if same else BURSTABLE


def headroom(node: dict, pods: Iterable[dict]) -> Amount:
    """Return the free room of ``node``; it is below zero if its pods request more than the node has.

    ``pods`` may be the pods of the whole cluster. Mirror pods count; ended pods don't.
    """
    allocatable = node["status"]["allocatable"]
    asked = [requests(pod["spec"]) for pod in _pods_on(node, pods)]
    return Amount(
        millicores=_floor(quantity(allocatable["cpu"]) * 1000) - sum(one[0] for one in asked),
        bytes=_floor(quantity(allocatable["memory"])) - sum(one[1] for one in asked),
    )


def places(node: dict, pods: Iterable[dict]) -> int:
    """Return how many more pods ``node`` accepts (the kubelet's maxPods, by default 110)."""
    most = quantity(node["status"]["allocatable"]["pods"])
    return _floor(most) - len(_pods_on(node, pods))


def _pods_on(node: dict, pods: Iterable[dict]) -> list[dict]:
    return [
        pod
        for pod in pods
        if pod["spec"].get("nodeName") == node["metadata"]["name"]
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]


def _requested(pod_spec: dict, resource: str) -> Fraction:
    together = sum((_amount(one, resource) for one in pod_spec.get("containers", [])), Fraction(0))
    stay, most = Fraction(0), Fraction(0)
    for container in pod_spec.get("initContainers") or []:
        amount = _amount(container, resource)
        if container.get("restartPolicy") == "Always":
            stay += amount
            most = max(most, stay)
        else:
            most = max(most, stay + amount)
    total = max(together + stay, most)
    if resource in (pod_spec.get("resources") or {}).get("requests", {}):
        total = _amount(pod_spec, resource)
    return total + quantity((pod_spec.get("overhead") or {}).get(resource, 0))


def _requested_and_limit(holder: dict, resource: str) -> tuple[Fraction, Fraction]:
    limits = (holder.get("resources") or {}).get("limits") or {}
    return _amount(holder, resource), quantity(limits.get(resource, 0))


def _amount(holder: dict, resource: str) -> Fraction:
    resources = holder.get("resources") or {}
    limit = (resources.get("limits") or {}).get(resource, 0)
    return quantity((resources.get("requests") or {}).get(resource, limit))


def _floor(amount: Fraction) -> int:
    return amount.numerator // amount.denominator

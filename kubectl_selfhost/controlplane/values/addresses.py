"""IP addresses in any notation, and the address of a node that its pods have."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def is_address(text: str) -> bool:
    """Return whether the text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def in_url(address: str) -> str:
    """Return an address, or a name, as a URL has it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def same_address(a: str, b: str) -> bool:
    """Return whether two texts mean the same address; other texts must be equal."""
    try:
        return ipaddress.ip_address(a) == ipaddress.ip_address(b)
    except ValueError:
        return a == b


def host_ip(node: dict, pods: Iterable[dict]) -> str:
    """Return the address that the kubelet of ``node`` gives its pods (status.hostIP).

    ``pods`` are any pods of the cluster. A node may have several internal addresses, in any order and
    of both families; the kubelet chooses the address of its pods (its --node-ip). If no pod shows an
    address that the node still has, the first internal address counts.
    """
    addresses = node.get("status", {}).get("addresses") or []
    own = [one["address"] for one in addresses if one["type"] in ("InternalIP", "ExternalIP")]
    for pod in pods:
        told = pod.get("status", {}).get("hostIP", "")
        here = pod["spec"].get("nodeName") == node["metadata"]["name"]
        if here and any(same_address(told, one) for one in own):
            return str(told)
    return next((one["address"] for one in addresses if one["type"] == "InternalIP"), "")

"""A control plane of three nodes: its pivot beside the pivot of one node, on the same cluster."""

from __future__ import annotations

from typing import Any

from bed import kindconfig
from bed.harness import Bed

KIND_CONFIG = kindconfig.control_planes(3)


def measure(bed: Bed) -> dict[str, Any]:
    """Pivot a node, revert it, and pivot all nodes; print and return the times and their ratio."""
    node = f"--node={bed.node}"
    one = bed.selfhost("pivot", "--yes", node).seconds
    bed.selfhost("revert", "--yes", node)
    every = bed.selfhost("pivot", "--yes").seconds
    print(f"{'pivot of one node of three':28} {one:6.1f} s")
    print(f"{'pivot of all three':28} {every:6.1f} s")
    print(f"{'  times one node':28} {every / one:6.2f}", flush=True)
    return {"one": round(one, 2), "all": round(every, 2), "ratio": round(every / one, 2)}

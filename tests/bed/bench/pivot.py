"""One pivot as a person would type it, with nothing beside it but a light probe."""

from __future__ import annotations

import json
import statistics
from typing import Any

from bed.harness import Bed
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect
from kubectl_selfhost.probe.prober import Prober


def measure(bed: Bed) -> dict[str, Any]:
    """Pivot the cluster; print and return the times. A probe from here sees what a client would."""
    with Prober(connect(ConnectionOptions(kubeconfig=str(bed.kubeconfig)))) as prober:
        run = bed.selfhost("pivot", "--yes")
        seen = prober.report()
    print(f"{'pivot':28} {run.seconds:6.1f} s")
    components = component_seconds(bed)
    for component, seconds in components.items():
        print(f"{'  ' + component:28} {seconds:6.1f} s")
    failures = ", ".join(f"{count} {kind}" for kind, count in seen.failures.items()) or "none"
    print(f"{'longest gap for a client':28} {seen.longest_gap:6.2f} s")
    print(f"{'requests':28} {seen.requests:6}    failures: {failures}")
    status = statistics.median([bed.selfhost("status").seconds for _ in range(6)][1:])
    print(f"{'status (warm)':28} {status:6.2f} s")
    return {
        "seconds": round(run.seconds, 2),
        "components": components,
        "longestGap": round(seen.longest_gap, 3),
        "requests": seen.requests,
        "failures": dict(seen.failures),
        "statusSeconds": round(status, 3),
    }


def component_seconds(bed: Bed) -> dict[str, float]:
    """Return how long each component's switch took, by the journal of the pivot."""
    journal = bed.get("configmap", "kubectl-selfhost-journal", "--namespace=kube-system")
    nodes = json.loads(journal["data"]["journal.json"])["nodes"].values()
    return {
        component: facts["seconds"]
        for components in nodes
        for component, facts in components.items()
    }

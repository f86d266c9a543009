"""The progress of a DaemonSet's rollout."""

from __future__ import annotations


def is_rolled_out(daemonset: dict) -> bool:
    """Return whether each node's pod has the current revision of the DaemonSet (from the API)."""
    status = daemonset.get("status", {})
    seen = status.get("observedGeneration") == daemonset["metadata"].get("generation")
    wanted = status.get("desiredNumberScheduled", 0)
    return seen and status.get("updatedNumberScheduled", 0) == wanted


def is_available(daemonset: dict) -> bool:
    """Return whether the rollout is complete, and each pod has been Ready for ``minReadySeconds``.
    ``kubectl rollout status`` waits for the same.
    """
    status = daemonset.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    return is_rolled_out(daemonset) and status.get("numberAvailable", 0) >= wanted

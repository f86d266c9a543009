"""Looks at a cluster for the tests, by kubectl or on the node: never through the plugin."""

from __future__ import annotations

import json
import time

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
MANIFESTS = "/etc/kubernetes/manifests"
KEPT = "/etc/kubernetes/kubectl-selfhost"
GUARDIAN = "kubectl-selfhost-guardian"
OURS = {GUARDIAN, *(f"{c}-recovery" for c in COMPONENTS)}


def objects(bed, kind: str, *selector: str) -> list[dict]:
    """Return objects of ``kind`` in kube-system."""
    return json.loads(bed.kubectl("-n", "kube-system", "get", kind, "-o", "json", *selector))[
        "items"
    ]


def answers(bed) -> bool:
    """Return whether the API server says now that it is ready."""
    try:
        return bed.kubectl("get", "--raw=/readyz", "--request-timeout=2s").strip() == "ok"
    except Exception:
        return False


def static_pods(bed) -> set[str]:
    """Return the names of the static pods that stay (without the node's name), by their mirror
    pods; leave out the plugin's own.
    """
    return {name for name in _mirrored(bed) if name not in OURS}


def recovery_pods(bed) -> set[str]:
    """Return the static pods that are the plugin's own: the guardian, and copies that stand in."""
    return _mirrored(bed) & OURS


def _mirrored(bed) -> set[str]:
    return {
        pod["metadata"]["name"].removesuffix("-" + pod["spec"]["nodeName"])
        for pod in objects(bed, "pods")
        if is_static(pod)
    }


def is_static(pod: dict) -> bool:
    """Return whether a pod is the mirror of a static pod that stays.

    After a pivot the former API server lets its last requests finish: its mirror is Terminating.
    """
    return _is_mirror(pod) and "deletionTimestamp" not in pod["metadata"]


def _is_mirror(pod: dict) -> bool:
    return "kubernetes.io/config.mirror" in pod["metadata"].get("annotations", {})


def nothing_ends(bed) -> bool:
    """Return whether no static pod is there that ends."""
    return not [
        pod
        for pod in objects(bed, "pods")
        if _is_mirror(pod) and "deletionTimestamp" in pod["metadata"]
    ]


def manifest_files(bed) -> dict[str, str]:
    """Return the files in the kubelet's directory, and their digests."""
    return _digests(bed, MANIFESTS)


def kept_files(bed) -> dict[str, str]:
    """Return the manifests that the plugin keeps on the node: file name to digest."""
    return {
        path.rpartition("/")[2]: digest
        for path, digest in _digests(bed, KEPT).items()
        if path.endswith(".yaml") and not path.startswith("recovery/")
    }


def _digests(bed, directory: str) -> dict[str, str]:
    script = f"cd {directory} 2>/dev/null && find . -type f -exec sha256sum {{}} + || true"
    lines = bed.node_exec("sh", "-c", script).splitlines()
    return {name.removeprefix("./"): digest for digest, name in (line.split() for line in lines)}


def ready_pods(bed, daemonset: str) -> list[str]:
    """Return the names of the Ready pods of the plugin's DaemonSet."""
    return [
        pod["metadata"]["name"]
        for pod in objects(bed, "pods", "-l", f"k8s-app={daemonset}")
        if is_ready(pod)
    ]


def agent_pods(bed) -> list[dict]:
    """Return the pods of the node agent."""
    return objects(bed, "pods", "-l", "app.kubernetes.io/name=kubectl-selfhost-agent")


def self_hosted(bed) -> set[str]:
    """Return the components that have only the DaemonSet's pod, Ready."""
    static = static_pods(bed)
    return {c for c in COMPONENTS if len(ready_pods(bed, f"self-hosted-{c}")) == 1} - static


def eventually(look, *, seconds: float = 60.0, what: str = "") -> None:
    """Wait until ``look()`` is true; fail with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if look():
                return
            last = "it says no"
        except Exception as error:
            last = str(error)
        assert time.monotonic() < deadline, f"{what or look}: {last}"
        time.sleep(0.3)


def is_ready(pod: dict) -> bool:
    """Return whether a pod says that it is Ready."""
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def works(bed) -> bool:
    """Return whether the control plane does its work: a Deployment's pod is made and bound to a
    node.

    This takes all three components. The pod need not run.
    """
    name = f"probe-{time.monotonic_ns() % 10**9}"
    words = ("create", "deployment", name, "--image=registry.k8s.io/pause:3.10.2")
    deployment = json.loads(bed.kubectl(*words, "--dry-run=client", "--output=json"))
    # Several control-plane nodes without a worker are all tainted.
    deployment["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
    bed.kubectl("create", "-f", "-", stdin=json.dumps(deployment))
    try:
        eventually(
            lambda: bed.kubectl(
                "get", "pods", "-l", f"app={name}", "-o", "jsonpath={.items[*].spec.nodeName}"
            ),
            seconds=60,
            what="no pod was made and scheduled",
        )
    finally:
        bed.kubectl("delete", "deployment", name, "--wait=false")
    return True

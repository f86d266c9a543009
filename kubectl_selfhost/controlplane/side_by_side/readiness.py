"""Whether a kube-apiserver's condition Ready proves that this instance itself is ready.

While an old and a new instance share a port, a connection to the node's address reaches either of
them. So a hand-over may wait for Ready only if the probe reaches the new instance alone. Such a probe
is an httpGet to the server's own secure port: ``daemonset.build.build`` sets its host to a loopback
address, which the node agent gives to the new instance. For the controller-manager and the scheduler
the lease is the proof: the new instance must renew the lease (see ``Leadership``).
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.pod import staticpod

#: The endpoints that fail until all post-start hooks are done (Kubernetes 1.20 to 1.37); /livez
#: passes before the informers are synced, and /readyz/NAME is a single check.
_READY_PATHS = ("/readyz", "/healthz")
#: Checks that a probe must not exclude: until they pass, RBAC answers 403 to everybody.
_NEEDED = ("informer-sync", "poststarthook")


def doubt(pod: dict) -> str:
    """Return why another kube-apiserver can make this pod Ready; empty if that is not possible.

    ``pod`` is a static pod, its mirror, or a DaemonSet's pod template.
    """
    container = staticpod.component_container(pod)
    kind = "readinessProbe" if container.get("readinessProbe") else "startupProbe"
    probe = container.get(kind)
    if not probe:
        return "it has no readinessProbe, so its pod is Ready as soon as its process runs"
    if probe.get("httpGet"):
        return _doubt_of_request(kind, probe["httpGet"], container, pod)
    if probe.get("exec"):
        return f"its {kind} runs a command (exec), and the old instance may answer that command"
    action = next((name for name in ("tcpSocket", "grpc") if name in probe), "unknown action")
    return f"the old instance answers its {kind} ({action}), too"


def _doubt_of_request(kind: str, request: dict, container: dict, pod: dict) -> str:
    own, asked = staticpod.secure_port(pod, APISERVER), _number(request.get("port"), container)
    if asked != str(own):
        return f"its {kind} asks port {asked}, and kube-apiserver serves on port {own}"
    if request.get("scheme", "HTTP") != "HTTPS":
        return f"its {kind} speaks HTTP, and kube-apiserver speaks HTTPS"
    if not _means_ready(request.get("path", "/")):
        return f"its {kind} asks {request.get('path', '/')}, not /readyz"
    return ""


def _number(port: object, container: dict) -> str:
    """Return a probe's port as a number, even if the probe has the port's name."""
    named = {p.get("name"): p.get("containerPort") for p in container.get("ports") or []}
    return str(named.get(port, port) if isinstance(port, str) else port)


def _means_ready(path: str) -> bool:
    parts = urlsplit(path)
    if parts.path.rstrip("/") not in _READY_PATHS:
        return False
    excluded = parse_qs(parts.query).get("exclude", [])
    return not any(check.startswith(_NEEDED) for check in excluded)

"""Whether two instances of a component may run side by side on one node.

Two instances can share the component's port. But they also need things that only one process of a
node can have: the right to work (a lease), the ports of sidecars on the host's network, and the
sockets and data directories of sidecars on the host's disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import normpath

from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.defaults import PROBES
from kubectl_selfhost.controlplane.side_by_side import pace
from kubectl_selfhost.names import NODE_LABEL

#: Names of flags and variables (``_`` as ``-``, lower case) for the address where a program listens.
_LISTENS = re.compile(
    r"(^|-)(listen(er|ing)?|bind|serv(e|ing)|health(z)?|metrics?|http|https|tls|grpc|admin|probe|"
    r"pprof|debug|status|web|insecure|secure|telemetry|monitoring|prometheus|readiness|liveness)"
    r"(-|$)|^(port|p|addr|address|socket)$"
)
_PLACE = re.compile(r"(^|-)(port|p|addr(ess)?|bind|listen(er|ing)?|endpoint|socket|url)(-|$)")
#: Names of flags and variables for the address that a program calls.
_CALLS = re.compile(
    r"(^|-)(api-?server|kube|etcd|target|upstream|remote|backend|client|dest(ination)?|forward|"
    r"connect|master|server|peers?|proxy-to|runtime|push|advertise)(-|$)"
)
_PORT = re.compile(r"(?:[a-z]+://)?(?:\[[0-9a-fA-F:.*]*\]|[^:\s/,]*):(\d{1,5})/?|(\d{1,5})")
_SOCKET = re.compile(r"(?:unix(?:-abstract)?:(?://)?)?(/[^\s,]*)")
_SOCKET_FLAG = re.compile(r"(^|-)(listen|bind|serv(e|ing)|socket|unix|addr(ess)?)(-|$)")
#: Directories that only one process can use.
_OWNED = re.compile(r"(^|-)((data|wal|state|db|storage)-?(dir|path|file)?|(lock|pid)-?file)$")
#: Places of sockets: two containers that mount such a directory talk through a socket in it.
_RUNTIME = ("/run/", "/var/run/", "/tmp/")  # noqa: S108 - compared, never written
_DIRECTORIES = ("", "Directory", "DirectoryOrCreate")


def one_at_a_time(component: Component, pod: dict) -> str:
    """Return why a second instance must wait until the first has ended; empty if it need not wait.

    The DaemonSet of a component that must wait does not share its port: so a second instance can't
    begin to work, whoever starts it. Such a component has no recovery copy. ``pod`` is a static pod,
    its mirror, or a DaemonSet's pod template.
    """
    if component == APISERVER:
        return ""  # two API servers can answer side by side; for sidecars see ``conflicts``
    return _why_alone(component, pod) or _why_built_so(pod)


def _why_alone(component: Component, pod: dict) -> str:
    if not staticpod.leader_elects(pod, component):
        return "without leader election two instances would work at the same time"
    found = conflicts(component, pod)
    if found:
        return "; ".join(found)
    longest = pace.longest_retry(component, pod)
    if longest > pace.LONGEST_WAIT:
        return (
            "beside the old instance, the new one would ask for the lease only every "
            f"{staticpod.retry_period(pod, component):g} to {longest:g} s (--leader-elect-retry-period)"
        )
    return ""


def _why_built_so(pod: dict) -> str:
    """Return a reason for a pod of our DaemonSet that doesn't share its port.

    A template has no ``ports``, so it doesn't show every reason for which the static pod did not
    share.
    """
    if NODE_LABEL not in (pod["spec"].get("nodeSelector") or {}):
        return ""
    shares = staticpod.flags(pod).get("permit-port-sharing", "false").lower()
    return "" if shares in ("true", "t", "1") else "its DaemonSet does not share its port"


def conflicts(component: Component, pod: dict) -> list[str]:
    """Return, in words, the ports and files that two copies of the pod's sidecars can't both have.

    A sidecar that is probed at the component's own port has no port of its own.
    """
    spec, main = pod["spec"], staticpod.component_container(pod)
    own = staticpod.secure_port(pod, component)
    return [
        f"two of container {container['name']} can't have {thing}"
        for container in _side_cars(spec, main)
        for thing in dict.fromkeys(
            [
                *(f"port {port}" for port in _ports(container, pod) if port != own),
                *(f"{path} on the node" for path in _paths(container, main, spec)),
            ]
        )
    ]


def _side_cars(spec: dict, main: dict) -> Iterator[dict]:
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            yield container
    for container in spec.get("containers") or []:
        if container is not main:
            yield container


def _ports(container: dict, pod: dict) -> Iterator[int]:
    """Yield the ports of the node on which a sidecar listens, as far as its manifest shows them."""
    on_host = bool(pod["spec"].get("hostNetwork"))
    for port in container.get("ports") or []:
        number = port.get("hostPort") or (port.get("containerPort") if on_host else 0)
        if number:
            yield int(number)
    if not on_host:
        return
    yield from _probed(container)
    for name, value in _settings(container):
        found = _PORT.fullmatch(value)
        number = int(found[1] or found[2]) if found else 0
        listens = _LISTENS.search(name) and not _CALLS.search(name)
        if listens and (_PLACE.search(name) or (found and found[1])) and 0 < number < 2**16:
            yield number


def _probed(container: dict) -> Iterator[int]:
    for probe in (container.get(name) or {} for name in PROBES):
        for action in ("httpGet", "tcpSocket", "grpc"):
            port = (probe.get(action) or {}).get("port")
            if str(port).isdecimal():
                yield int(str(port))


def _paths(container: dict, main: dict, spec: dict) -> Iterator[str]:
    """Yield the sockets and data directories on the node that only this sidecar uses."""
    sources = {
        one["name"]: one["hostPath"] for one in spec.get("volumes") or [] if "hostPath" in one
    }
    shared = {mount["name"] for mount in main.get("volumeMounts") or []}
    for mount in container.get("volumeMounts") or []:
        source = sources.get(mount["name"])
        if source is None or mount.get("readOnly") or source.get("type", "") not in _DIRECTORIES:
            continue
        named = [path for path in _owned(container) if _is_in(path, mount["mountPath"])]
        yield from named
        if not named and mount["name"] in shared and _is_in(source["path"], *_RUNTIME):
            yield f"sockets in {source['path']}"


def _owned(container: dict) -> Iterator[str]:
    for name, value in _settings(container):
        found = _SOCKET.fullmatch(value)
        if found is None or _CALLS.search(name):
            continue
        is_socket = value.startswith("unix:") or value.endswith((".sock", ".socket"))
        if _OWNED.search(name) or (is_socket and _SOCKET_FLAG.search(name)):
            yield normpath(found[1])


def _is_in(path: str, *directories: str) -> bool:
    return any(f"{normpath(path)}/".startswith(f"{normpath(one)}/") for one in directories)


def _settings(container: dict) -> Iterator[tuple[str, str]]:
    """Yield a container's flags and variables with values, as (name, value)."""
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    for name, value in component_flags.parse(words):
        yield name.lower(), value
    for variable in container.get("env") or []:
        yield variable["name"].lower().replace("_", "-"), str(variable.get("value") or "")

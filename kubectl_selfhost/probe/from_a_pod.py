"""A probe from a pod on the pod network: what clients in the cluster see at the Service's address.

The pod is an ordinary pod, without privilege, without a token, and without files of the node. It
needs no registry: it runs a small program (packaging/reach) in the kube-apiserver's own image, which
is on the node. The program only measures, and is no part of the node agent.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubectl_selfhost import names
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import CONFIGMAPS, PODS, SECRETS
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.pod.status import phase_and_restarts
from kubectl_selfhost.controlplane.program import SECRET, Reference, carrying
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE, PROBE_LABELS, selector
from kubectl_selfhost.node import binaries
from kubectl_selfhost.node.pod import PROGRAM_FOLDER
from kubectl_selfhost.node.program import SwappedProgram
from kubectl_selfhost.probe.sightings import FAILED, FINE, SLOT

CONTAINER = "reach"
#: If the probe is killed, its pod ends this many seconds after the planned end of the probe.
_SPARE_SECONDS = 60
_FOR_EVER = 86400
#: The program answers SIGTERM at once, and then stays for 15 s (packaging/reach/reach.c).
_GRACE_SECONDS = 20
#: Any user but root; this one is distroless' nonroot.
_USER = 65532


@dataclass(frozen=True)
class ReachTarget:
    """The place and the target of a probe: a node, its CPU, an image on the node, the Service's
    address and port.
    """

    node: str
    arch: str
    image: str
    address: str
    port: int


@dataclass(frozen=True)
class ReachReport:
    """What the pod saw. Gap and duration in seconds, latencies (p50, p90, p99, max) in milliseconds.

    ``runs`` has the first 200 series of failures of one kind without a good answer in between: when
    the first and the last failure began (seconds since the start), the kind, and the number.
    """

    seconds: float
    requests: int
    failures: Mapping[str, int]
    longest_gap: float
    latency: Mapping[str, float] | None = None
    runs: tuple[tuple[float, float, str, int], ...] = ()

    @property
    def failed(self) -> int:
        """Return the number of failures of all kinds."""
        return sum(self.failures.values())

    @property
    def slots(self) -> list[str]:
        """Return the timeline: the worst of every half second, as in a ProbeReport."""
        slots = [FINE] * math.ceil(self.seconds / SLOT)
        for first, last, _, _ in self.runs:
            for number in range(int(first / SLOT), min(int(last / SLOT) + 1, len(slots))):
                slots[number] = FAILED
        return slots


class Reach:
    """The pod of one probe, from ``start`` to ``finish``."""

    def __init__(self, cluster: Cluster, target: ReachTarget, *, rate: int, seconds: float) -> None:
        """Prepare a probe that lasts ``seconds``, or until it is stopped if ``seconds`` is 0."""
        self._cluster = cluster
        self._target = target
        self._rate = rate
        self._limit = int(seconds) + _SPARE_SECONDS if seconds else _FOR_EVER
        self.pod = pod_name(target.node)
        self._program = program(target)
        self._program_uid = ""

    def start(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        """Create the pod and wait until it runs; replace what a killed probe left.

        Raise SelfhostError if the pod can't be created, doesn't run within ``timeout`` seconds, or
        may have got another program.
        """

        self._remove(timeout=timeout, tell=tell)
        made = self._cluster.create(SECRETS, self._program)
        self._program_uid = made["metadata"]["uid"]
        self._cluster.create(PODS, manifest(self._target, rate=self._rate, limit=self._limit))
        wait_until(self._runs, what=f"the pod {self.pod} to run", timeout=timeout, tell=tell)

    def finish(self, *, timeout: float) -> ReachReport:
        """Return what the pod saw. Raise SelfhostError if the pod does not report."""

        self._cluster.delete(PODS, self.pod, NAMESPACE)  # SIGTERM; the log stays readable
        return wait_until(self._said, what=f"the report of the pod {self.pod}", timeout=timeout)

    def remove(self) -> None:
        """Remove everything that ``start`` made; objects that are gone cause no error."""
        self._remove(timeout=0.0, tell=lambda _: None)

    def _remove(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        for secret in self._cluster.list(SECRETS, NAMESPACE, labels=selector(PROBE_LABELS)):
            # In an earlier build the object had the pod's name.
            if re.fullmatch(rf"{self.pod}(-[0-9a-f]{{64}})?", secret["metadata"]["name"]):
                self._cluster.delete(SECRETS, secret["metadata"]["name"], NAMESPACE)
        # A killed probe of an earlier build left a ConfigMap.
        self._cluster.delete(CONFIGMAPS, self.pod, NAMESPACE)
        # The kubelet kills the rest of the pod; nobody needs more of its output.
        self._cluster.delete(PODS, self.pod, NAMESPACE, grace_seconds=0)
        if timeout:
            wait_until(
                lambda: self._cluster.find(PODS, self.pod, NAMESPACE) is None or None,
                what=f"an earlier pod {self.pod} to go",
                timeout=timeout,
                tell=tell,
            )

    def _runs(self) -> bool:
        pod = self._cluster.find(PODS, self.pod, NAMESPACE)
        if pod is None:
            raise SelfhostError(f"Somebody deleted the pod {self.pod}.")
        status = pod.get("status") or {}
        phase = phase_and_restarts(pod)[0]
        if status.get("phase") in ("Failed", "Succeeded"):
            raise SelfhostError(f"The pod {self.pod} ended too early ({phase}).")
        if status.get("phase") != "Running":
            raise Waiting(f"pod {self.pod}: {phase}")
        self._require_same_program()
        return True

    def _require_same_program(self) -> None:
        """Raise SwappedProgram unless the Secret is the one that was created for this pod."""

        wanted = self._program
        name = wanted["metadata"]["name"]
        found = self._cluster.find(SECRETS, name, NAMESPACE)
        if (
            found is not None
            and found["metadata"]["uid"] == self._program_uid
            and all(found.get(key) == wanted[key] for key in ("type", "immutable", "data"))
        ):
            return
        self._cluster.delete(PODS, self.pod, NAMESPACE, grace_seconds=0)
        raise SwappedProgram(
            Reference(SECRET, name),
            started=f"the pod {self.pod}",
            node=self._target.node,
            wrong="it is another object now",
            then="The probe deleted the pod.",
        )

    def _said(self) -> ReachReport | None:
        for line in self._cluster.logs(self.pod, CONTAINER, tail=5).splitlines():
            if line.startswith("{"):
                return parse(line)
        return None


def pod_name(node: str) -> str:
    """Return the name of the pod on a node."""
    return names.pod_name("selfhost-probe", node)


def program(target: ReachTarget) -> dict:
    """Return the manifest of the Secret that carries the program, and is deleted with the pod.

    The reason for a Secret is that of the node agent's program (``controlplane.program``), although
    this pod has no privilege: a person who may only write ConfigMaps must not choose what runs on a
    control-plane node. The Secret's name has the pod's name and the program's whole SHA-256.
    """
    file = _file_name(target.arch)
    content = binaries.content(file)
    return carrying(
        file,
        content,
        name=f"{pod_name(target.node)}-{hashlib.sha256(content).hexdigest()}",
        labels=PROBE_LABELS,
        purpose=(
            "The program of kubectl selfhost probe --in-cluster; it is not confidential. The probe "
            "deletes this Secret. You may delete it, too."
        ),
    )


def _file_name(arch: str) -> str:
    return f"reach-{arch}"


def parse(line: str) -> ReachReport:
    """Return the report in the program's line of JSON. Raise SelfhostError for anything else."""
    try:
        said = json.loads(line)
        latency = said["latency_us"]
        return ReachReport(
            seconds=said["milliseconds"] / 1000,
            requests=int(said["requests"]),
            failures={str(kind): int(count) for kind, count in said["failures"].items()},
            longest_gap=said["longest_gap_ms"] / 1000,
            latency=latency and {str(name): took / 1000 for name, took in latency.items()},
            runs=tuple(
                (first / 1000, last / 1000, str(kind), int(count))
                for first, last, kind, count in said["runs"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SelfhostError("The report of the probe's pod could not be read.") from None


def manifest(target: ReachTarget, *, rate: int, limit: int) -> dict:
    """Return the pod's manifest: ``rate`` connections a second, for ``limit`` seconds at most."""
    name = pod_name(target.node)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": dict(PROBE_LABELS),
            "annotations": {
                "kubectl-selfhost/purpose": (
                    "Connects to the kubernetes Service as clients in the cluster do, for "
                    "kubectl selfhost probe. You may delete this pod."
                )
            },
        },
        "spec": {
            "nodeName": target.node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(target, rate, limit)],
            "volumes": [
                {
                    "name": "program",
                    "secret": {
                        "secretName": program(target)["metadata"]["name"],
                        "defaultMode": 0o755,
                    },
                }
            ],
        },
    }


def _container(target: ReachTarget, rate: int, limit: int) -> dict:
    path = f"{PROGRAM_FOLDER}/{_file_name(target.arch)}"
    numbers = {"--port": target.port, "--rate": rate, "--duration": limit}
    return {
        "name": CONTAINER,
        "image": target.image,
        "imagePullPolicy": "Never",
        "command": [
            *(path, "--address", target.address),
            *(str(word) for pair in numbers.items() for word in pair),
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "program", "mountPath": PROGRAM_FOLDER, "readOnly": True}],
    }

"""A probe from a pod on the pod network: what clients in the cluster meet at the Service's address.

The pod is an ordinary pod: no privilege, no token, nothing of the node. The pod needs nothing from
a registry either: it runs a small program of ours (packaging/reach) in the kube-apiserver's own
image, which is on the node. The program only measures; it is no part of the node agent.
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
from kubectl_selfhost.controlplane.instance import phase_and_restarts
from kubectl_selfhost.controlplane.program import SECRET, Reference, carrying
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE, PROBE_LABELS
from kubectl_selfhost.node import binaries
from kubectl_selfhost.node.pod import PROGRAM_FOLDER
from kubectl_selfhost.node.program import SwappedProgram
from kubectl_selfhost.probe.sightings import FAILED, FINE, SLOT

CONTAINER = "reach"
#: If the probe is killed, its pod ends by itself this many seconds after the probe would have ended.
_SPARE_SECONDS = 60
_FOR_EVER = 86400
#: The program answers SIGTERM at once, and then stays for 15 s (packaging/reach/reach.c).
_GRACE_SECONDS = 20
#: Any user but root; this one is distroless' nonroot.
_USER = 65532


@dataclass(frozen=True)
class ReachTarget:
    """The start and the target of a probe: a node, its CPU, an image it has, the Service's address
    and port.
    """

    node: str
    arch: str
    image: str
    address: str
    port: int


@dataclass(frozen=True)
class ReachReport:
    """What the pod saw. Gap and duration in seconds, latencies (p50, p90, p99, max) in milliseconds.

    ``runs`` has the first 200 rows of failures of one kind with no good answer between them: when
    the first and the last of a row began (seconds since the start), the kind, and how many.
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
        """Return the time-line: the worst of every half second, as in a ProbeReport."""
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
        may have been given another program meanwhile.
        """

        self._remove(timeout=timeout, tell=tell)
        made = self._cluster.create(SECRETS, self._program)
        self._program_uid = made["metadata"]["uid"]
        self._cluster.create(PODS, manifest(self._target, rate=self._rate, limit=self._limit))
        wait_until(self._runs, what=f"the pod {self.pod} to run", timeout=timeout, tell=tell)

    def finish(self, *, timeout: float) -> ReachReport:
        """Have the pod report what it saw. Raise SelfhostError if it doesn't."""

        self._cluster.delete(PODS, self.pod, NAMESPACE)  # SIGTERM; the log stays readable
        return wait_until(self._said, what=f"what the pod {self.pod} saw", timeout=timeout)

    def remove(self) -> None:
        """Remove everything that ``start`` made; what is gone already is no error."""
        self._remove(timeout=0.0, tell=lambda _: None)

    def _remove(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        for secret in self._cluster.list(SECRETS, NAMESPACE, labels=_selector()):
            # An earlier build named its object after the pod alone.
            if re.fullmatch(rf"{self.pod}(-[0-9a-f]{{64}})?", secret["metadata"]["name"]):
                self._cluster.delete(SECRETS, secret["metadata"]["name"], NAMESPACE)
        # A killed probe of an earlier build left a ConfigMap.
        self._cluster.delete(CONFIGMAPS, self.pod, NAMESPACE)
        # The kubelet kills what is left of the pod; nobody waits for more of its output.
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
            raise SelfhostError(f"The pod {self.pod} was deleted by somebody.")
        status = pod.get("status") or {}
        phase = phase_and_restarts(pod)[0]
        if status.get("phase") in ("Failed", "Succeeded"):
            raise SelfhostError(f"The pod {self.pod} has ended before its time ({phase}).")
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
            then="The pod was deleted.",
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
    """Return the manifest of the Secret that carries the program, and goes with the pod.

    A Secret carries the program as it carries the node agent's (``controlplane.program``), and for
    the same reason, though this pod has no privilege: a person who may only write ConfigMaps must
    not choose what runs on a control-plane node. The name holds the pod's name and the program's
    whole SHA-256.
    """
    file = _file_name(target.arch)
    content = binaries.content(file)
    return carrying(
        file,
        content,
        name=f"{pod_name(target.node)}-{hashlib.sha256(content).hexdigest()}",
        labels=PROBE_LABELS,
        purpose=(
            "The program of kubectl selfhost probe --in-cluster, nothing confidential. It goes with "
            "the probe. Deleting it is safe."
        ),
    )


def _file_name(arch: str) -> str:
    return f"reach-{arch}"


def _selector() -> str:
    return ",".join(f"{key}={value}" for key, value in PROBE_LABELS.items())


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
        raise SelfhostError("What the pod of the probe wrote makes no sense.") from None


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
                    "Looks at the kubernetes Service as clients in the cluster do, for "
                    "kubectl selfhost probe. Deleting it is safe."
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

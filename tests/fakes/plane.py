"""A fake node: its disk, its kubelet, and the processes of the control plane on it.

The kubelet runs what is in its directory (one pod of a name at a time) and the pods that the API
binds to the node, and reports both to the API. As with the real kubelet, a static pod's mirror is
called Ready until its process has ended.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from fakes.agent import Agent, Disk
from fakes.credentials import Credentials, kubeadm
from fakes.memory import copied
from fakes.registry import asks
from fakes.store import Refusal
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, component_named
from kubectl_selfhost.controlplane.daemonset.facts import WAIT_CONTAINER
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.flags import of_container
from kubectl_selfhost.names import AGENT_LABELS, CONFIG_HASH_ANNOTATION, MIRROR_ANNOTATION

if TYPE_CHECKING:
    from fakes.world import World

NAMESPACE = "kube-system"
MANIFESTS = "/etc/kubernetes/manifests"
#: Seconds from the start of a process to its readiness, and from its SIGTERM to its end.
_START = {APISERVER.name: 2.0}
_DRAIN = {APISERVER.name: 4.0}
_COMPONENTS = tuple(c.name for c in COMPONENTS)
#: Seconds until the kubelet starts a process again that was killed before.
_BACK_OFF = 10.0
_numbers = itertools.count(1)


@dataclass
class Process:
    """The process of a pod on a node. ``uid`` is the pod's, as its node knows it.

    ``began``: when it got its port (None: it waits for the port); ``ends``: when it will have
    ended, after a SIGTERM. ``spoilt``: it runs and never gets Ready ("unready"), or it ends at once
    ("crashing").
    """

    node: Node
    uid: str
    name: str
    pod: dict[str, Any]
    static: bool
    component: str = ""
    port: int = 0
    always_shares: bool = False
    shares: bool = False
    began: float | None = None
    ends: float | None = None
    restarts: int = 0
    kills: int = 0
    starts_at: float = 0.0
    next_try: float = 0.0
    next_reconcile: float = 0.0
    identity: str = ""
    spoilt: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        return self.began is not None and self.spoilt != "crashing"

    @property
    def listens(self) -> bool:
        return self.runs and self.ends is None

    @property
    def ready(self) -> bool:
        return (
            self.listens
            and not self.spoilt
            and self.node.now >= (self.began or 0.0) + _START.get(self.component, 1.0)
        )

    @property
    def leads_if_it_may(self) -> bool:
        return self.listens and self.spoilt != "follower"

    def start(self) -> None:
        """Get the port, unless another process has it and one of the two doesn't share."""
        if self.ends is not None or self.began is not None or self.node.now < self.starts_at:
            return
        if self.component and not self.node.may_start(self):
            return
        self.began = self.node.now
        self.identity = f"{self.node.host_name}_{next(_numbers):04}"
        self.next_try = self.node.now + 1.0
        if self.spoilt == "crashing":
            self.restarts += 3
        if self.component == APISERVER.name and self.listens:
            self.node.world.apiserver_begins(self)

    def stop(self) -> None:
        """Send SIGTERM."""
        if self.ends is None:
            listened, self.ends = self.listens, self.node.now + _DRAIN.get(self.component, 0.5)
            if self.began is None:
                self.ends = self.node.now
            if self.component == APISERVER.name and listened:
                self.node.world.apiserver_ends(self)

    def restart(self) -> None:
        """Start again, as the kubelet does with a process that ended."""
        if self.component == APISERVER.name and self.listens:
            self.node.world.apiserver_ends(self)
        self.began = None
        self.starts_at = self.node.now + (_BACK_OFF if self.kills else 0.0)
        self.restarts += 1


class Node:
    """A control-plane node."""

    def __init__(self, world: World, name: str, address: str, manifests: dict[str, bytes]) -> None:
        self.world = world
        self.name = name
        self.host_name = name
        self.address = address
        self.manifests = dict(manifests)
        self.disk = Disk()
        self.credentials = Credentials(serial=1000 * sum(name.encode()))
        self.agent = Agent(self)
        self.processes: list[Process] = []
        #: The way to share a port that the agent sees here, and why no better way; by port.
        self.possible: dict[int, tuple[str, str]] = {}

    @property
    def now(self) -> float:
        return self.world.clock.now

    def servers(self) -> list[Process]:
        """Return the processes of the three components."""
        return [one for one in self.processes if one.component]

    def serving(self, component: str) -> list[Process]:
        """Return the processes of a component that are Ready."""
        return [one for one in self.processes if one.component == component and one.ready]

    def stop_servers(self, uids: tuple[str, ...]) -> None:
        """Stop the new instance, as the agent does; its kubelet starts it again, and it waits."""
        for one in self.servers():
            if one.uid in uids and not one.static and one.began is not None:
                one.restart()

    def may_start(self, process: Process) -> bool:
        if not process.static and process.component in self.disk.held:
            return False
        others = [o for o in self.servers() if o.port == process.port and o.listens]
        return all(one.shares and process.shares for one in others)

    def kubeadm(self, words: list[str]) -> tuple[int, str]:
        """Run the node's kubeadm, as the agent's pod does."""
        if not self.credentials.kubeadm or words[0] != "/proc/1/root/usr/bin/kubeadm":
            raise Refusal(500, "InternalError", f"{words[0]}: no such file or directory")
        return kubeadm(self, words[1:])

    def agent_runs(self, pod: str) -> bool:
        return any(one.name == pod and one.listens for one in self.processes)

    def state(self) -> tuple[object, ...]:
        """Return what happens here, to compare it with what happened before."""
        return (
            self.disk.switch.state,
            *self.manifests,
            *((o.uid, o.began, o.ends, o.restarts) for o in self.processes),
        )

    def due(self) -> Iterator[float]:
        """Yield when something is going to happen here by itself, or was."""
        yield self.disk.switch.deadline
        for one in self.processes:
            yield one.ends or 0.0
            yield one.starts_at
            yield (one.began or 0.0) + _START.get(one.component, 1.0)

    def tick(self) -> None:
        """Do what the kubelet and the agent do from time to time."""
        self._run_static_pods()
        self._run_pods()
        for one in list(self.processes):
            if one.ends is not None and self.now >= one.ends:
                self.processes.remove(one)
        for one in self.processes:
            one.start()
        if any(_is_agent(one.pod) and one.listens for one in self.processes):
            self.agent.watch()
        if self.world.api_answers():
            self._tell()

    def _run_static_pods(self) -> None:
        wanted = {_hash(self.name, *file): file[1] for file in self.manifests.items()}
        for one in self.processes:
            if one.static and one.uid not in wanted:
                one.stop()
        for uid, content in wanted.items():
            pod = _parsed(content)
            name = f"{pod['metadata']['name']}-{self.name.lower()}"
            if not any(one.static and one.name == name for one in self.processes):
                self._add(uid, name, copied(pod), static=True)

    def _run_pods(self) -> None:
        if not self.world.api_answers():
            return
        bound = {
            pod["metadata"]["uid"]: pod
            for pod in self.world.store.bound_to(self.name)
            if MIRROR_ANNOTATION not in (pod["metadata"].get("annotations") or {})
        }
        known = {one.uid: one for one in self.processes if not one.static}
        for uid, pod in bound.items():
            leaving = "deletionTimestamp" in pod["metadata"]
            if uid in known and (leaving or _is_over(pod)):
                if _is_agent(pod) and known[uid].ends is None:
                    self.agent.fall_back("the agent was ended")
                known[uid].stop()
            elif uid not in known and leaving:
                self.world.store.remove("pods", pod["metadata"]["name"], NAMESPACE)
            elif uid not in known and not _is_over(pod):
                self._add(uid, pod["metadata"]["name"], pod, static=False)
        for uid, one in known.items():
            if uid not in bound:
                one.stop()

    def _add(self, uid: str, name: str, pod: dict[str, Any], *, static: bool) -> None:
        component = _component(pod)
        process = Process(self, uid, name, pod, static, component=component)
        if component:
            process.port = staticpod.secure_port(pod, component_named(component))
            flags = of_container(staticpod.component_container(pod))
            process.always_shares = flags.get("permit-port-sharing") == "true"
            process.shares = process.always_shares
            process.spoilt = self.world.spoils(process)
        self.processes.append(process)

    # ---- what the kubelet tells ----

    def _tell(self) -> None:
        store = self.world.store
        statics = {one.name: one for one in self.processes if one.static}
        for pod in store.bound_to(self.name):
            annotations = pod["metadata"].get("annotations") or {}
            if MIRROR_ANNOTATION not in annotations:
                continue
            one = statics.get(pod["metadata"]["name"])
            # The real kubelet makes the mirror of a pod that goes on anew (tryReconcileMirrorPods).
            deleted = "deletionTimestamp" in pod["metadata"]
            goes_on = one is not None and one.ends is None
            if one is None or one.uid != annotations[MIRROR_ANNOTATION] or (deleted and goes_on):
                store.remove("pods", pod["metadata"]["name"], NAMESPACE)
        for one in self.processes:
            if one.static and store.find("pods", one.name, NAMESPACE) is None:
                store.create("pods", self._mirror(one))
            pod = store.find("pods", one.name, NAMESPACE)
            if pod is None or _is_over(pod):
                continue
            status = self._status(one)
            if pod.get("status") != status:
                pod["status"] = status
                store.touch(pod)

    def _mirror(self, one: Process) -> dict[str, Any]:
        mirror = copied(one.pod)
        metadata = mirror["metadata"]
        metadata["name"] = one.name
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            CONFIG_HASH_ANNOTATION: one.uid,
            MIRROR_ANNOTATION: one.uid,
            "kubernetes.io/config.source": "file",
        }
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Node", "name": self.name, "controller": True, "uid": "n"}
        ]
        mirror["spec"]["nodeName"] = self.name
        mirror["spec"]["tolerations"] = [{"effect": "NoExecute", "operator": "Exists"}]
        mirror.pop("status", None)
        return mirror

    def _status(self, one: Process) -> dict[str, Any]:
        if asks(one.pod):
            return self.world.registry.status(self.name, one.pod)
        started = one.began is not None
        ready = one.ready or (one.static and one.ends is not None and started)
        names = [c["name"] for c in one.pod["spec"]["containers"]]
        waiting = [c["name"] for c in one.pod["spec"].get("initContainers") or []]
        status: dict[str, Any] = {
            "phase": "Running" if started or not waiting else "Pending",
            "hostIP": self.address,
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Initialized", "status": "True" if started or not waiting else "False"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "containerStatuses": [self._container(name, one, ready=ready) for name in names],
        }
        if waiting:
            done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
            still = {"running": {"startedAt": self.world.started_at(one)}}
            status["initContainerStatuses"] = [
                {"name": name, "restartCount": 0, "state": done if started else still}
                for name in waiting
            ]
        return status

    def _container(self, name: str, one: Process, *, ready: bool) -> dict[str, Any]:
        state: dict[str, Any] = {"running": {"startedAt": self.world.started_at(one)}}
        last: dict[str, Any] = {}
        if one.began is None:
            state = {"waiting": {"reason": "PodInitializing"}}
        elif one.spoilt == "crashing":
            state = {"waiting": {"reason": "CrashLoopBackOff"}}
            last = {"terminated": {"exitCode": 1, "reason": "Error", "message": "bad flag"}}
        return {
            "name": name,
            "ready": ready,
            "started": ready,
            "restartCount": one.restarts,
            "state": state,
            "lastState": last,
        }


@cache
def _hash(node: str, name: str, content: bytes) -> str:
    return hashlib.sha256(f"{node}/{name}/".encode() + content).hexdigest()[:32]


@cache
def _parsed(content: bytes) -> dict[str, Any]:
    return yaml.safe_load(content)  # type: ignore[no-any-return]


def _component(pod: dict[str, Any]) -> str:
    """Return which of the three components a pod runs, by its containers; a copy or an agent runs
    none.
    """
    labels = pod["metadata"].get("labels") or {}
    name = labels.get("component", "")
    return name if name in _COMPONENTS else ""


def _is_agent(pod: dict[str, Any]) -> bool:
    return AGENT_LABELS.items() <= (pod["metadata"].get("labels") or {}).items()


def _is_over(pod: dict[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


__all__ = ["MANIFESTS", "NAMESPACE", "WAIT_CONTAINER", "Node", "Process"]

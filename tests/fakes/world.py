"""A kubeadm cluster of one or several control-plane nodes, all of it fake.

    world = World(nodes=3, monkeypatch=monkeypatch)
    cluster = world.client().cluster()
    ... run a plan ...
    assert world.unserved() == []

The DaemonSet controller and the scheduler do their work only while somebody leads, the Service
``kubernetes`` has the addresses that the apiservers give it, and the API answers only while an
apiserver is Ready: what a plan would lose on a real control plane, it loses here.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fakes import memory
from fakes.agent import DIGEST, PROGRAM, fields_of
from fakes.clock import STEP, Clock
from fakes.credentials import wrong_pair
from fakes.edge import LOCK, Call, Edge, Fault
from fakes.memory import copied
from fakes.plane import MANIFESTS, Node, Process
from fakes.registry import Registry
from fakes.store import Object, Refusal, Store
from kubectl_selfhost.cluster import pairs
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset.facts import MIN_READY_SECONDS
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.engine import journal
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node import binaries, sealed

_DATA = Path(__file__).parents[1] / "unit" / "controlplane" / "data" / "kubeadm-1.37"
_VERSION = "v1.37.2"
#: Seconds: how often an apiserver looks after its address in the Service (Kubernetes 1.37,
#: kubernetesservice/controller.go), how long a lease lasts, how often it is renewed.
_RECONCILE = 10.0
_LEASE, _RENEW = 15.0, 2.0
_NEVER = math.inf
_DAY = datetime(2026, 11, 26, tzinfo=timezone.utc)
#: No kubelet and no controller here looks at these.
_UNSEEN = {"configmaps", "secrets"}
#: How often everybody looks at each moment, so that each sees what the others do (once if there is
#: nothing to see).
_ROUNDS = 2
_ETCD = b"""
apiVersion: v1
kind: Pod
metadata: {name: etcd, namespace: kube-system, labels: {component: etcd, tier: control-plane}}
spec: {containers: [{name: etcd, image: etcd}], hostNetwork: true}
"""


class World:
    """The cluster, and everything that works on it."""

    def __init__(self, *, nodes: int = 1, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.store = Store()
        self.faults: list[Fault] = []
        #: Every call of a client that changed something, in order.
        self.changed: list[Call] = []
        #: How many of these changed something that anybody in the cluster looks at.
        self._stirred = 0
        #: Called with each of these calls.
        self.watchers: list[Callable[[Call], None]] = []
        self.allows: Callable[[Object], bool] = lambda _: True
        self.admit: Callable[[str, Object], None] = lambda *_: None
        #: The settings that every node's kubelet reports, beside its staticPodPath.
        self.kubelet_configuration: Object = {}
        self.spoils: Callable[[Process], str] = lambda _: ""
        self.registry = Registry()
        #: For how many seconds the Service ``kubernetes`` has had no address; the API no answer.
        self.empty_service = 0.0
        self.silent_api = 0.0
        self.paths: dict[str, Callable[[], Any]] = {
            "/apis": lambda: {"groups": [{"name": "apps"}]},
            "/readyz": lambda: "ok",
            "/metrics": lambda: "process_start_time_seconds 1.7956e+09\n",
        }
        self._ticking = False
        self._ticked = self.clock.now
        self._seen: tuple[float, int] = (0.0, 0)
        self._state: tuple[object, ...] = ()
        #: Nothing happens by itself before the first; nothing but renewals of leases before the second.
        self._wake = self._rests_until = 0.0
        self._renewals = 0
        self._lacks_address = self._lacks_api = False
        self.nodes = [self._node(number) for number in range(nodes)]
        for node in self.nodes[1:]:
            node.credentials.share(self.nodes[0].credentials)
        self.files = {node.name: dict(node.manifests) for node in self.nodes}
        self._make_slice()
        self.clock.on_tick = self.tick
        self.monkeypatch: pytest.MonkeyPatch | None = monkeypatch
        self.install()
        self.clock.sleep(30.0)
        self.empty_service = self.silent_api = 0.0

    # ---- for tests ----

    def copy(self, monkeypatch: pytest.MonkeyPatch | None = None) -> World:
        """Return another cluster that is as this one is now, for the test of ``monkeypatch``."""
        patches, self.monkeypatch = self.monkeypatch, None
        made = copy.deepcopy(self)
        self.monkeypatch, made.monkeypatch = patches, monkeypatch or patches
        made.install()
        return made

    def client(self, name: str = "a run") -> Edge:
        """Return a new process that talks to this cluster."""
        return Edge(self, name)

    def fault(
        self,
        meant: Callable[[Call], bool],
        how: str | BaseException,
        *,
        times: int = 1,
        skip: int = 0,
    ) -> Fault:
        """Make a fault happen; see ``Fault``."""
        made = Fault(meant, how, times=times, skip=skip)
        self.faults.append(made)
        return made

    def note_change(self, call: Call) -> None:
        self.changed.append(call)
        self._stirred += not _UNSEEN & set(call.path.split("/")[-2:])
        for watcher in list(self.watchers):
            watcher(call)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in which nobody does anything; look only when something is due."""
        end = self.clock.now + seconds
        self._wake = self._rests_until = self.clock.now  # a test may have changed something
        while self.clock.now < end:
            self.clock.advance(min(end, max(self.clock.now + STEP, self._rests_until)))

    def unserved(self, *, alone: bool = True) -> list[str]:
        """Return the components without a Ready instance, or with more than one (``alone``), by
        node.
        """
        numbers = {
            f"{component} on {node.name}": len(node.serving(component.name))
            for node in self.nodes
            for component in COMPONENTS
        }
        return [f"{k}: {n}" for k, n in numbers.items() if n < 1 or (alone and n != 1)]

    def served_by(self, component: Component, node: Node | None = None) -> str:
        """Return ``static`` or ``daemonset``, for the Ready instance on a node (the first one's)."""
        found = (node or self.nodes[0]).serving(component.name)
        return " and ".join("static" if one.static else "daemonset" for one in found)

    def ours(self) -> list[str]:
        """Return what the plugin has left in the API, but for the journal and the Lease."""
        objects = [
            f"{plural}/{name}"
            for (plural, _, name), one in self.store.all()
            if "selfhost" in name
            or (one["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by")
            == "kubectl-selfhost"
        ]
        labels = [
            f"label of {node['metadata']['name']}"
            for node in self.store.list("nodes")
            if any(key.startswith("kubectl-selfhost/") for key in node["metadata"]["labels"])
        ]
        kept = {"configmaps/kubectl-selfhost-journal", "leases/kubectl-selfhost"}
        return sorted({*objects, *labels} - kept)

    # ---- the API ----

    def api_answers(self) -> bool:
        return any(node.serving(APISERVER.name) for node in self.nodes)

    def order(self, pod: str, name: str, fields: dict[str, Any]) -> Object:
        """Return the agent's answer, or the API's answer if the agent's pod doesn't run."""
        found = self.store.get("pods", pod, NAMESPACE)
        node = self.node(found["spec"]["nodeName"])
        if not node.agent_runs(pod):
            raise Refusal(500, "InternalError", f'container not found ("agent") in {pod}')
        if name == "kubeadm":
            return node.kubeadm(fields["words"])
        return node.agent.order(name, fields)

    def seconds_since_1970(self) -> float:
        """Return the time by the nodes' clock."""
        return _DAY.timestamp() + self.clock.now

    def started_at(self, process: Process) -> str:
        """Return when a process began, as its pod's status has it."""
        began = _DAY + timedelta(seconds=process.began or 0.0)
        return began.strftime("%Y-%m-%dT%H:%M:%SZ")

    def version(self) -> Object:
        """Return what the API server says of itself: its image's tag."""
        serving = [one for node in self.nodes for one in node.serving(APISERVER.name)]
        images = [staticpod.component_container(one.pod)["image"] for one in serving]
        return {"gitVersion": images[0].rpartition(":")[2] if images else _VERSION}

    def configz(self, node: str) -> Object:
        self.node(node)
        return {"kubeletconfig": {"staticPodPath": MANIFESTS, **self.kubelet_configuration}}

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise Refusal(404, "NotFound", f'nodes "{name}" not found')

    # ---- time ----

    def tick(self) -> None:
        """Let everybody look, if something is due or has changed."""
        with LOCK:
            seen = self.clock.now, self._stirred
            if self._ticking or seen == self._seen:
                return
            if seen[0] < self._wake and seen[1] == self._seen[1]:
                return
            self._seen, self._ticking = seen, True
            self._count()
            try:
                rounds = 0
                while rounds < _ROUNDS and self._look():
                    rounds += 1
                self._lacks_address = not self._service_addresses()
                self._lacks_api = not self.api_answers()
                self._sleep(changed=rounds > 0)
            finally:
                self._ticking = False

    def _look(self) -> bool:
        """Let everybody look once; return whether anything has changed since the look before."""
        for node in self.nodes:
            node.tick()
        self._lead()
        self._keep_service()
        self._control()
        version = self.store.version - self._renewals
        before, self._state = self._state, (version, *(node.state() for node in self.nodes))
        return before != self._state

    def _sleep(self, *, changed: bool) -> None:
        """Find out when to look again: at once if these looks have changed something."""
        if changed:
            self._wake = self._rests_until = self.clock.now
            return
        due = [at for node in self.nodes for at in node.due()]
        due += [at + MIN_READY_SECONDS for at in self._ready_since.values()]
        for component in COMPONENTS:
            if component.lease is not None and self.leads(component) is None:
                due.append(self._renewed.get(component.lease, 0.0) + _LEASE)
        addresses = self._service_addresses()
        for node in self.nodes:
            if node.address not in addresses:
                due += [one.next_reconcile for one in node.serving(APISERVER.name)]
        beats = [at + _RENEW for at in self._renewed.values()]
        beats += [one.next_try for node in self.nodes for one in node.servers()]
        now = self.clock.now
        self._rests_until = min((at for at in due if at > now), default=_NEVER)
        self._wake = min((at for at in beats if at > now), default=_NEVER)
        self._wake = min(self._wake, self._rests_until)

    def _count(self) -> None:
        """Count as lacking until now what was lacking when everybody had last looked."""
        passed, self._ticked = self.clock.now - self._ticked, self.clock.now
        if self._lacks_address:
            self.empty_service += passed
        if self._lacks_api:
            self.silent_api += passed

    # ---- leases ----

    def _lead(self) -> None:
        if not self.api_answers():
            return
        for component in COMPONENTS:
            if component.lease is not None:
                self._lead_one(component.name, component.lease)

    def _lead_one(self, component: str, name: str) -> None:
        lease = self.store.find("leases", name, NAMESPACE)
        if lease is None:
            lease = self.store.create(
                "leases",
                {
                    "metadata": {"name": name, "namespace": NAMESPACE},
                    "spec": {"holderIdentity": "", "leaseDurationSeconds": int(_LEASE)},
                },
            )
        spec, now = lease["spec"], self.clock.now
        able = [
            one
            for node in self.nodes
            for one in node.servers()
            if one.component == component and one.leads_if_it_may
        ]
        holder = next((one for one in able if one.identity == spec["holderIdentity"]), None)
        at = self._renewed.get(name, 0.0)
        if holder is None and (not spec["holderIdentity"] or now >= at + _LEASE):
            for one in able:
                if now >= one.next_try:
                    holder, at = one, 0.0
                    break
        for one in able:
            if now >= one.next_try:
                one.next_try = now + _RENEW
        if holder is not None and now >= at + _RENEW:
            self._renewed[name] = now
            self._renewals += 1
            spec.update(holderIdentity=holder.identity, renewTime=self.clock.stamp())
            self.store.touch(lease)

    def leads(self, component: Component) -> Process | None:
        """Return the process that holds the component's lease, if it lives."""
        lease = self.store.find("leases", str(component.lease), NAMESPACE)
        holder = lease["spec"]["holderIdentity"] if lease else ""
        for node in self.nodes:
            for one in node.servers():
                if holder and one.identity == holder and one.leads_if_it_may:
                    return one
        return None

    # ---- the Service ----

    def apiserver_begins(self, process: Process) -> None:
        """Remove the address of a starting API server, and add it once it is Ready
        (kubernetesservice, Start).
        """
        self._address(process.node, there=False)
        process.next_reconcile = self.clock.now

    def apiserver_ends(self, process: Process) -> None:
        self._address(process.node, there=False)

    def _keep_service(self) -> None:
        for node in self.nodes:
            for one in node.serving(APISERVER.name):
                if self.clock.now >= one.next_reconcile:
                    one.next_reconcile = self.clock.now + _RECONCILE
                    self._address(node, there=True)

    def _address(self, node: Node, *, there: bool) -> None:
        if not there:
            for one in node.serving(APISERVER.name):  # done unseen, because it changed nothing
                beats = max(0, math.ceil((self.clock.now - one.next_reconcile) / _RECONCILE))
                one.next_reconcile += beats * _RECONCILE
        kept = self.store.find("endpointslices", "kubernetes", "default")
        if kept is None:
            return
        others = [one for one in kept["endpoints"] if one["addresses"] != [node.address]]
        ours = [{"addresses": [node.address], "conditions": {"ready": True}}] if there else []
        if [*others, *ours] != kept["endpoints"]:
            kept["endpoints"] = [*others, *ours]
            self.store.touch(kept)

    def _service_addresses(self) -> list[str]:
        return [
            address
            for one in self.store.labelled(
                "endpointslices", "default", {"kubernetes.io/service-name": "kubernetes"}
            )
            for endpoint in one["endpoints"]
            for address in endpoint["addresses"]
        ]

    # ---- controllers ----

    def _control(self) -> None:
        controllers = next(c for c in COMPONENTS if c.name == "kube-controller-manager")
        scheduler = next(c for c in COMPONENTS if c.name == "kube-scheduler")
        if self.api_answers() and self.leads(controllers):
            self._collect_garbage()
            for daemonset in self.store.list("daemonsets", NAMESPACE):
                self._run_daemonset(daemonset)
        if self.api_answers() and self.leads(scheduler):
            for pod in self.store.list("pods", NAMESPACE):
                meant = pod["metadata"].get("annotations", {}).get("fake/node")
                if meant and "nodeName" not in pod["spec"]:
                    pod["spec"]["nodeName"] = meant
                    self.store.touch(pod)

    def _collect_garbage(self) -> None:
        uids = {one["metadata"]["uid"] for one in self.store.list("daemonsets", NAMESPACE)}
        for pod in self.store.list("pods", NAMESPACE):
            for owner in pod["metadata"].get("ownerReferences") or []:
                if owner["kind"] == "DaemonSet" and owner["uid"] not in uids:
                    self.store.delete("pods", pod["metadata"]["name"], NAMESPACE)

    def _run_daemonset(self, daemonset: Object) -> None:
        uid, selector = daemonset["metadata"]["uid"], daemonset["spec"]["selector"]["matchLabels"]
        revision = self._revision(daemonset)
        pods = []
        for pod in self.store.labelled("pods", NAMESPACE, selector):
            owners = pod["metadata"].get("ownerReferences")
            if not owners:
                _adopt(pod, daemonset)
                self.store.touch(pod)
                owners = pod["metadata"]["ownerReferences"]
            if owners[0]["uid"] == uid:
                pods.append(pod)
        meant = [node.name for node in self.nodes if self._runs_on(daemonset, node)]
        for node in self.nodes:
            here = [pod for pod in pods if _node_of(pod) == node.name]
            if node.name in meant:
                self._run_on(daemonset, revision, node, here)
            else:
                for pod in here:
                    self.store.delete("pods", pod["metadata"]["name"], NAMESPACE)
        self._tell_of(daemonset, revision, pods, meant)

    def _revision(self, daemonset: Object) -> str:
        key = daemonset["metadata"]["uid"], daemonset["metadata"]["generation"]
        if key not in self._revisions:
            text = json.dumps(daemonset["spec"]["template"], sort_keys=True)
            self._revisions[key] = hashlib.sha256(text.encode()).hexdigest()[:10]
        return self._revisions[key]

    def _runs_on(self, daemonset: Object, node: Node) -> bool:
        labels = self.store.get("nodes", node.name)["metadata"]["labels"]
        selector = daemonset["spec"]["template"]["spec"].get("nodeSelector") or {}
        return bool(selector.items() <= labels.items())

    def _run_on(self, daemonset: Object, revision: str, node: Node, pods: list[Object]) -> None:
        there = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        new = [pod for pod in there if _revision_of(pod) == revision]
        old = [pod for pod in there if pod not in new]
        new.sort(key=lambda pod: "nodeName" not in pod["spec"])
        if not new:
            self.store.create("pods", _pod_of(daemonset, revision, node))
        elif old and (self._is_available(new[0]) or not any(map(_is_ready, old))):
            for pod in old:
                self.store.delete("pods", pod["metadata"]["name"], NAMESPACE)
        for surplus in new[1:]:
            self.store.delete("pods", surplus["metadata"]["name"], NAMESPACE)

    def _is_available(self, pod: Object) -> bool:
        uid = pod["metadata"]["uid"]
        if not _is_ready(pod):
            self._ready_since.pop(uid, None)
            return False
        return self.clock.now >= self._ready_since.setdefault(uid, self.clock.now) + (
            MIN_READY_SECONDS
        )

    def _tell_of(
        self, daemonset: Object, revision: str, pods: list[Object], meant: list[str]
    ) -> None:
        live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        status = {
            "observedGeneration": daemonset["metadata"]["generation"],
            "desiredNumberScheduled": len(meant),
            "currentNumberScheduled": len({_node_of(pod) for pod in live}),
            "updatedNumberScheduled": len(
                {_node_of(pod) for pod in live if _revision_of(pod) == revision}
            ),
            "numberReady": len({_node_of(pod) for pod in live if _is_ready(pod)}),
            "numberAvailable": len({_node_of(pod) for pod in live if self._is_available(pod)}),
        }
        if daemonset.get("status") != status:
            daemonset["status"] = status
            self.store.touch(daemonset)

    # ---- beginning ----

    def _node(self, number: int) -> Node:
        name = f"cp-{number + 1}"
        address = f"172.18.0.{number + 2}"
        manifests = {
            f"{component}.yaml": (_DATA / f"{component}.yaml")
            .read_bytes()
            .replace(b"172.18.0.2", address.encode())
            for component in COMPONENTS
        }
        node = Node(self, name, address, {**manifests, "etcd.yaml": _ETCD})
        self.store.create("nodes", _node_object(name, address))
        return node

    def _make_slice(self) -> None:
        self._renewed: dict[str, float] = {}
        self._ready_since: dict[str, float] = {}
        self._revisions: dict[tuple[str, int], str] = {}
        self.store.create(
            "endpointslices",
            {
                "metadata": {
                    "name": "kubernetes",
                    "namespace": "default",
                    "labels": {"kubernetes.io/service-name": "kubernetes"},
                },
                "addressType": "IPv4",
                "endpoints": [],
                "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
            },
        )

    def install(self) -> None:
        """Make its time, and what else is its own, the time of everything that runs in the test."""
        monkeypatch = self.monkeypatch
        assert monkeypatch is not None
        self.clock.install(monkeypatch)
        monkeypatch.setattr(binaries, "content", lambda _: PROGRAM)
        monkeypatch.setattr(binaries, "digest", lambda _: DIGEST)
        monkeypatch.setattr(sealed, "secrets", _NOT_SECRET)
        for name in ("wrong_with_server", "wrong_with_client", "wrong_with_pair"):
            monkeypatch.setattr(pairs, name, wrong_pair)
        # A plan's parallel looks happen here in an order that is always the same.
        monkeypatch.setattr(ThreadPoolExecutor, "submit", _at_once)
        monkeypatch.setattr(
            "kubectl_selfhost.cluster.connection.exec.run_in_container", _run_in_container
        )
        monkeypatch.setattr("kubectl_selfhost.probe.prober.Prober", NoProber)
        # A journal of many runs costs more than the runs themselves.
        monkeypatch.setattr(journal, "RUNS_KEPT", 2)
        memory.install(monkeypatch)
        monkeypatch.setattr(
            yaml,
            "safe_dump",
            lambda data, **more: yaml.dump_all([data], None, Dumper=yaml.CSafeDumper, **more),
        )


#: Worlds that are alike have the same keys of agents.
_NOT_SECRET = SimpleNamespace(token_hex=lambda n: "5e" * n, token_bytes=lambda n: b"k" * n)


def _at_once(_: object, do: Callable[..., Any], /, *words: Any, **more: Any) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(do(*words, **more))
    except Exception as error:
        future.set_exception(error)
    return future


class NoProber:
    """A stand-in for the Prober: the World counts whether clients notice anything."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> NoProber:
        return self

    def __exit__(self, *_: object) -> None: ...

    def mark(self, label: str) -> None: ...

    def report(self) -> NoProber:
        return self

    def facts(self) -> dict[str, Any]:
        return {}


def _run_in_container(transport: Edge, *, pod: str, command: Any, action: str, **more: Any) -> Any:
    if command[0].endswith("/kubeadm"):
        return transport.run(pod, "kubeadm", {"words": list(command)}, action)
    order, fields = _order(list(command), more["stdin"])
    return transport.run(pod, order, fields, action)


def _order(command: list[str], stdin: bytes) -> tuple[str, dict[str, Any]]:
    """Return an order as its name and fields: no part of it is in the command's words."""
    assert command[1:] == ["order"]
    fields = fields_of(stdin)
    return fields.pop("order"), fields


def _node_object(name: str, address: str) -> Object:
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "node-role.kubernetes.io/control-plane": "",
            },
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "kernelVersion": "6.18.0",
                "osImage": "Debian",
                "kubeletVersion": _VERSION,
            },
        },
    }


def _revision_of(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get("controller-revision-hash", ""))


def _pod_of(daemonset: Object, revision: str, node: Node) -> Object:
    template = copied(daemonset["spec"]["template"])
    pod: Object = {
        "metadata": {
            **template["metadata"],
            "generateName": daemonset["metadata"]["name"] + "-",
            "namespace": NAMESPACE,
        },
        "spec": template["spec"],
    }
    pod["metadata"].setdefault("annotations", {})["fake/node"] = node.name
    _adopt(pod, daemonset)
    pod["metadata"]["labels"]["controller-revision-hash"] = revision
    return pod


def _adopt(pod: Object, daemonset: Object) -> None:
    pod["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "name": daemonset["metadata"]["name"],
            "uid": daemonset["metadata"]["uid"],
            "controller": True,
        }
    ]


def _node_of(pod: Object) -> str:
    meant = pod["metadata"].get("annotations", {}).get("fake/node", "")
    return str(pod["spec"].get("nodeName") or meant)


def _is_ready(pod: Object) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in (pod.get("status") or {}).get("conditions") or []
    )

"""The program that nobody can swap: what is foreign is never run, replaced or deleted."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.objects import Objects

from kubectl_selfhost.cluster.connection.exec import ExecResult
from kubectl_selfhost.cluster.errors import AlreadyExists
from kubectl_selfhost.cluster.kinds import CONFIGMAPS, PODS, SECRETS, Kind
from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.controlplane.program import AGENT_VOLUME
from kubectl_selfhost.engine.preflight import FAILED, OK, WARNING
from kubectl_selfhost.names import AGENT_LABELS, NAMESPACE
from kubectl_selfhost.node import binaries, program
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.node.pod import NodeTarget
from kubectl_selfhost.node.program import ForeignProgram, SwappedProgram
from kubectl_selfhost.plans.pivot.checks.admission import agent_program
from kubectl_selfhost.plans.shared.steps import CommonSteps
from kubectl_selfhost.probe import from_a_pod
from kubectl_selfhost.probe.from_a_pod import Reach, ReachTarget

TARGET = NodeTarget("cp-1", "amd64", "kube-apiserver:v1.37.2", "/etc/kubernetes/manifests")
NAME = binaries.secret_name("amd64")
RUNNING = {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}
ENDED = {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 1}}}]}
FOREIGN = {"agent-amd64": base64.b64encode(b"\x7fELF whoami").decode()}


class Api(Objects):
    """An API that gives uids as an API server does; a pod is at once what ``status`` says."""

    patience = 0.0

    def __init__(self, *manifests: dict[str, Any]) -> None:
        self._uids = itertools.count(1)
        self.status: dict[str, Any] = RUNNING
        #: What somebody does just before or after an object of that kind is created.
        self.before: dict[str, Callable[[], object]] = {}
        self.after: dict[str, Callable[[], object]] = {}
        self.orders = 0
        self.digest = binaries.digest("amd64")
        self.grace: dict[str, int | None] = {}
        super().__init__(*manifests)

    def put(self, manifest: dict[str, Any]) -> None:
        metadata = {"namespace": NAMESPACE, **manifest["metadata"], "uid": f"u{next(self._uids)}"}
        super().put({**manifest, "metadata": metadata})

    def create(self, kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        self.before.pop(kind.plural, lambda: None)()
        if self.find(kind, name, NAMESPACE):
            raise AlreadyExists("there is one", status=409)
        self.put({**manifest, "status": self.status} if kind is PODS else manifest)
        self.after.pop(kind.plural, lambda: None)()
        return self.find(kind, name, NAMESPACE) or {}

    def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> list:
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        return [
            manifest
            for (plural, _), manifest in self._objects.items()
            if plural == kind.plural
            and wanted.items() <= manifest["metadata"].get("labels", {}).items()
        ]

    def delete(self, kind: Kind, name: str, namespace: str, **more: Any) -> bool:
        self.grace[name] = more.pop("grace_seconds", None)
        return super().delete(kind, name, namespace, **more)

    def exec(self, *_: object, **__: object) -> ExecResult:
        self.orders += 1
        return ExecResult(0, json.dumps({"state": "idle", "program": self.digest}), "")

    def swap(self, **changes: object) -> None:
        """Do what a person does who may delete and create Secrets."""
        super().delete(SECRETS, NAME, NAMESPACE)
        self.put({**binaries.secret("amd64"), **changes})

    @property
    def secret(self) -> dict[str, Any] | None:
        return self.find(SECRETS, NAME, NAMESPACE)


def foreign(**changes: object) -> dict[str, Any]:
    return {**binaries.secret("amd64"), "data": FOREIGN, **changes}


def former_config_map(content: bytes = b"an earlier build") -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()[:10]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"kubectl-selfhost-agent-amd64-{digest}", "labels": AGENT_LABELS},
        "immutable": True,
        "binaryData": {"agent-amd64": base64.b64encode(content).decode()},
    }


def daemonset(**source: object) -> dict[str, Any]:
    volumes = [{"name": AGENT_VOLUME, **source}]
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "self-hosted-kube-scheduler"},
        "spec": {"template": {"spec": {"volumes": volumes}}},
    }


def agent(api: Api) -> NodeAgent:
    return NodeAgent(cast(Any, api), TARGET)


def start(api: Api) -> None:
    agent(api).start(timeout=1.0, tell=lambda _: None)


def pod(api: Api) -> dict[str, Any] | None:
    return api.find(PODS, agent_pod.pod_name("cp-1"), NAMESPACE)


# Storing it


def test_it_is_stored_once():
    api = Api()
    program.store(cast(Any, api), "amd64")
    stored = api.secret
    program.store(cast(Any, api), "amd64")
    assert stored is not None
    assert api.secret == stored
    assert programs.what_is_wrong(stored) == ""


@pytest.mark.parametrize(
    "changes", [{"data": FOREIGN}, {"immutable": False}, {"type": "kubernetes.io/tls"}]
)
def test_a_foreign_one_is_neither_used_nor_replaced(changes):
    api = Api({**binaries.secret("amd64"), **changes})
    before = api.secret
    with pytest.raises(
        ForeignProgram, match="did not make this object, and does not run the program in it"
    ) as caught:
        program.store(cast(Any, api), "amd64")
    assert f"Secret {NAME} in kube-system" in caught.value.message
    assert "Somebody who may create Secrets in kube-system made the object." in caught.value.hint
    assert f"kubectl -n kube-system delete secret {NAME}" in caught.value.hint
    assert "restart the kubelet" in caught.value.hint
    assert api.secret == before


def test_somebody_who_is_quicker_gains_nothing():
    api = Api()
    api.before["secrets"] = lambda: api.put(foreign())
    with pytest.raises(ForeignProgram):
        program.store(cast(Any, api), "amd64")


def test_another_run_that_is_quicker_does_no_harm():
    api = Api()
    api.before["secrets"] = lambda: api.put(binaries.secret("amd64"))
    program.store(cast(Any, api), "amd64")
    assert program.require(cast(Any, api), "amd64")


# The agent's pod


def test_it_is_started_with_our_program():
    api = Api(binaries.secret("amd64"))
    start(api)
    assert api.orders == 1
    assert agent(api).runs()
    api.digest = "0" * 64
    assert not agent(api).runs()


def test_no_pod_is_made_for_a_foreign_program():
    api = Api(foreign())
    with pytest.raises(ForeignProgram):
        start(api)
    assert pod(api) is None


def test_no_pod_is_made_without_a_program():
    with pytest.raises(Exception, match="is gone"):
        start(Api())


@pytest.mark.parametrize("status", [RUNNING, ENDED])
@pytest.mark.parametrize(
    ("changes", "what"),
    [({}, "it is another object now"), ({"data": FOREIGN}, "the SHA-256 of its program is ")],
)
def test_a_swap_while_the_pod_starts_is_seen_before_any_order(status, changes, what):
    api = Api(binaries.secret("amd64"))
    api.status = status
    api.after["pods"] = lambda: api.swap(**changes)
    with pytest.raises(SwappedProgram, match=what) as caught:
        start(api)
    assert api.orders == 0
    assert pod(api) is None
    assert api.grace[agent_pod.pod_name("cp-1")] == 0
    assert "may have run on node cp-1" in caught.value.message
    assert api.secret is not None  # it is evidence


def test_a_secret_that_goes_while_the_pod_starts_is_seen():
    api = Api(binaries.secret("amd64"))
    api.after["pods"] = lambda: Objects.delete(api, SECRETS, NAME, NAMESPACE)
    with pytest.raises(SwappedProgram, match="it is gone"):
        start(api)
    assert api.orders == 0


def test_a_swap_while_the_daemonsets_pods_start_is_seen():
    api = Api(binaries.secret("amd64"))
    start(api)
    agent(api).require_same_program("the DaemonSets' pods")
    api.swap()
    with pytest.raises(SwappedProgram, match="was replaced while the DaemonSets' pods started"):
        agent(api).require_same_program("the DaemonSets' pods")


def test_a_pod_that_was_started_from_another_object_takes_no_orders():
    api = Api(binaries.secret("amd64"))
    start(api)
    api.swap()
    assert not agent(api).runs()


def test_the_pod_of_an_earlier_build_is_replaced():
    left = agent_pod.manifest(TARGET)
    left["metadata"]["name"] = agent_pod.former_pod_name("cp-1")
    api = Api(binaries.secret("amd64"), {**left, "status": RUNNING})
    assert agent(api).find() is not None
    assert not agent(api).runs()
    start(api)
    assert api.find(PODS, agent_pod.former_pod_name("cp-1"), NAMESPACE) is None
    assert agent(api).runs()


def test_an_object_that_the_kubelet_has_kept_is_noticed():
    api = Api(binaries.secret("amd64"))
    api.digest = "0" * 64
    with pytest.raises(SwappedProgram, match="the kubelet started the pod with another program"):
        start(api)
    assert pod(api) is None


# Removing it


def test_only_our_own_is_removed():
    api = Api(binaries.secret("amd64"))
    program.remove(cast(Any, api), "amd64")
    assert api.secret is None
    api.put(foreign())
    program.remove(cast(Any, api), "amd64")
    assert api.secret is not None


def test_programs_of_every_build_go_and_nothing_else():
    earlier = programs.secret("arm64", b"an earlier build")
    config_map = former_config_map()
    api = Api(binaries.secret("amd64"), earlier, config_map)
    program.remove_unused(cast(Any, api))
    assert api.list(SECRETS, NAMESPACE) == []
    assert api.list(CONFIGMAPS, NAMESPACE) == []


def test_what_a_daemonset_names_stays():
    config_map = former_config_map()
    api = Api(
        binaries.secret("amd64"),
        config_map,
        daemonset(configMap={"name": config_map["metadata"]["name"]}),
    )
    program.remove_unused(cast(Any, api))
    assert api.secret is None
    assert len(api.list(CONFIGMAPS, NAMESPACE)) == 1
    assert program.unused(cast(Any, api)) == []


def test_evidence_stays_and_is_told():
    journal = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kubectl-selfhost-journal", "labels": AGENT_LABELS},
    }
    api = Api(foreign(), journal)
    program.remove_unused(cast(Any, api))
    assert api.secret is not None
    (told,) = program.foreign(cast(Any, api))
    assert NAME in told.message


# Before a pivot


def check(api: Api, *staying: dict[str, Any]) -> Any:
    groups = SimpleNamespace(staying=lambda: list(staying))
    pivot = SimpleNamespace(nodes=[SimpleNamespace(target=TARGET)], groups=groups)
    return agent_program(cast(Any, SimpleNamespace(pivot=pivot, cluster=api)))


@pytest.mark.parametrize("stored", [(), (binaries.secret("amd64"),)])
def test_preflight_is_content_with_ours_or_none(stored):
    assert check(Api(*stored)).result == OK


def test_preflight_refuses_a_foreign_program():
    found = check(Api(foreign()))
    assert (found.check, found.result) == ("AgentProgram", FAILED)
    assert NAME in found.finding


def test_preflight_looks_at_what_daemonsets_start_from():
    config_map = former_config_map()
    one = daemonset(configMap={"name": config_map["metadata"]["name"]})
    assert check(Api(config_map), one).result == WARNING
    swapped = {**config_map, "binaryData": FOREIGN}
    assert check(Api(swapped), one).result == FAILED
    gone = check(Api(), one)
    assert gone.result == FAILED
    assert "self-hosted-kube-scheduler" in gone.cause


# The guardian's program on the node


def warned(digest: str, named: str) -> list[str]:
    """Return what the first look at a node says if the guardian's file has this SHA-256."""
    said: list[str] = []
    guardian = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "kubectl-selfhost-guardian-cp-1",
            "annotations": {"kubectl-selfhost/program": named},
        },
    }
    steps = SimpleNamespace(
        _agent=SimpleNamespace(check=lambda: {"guardian": digest}, target=TARGET),
        _cluster=Api(guardian),
        _node="cp-1",
        _observer=SimpleNamespace(warning=said.append),
    )
    assert CommonSteps.check_node(cast(Any, steps)) == {"guardian": digest}
    return said


def test_a_guardian_that_is_what_its_static_pod_names_is_not_warned_of():
    own = binaries.digest("amd64")
    assert warned(own, NAME) == []
    assert warned(own, f"kubectl-selfhost-agent-amd64-{own[:10]}") == []  # an earlier build's
    assert warned("", NAME) == []  # none is installed


@pytest.mark.parametrize("named", [NAME, "kubectl-selfhost-agent-amd64-0123456789", "anything"])
def test_a_guardian_that_root_has_replaced_is_warned_of(named):
    (said,) = warned("0" * 64, named)
    assert "/etc/kubernetes/kubectl-selfhost/agent" in said
    assert "0" * 64 in said
    assert "kubectl selfhost sync" in said


# The pod of probe --in-cluster


ON_CP_1 = ReachTarget("cp-1", "amd64", "kube-apiserver:v1.37.2", "10.96.0.1", 443)
PROBE = from_a_pod.program(ON_CP_1)


def probe(api: Api) -> Reach:
    made = Reach(cast(Any, api), ON_CP_1, rate=1, seconds=1.0)
    made.start(timeout=1.0, tell=lambda _: None)
    return made


def test_a_probe_starts_with_a_secret_of_its_own():
    api = Api()
    probe(api)
    secret = api.find(SECRETS, PROBE["metadata"]["name"], NAMESPACE)
    pod = api.find(PODS, from_a_pod.pod_name("cp-1"), NAMESPACE)
    assert secret is not None
    assert pod is not None
    assert secret["immutable"] is True
    (volume,) = pod["spec"]["volumes"]
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]


def test_the_name_of_the_probes_secret_holds_the_digest_of_what_it_holds():
    (content,) = (base64.b64decode(value) for value in PROBE["data"].values())
    digest = hashlib.sha256(content).hexdigest()
    assert PROBE["metadata"]["name"] == f"{from_a_pod.pod_name('cp-1')}-{digest}"
    assert content != binaries.content("agent-amd64")


def test_what_a_killed_probe_has_left_goes_whatever_build_made_it():
    own = from_a_pod.pod_name("cp-1")
    labels = PROBE["metadata"]["labels"]
    left = [own, f"{own}-{'0' * 64}", PROBE["metadata"]["name"]]
    others = [f"{own}-2", f"{own}-2-{'0' * 64}", f"{own}-mine"]
    api = Api(*({**PROBE, "metadata": {"name": name, "labels": labels}} for name in left + others))
    made = probe(api)
    made.remove()
    kept = {one["metadata"]["name"] for one in api.list(SECRETS, NAMESPACE)}
    assert kept == set(others)


@pytest.mark.parametrize("data", [FOREIGN, PROBE["data"]])
def test_a_swap_while_the_probe_starts_is_seen(data):
    api = Api()
    name = PROBE["metadata"]["name"]

    def swap() -> None:
        Objects.delete(api, SECRETS, name, NAMESPACE)
        api.put({**PROBE, "data": data, "metadata": {"name": name}})

    api.after["pods"] = swap
    with pytest.raises(SwappedProgram):
        probe(api)
    assert api.find(PODS, from_a_pod.pod_name("cp-1"), NAMESPACE) is None


def test_a_secret_that_is_not_what_was_created_is_not_used():
    """An answer that was lost, and a Secret of that name that somebody else has made."""
    api = Api()
    name = PROBE["metadata"]["name"]
    api.after["secrets"] = lambda: api.put({**foreign(), "metadata": {"name": name}})
    with pytest.raises(SwappedProgram):
        probe(api)

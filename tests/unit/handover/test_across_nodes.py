"""A roll-out on several nodes: on each as its new pod comes, and if one fails, back on all."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from fakes.objects import Objects

from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.controlplane.component import SCHEDULER
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.revision_on_all_nodes import AcrossNodes
from kubectl_selfhost.handover.revision_to_revision import Revision

NAME = SCHEDULER.daemonset


def daemonset(version: str) -> dict:
    template = {"spec": {"containers": [{"name": "kube-scheduler", "image": version}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": "kube-system"},
        "spec": {"template": template},
    }


def image_of(one: dict) -> str:
    return one["spec"]["template"]["spec"]["containers"][0]["image"]


class Cluster(Objects):
    def get(self, kind, name, namespace):
        return self.find(kind, name, namespace)

    def waiting(self, seconds):
        return nullcontext()

    @property
    def image(self) -> str:
        return image_of(self.find(DAEMONSETS, NAME, "kube-system") or {})


class HandOver:
    """A stand-in for the hand-over of one node."""

    component = SCHEDULER

    def __init__(
        self, node: str, did: list[str], cluster: Cluster, *, fails: str = "", back_fails: str = ""
    ) -> None:
        self.node, self.did, self.cluster, self.fails = node, did, cluster, fails
        self.back_fails = back_fails
        self.seconds: float | None = None
        self.choice = None

    def again(self) -> HandOver:
        return HandOver(self.node, self.did, self.cluster, fails=self.back_fails)

    def expect(self, subject: Revision) -> None:
        self.did.append(f"{self.node} expects, {self.cluster.image} is there")
        if self.fails == "expect":
            raise SelfhostError("it can't be shared")

    def has_come(self) -> bool:
        return True

    def do(self, subject: Revision) -> None:
        if self.fails == "do":
            raise SelfhostError("it doesn't run")
        self.did.append(
            f"{self.node} to {subject.after['spec']['template']['spec']['containers'][0]['image']}"
        )
        self.seconds = 1.0

    def serving(self) -> str:
        return "uid-new"

    def wait_until_one_serves(self) -> None:
        self.did.append(f"{self.node} has one")

    def stay(self) -> None:
        self.did.append(f"{self.node} stays, {self.cluster.image} is there")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(daemonset("v1"))


@pytest.fixture
def did() -> list[str]:
    return []


def rolled(cluster: Cluster, did: list[str], *handovers: HandOver) -> AcrossNodes:
    return AcrossNodes(
        cluster,  # type: ignore[arg-type]
        handovers,  # type: ignore[arg-type]
        timeout=1.0,
        tell=did.append,
    )


def subjects(*nodes: str) -> dict[str, Revision]:
    return {
        node: Revision(
            port=10259,
            old_uid=f"uid-{node}",
            retry_period=2.0,
            probe_address="127.0.0.1",
            before=daemonset("v1"),
            after=daemonset("v2"),
        )
        for node in nodes
    }


def test_clients_are_kept_away_on_every_node_before_the_daemonset_changes(cluster, did):
    across = rolled(cluster, did, HandOver("a", did, cluster), HandOver("b", did, cluster))
    across.do(subjects("a", "b"))
    assert did == [
        "a expects, v1 is there",
        "b expects, v1 is there",
        "a to v2",
        "b to v2",
    ]
    across.undo()  # nothing is left to undo
    assert cluster.image == "v2"


def test_where_one_fails_all_go_back(cluster, did):
    across = rolled(
        cluster, did, HandOver("a", did, cluster), HandOver("b", did, cluster, fails="do")
    )
    with pytest.raises(SelfhostError):
        across.do(subjects("a", "b"))
    did.clear()
    across.undo()
    assert did == [
        "a expects, v2 is there",
        "b stays, v1 is there",
        "a to v1",
        "a has one",
        "b has one",
    ]


def test_what_can_not_be_steered_goes_back_all_the_same(cluster, did):
    across = rolled(
        cluster,
        did,
        HandOver("a", did, cluster, back_fails="expect"),
        HandOver("b", did, cluster, fails="do"),
    )
    with pytest.raises(SelfhostError):
        across.do(subjects("a", "b"))
    across.undo()
    assert cluster.image == "v1"
    assert did[-3:] == ["a to v1", "a has one", "b has one"]
    assert any("it can't be shared" in one for one in did)


def test_before_anything_was_begun_there_is_nothing_to_undo(cluster, did):
    rolled(cluster, did, HandOver("a", did, cluster)).undo()
    assert did == []


def test_a_daemonset_whose_status_alone_was_written_is_changed(cluster, did):
    cluster.put({**daemonset("v1"), "status": {"numberAvailable": 1}})
    rolled(cluster, did, HandOver("a", did, cluster)).do(subjects("a"))
    assert did[-1] == "a to v2"
    assert cluster.image == "v2"


def test_a_daemonset_that_somebody_else_has_changed_is_left_as_it_is(cluster, did):
    cluster.put(daemonset("v3"))
    with pytest.raises(SelfhostError, match="Somebody else changed DaemonSet"):
        rolled(cluster, did, HandOver("a", did, cluster)).do(subjects("a"))
    assert cluster.image == "v3"

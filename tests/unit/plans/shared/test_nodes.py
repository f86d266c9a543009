"""Which control-plane nodes a run works on, and in what order."""

from __future__ import annotations

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.component import COMPONENTS, SCHEDULER
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import Situation


def node(name: str, address: str) -> dict:
    made = api.node(name)
    made["status"]["addresses"][0]["address"] = address
    return made


def situation(*names: str, empty: tuple[str, ...] = (), more: tuple[dict, ...] = ()) -> Situation:
    pods = [api.static_pod(c, on=name) for name in names for c in COMPONENTS]
    every = [node(name, f"10.0.0.{at}") for at, name in enumerate((*names, *empty), 1)]
    for pod in [*pods, *more]:
        pod["metadata"]["namespace"] = "kube-system"
    return Situation(every, [*pods, *more], {}, "v1.37.2", [])


def test_all_that_run_a_control_plane_by_name():
    assert nodes.chosen(situation("c", "a", "b")) == ["a", "b", "c"]


def test_the_one_that_answers_us_comes_last():
    found = situation("a", "b", "c")
    assert nodes.chosen(found, server="https://10.0.0.2:6443") == ["a", "c", "b"]
    assert nodes.chosen(found, server="https://lb.example:6443") == ["a", "b", "c"]


def test_a_worker_with_the_roles_label_is_left_alone():
    found = situation("a", empty=("worker",))
    assert nodes.chosen(found) == ["a"]
    assert nodes.left_alone(found) == ["worker"]
    assert not nodes.are_several(found)


def test_where_nothing_runs_every_node_is_meant():
    """So that what is missing is told of each."""
    assert nodes.chosen(situation(empty=("a", "b"))) == ["a", "b"]


def test_those_that_were_asked_for():
    assert nodes.chosen(situation("a", "b", "c"), ["c", "a"]) == ["a", "c"]


def test_a_name_that_is_no_control_plane_node_is_refused():
    with pytest.raises(SelfhostError, match='"d" is not a control-plane node') as raised:
        nodes.chosen(situation("a", "b"), ["a", "d"])
    assert "a, b" in raised.value.hint


def test_a_lone_nodes_processes_need_not_be_told_apart():
    assert not nodes.host_names(situation("a"), "a")
    several = nodes.host_names(situation("a", "b"), "a")
    assert several.runs("a_5f0c")
    assert not several.runs("b_5f0c")


def test_a_recovery_copy_stands_in_where_there_is_a_daemonset():
    copy = api.standing_in(SCHEDULER, on="b")
    found = situation("a", empty=("b",), more=(copy,))
    assert not nodes.runs(found, "b")
    hosted = Situation(
        found.nodes, found.pods, {SCHEDULER.daemonset: api.daemonset(SCHEDULER)}, "v1.37.2", []
    )
    assert hosted.stands_in(SCHEDULER, "b")
    assert nodes.runs(hosted, "b")

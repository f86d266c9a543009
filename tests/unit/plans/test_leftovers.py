"""What an earlier run left, and what the guardian does by itself, are told apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import apiobjects as api
import pytest

from kubectl_selfhost.cluster.waits import TimedOut
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS
from kubectl_selfhost.plans.leftovers import look as leftovers
from kubectl_selfhost.plans.leftovers.look import Leftovers
from kubectl_selfhost.plans.shared import situation as situations
from kubectl_selfhost.plans.shared.situation import Situation


def situation(*pods: dict) -> Situation:
    daemonsets = {c.daemonset: api.daemonset(c) for c in COMPONENTS}
    return Situation([api.pivoted()], list(pods), daemonsets, api.VERSION, [])


def left(seen: Situation) -> Leftovers:
    found = leftovers._on_node(seen, api.NODE)
    nodes = (found,) if found else ()
    return Leftovers(seen, nodes, addresses=(), run="an earlier run", held_by="")


OTHERS = [api.our_pod(c) for c in COMPONENTS[1:]]


def test_a_control_plane_that_serves_has_nothing_left_over():
    assert not left(situation(api.our_pod(APISERVER), *OTHERS))


@pytest.mark.parametrize("pods", [[api.our_pod(APISERVER, ready=False)], []])
def test_a_recovery_copy_that_serves_is_nothing_left_over(pods):
    assert not left(situation(api.standing_in(APISERVER), *pods, *OTHERS))


def test_a_component_that_nobody_serves_may_be_in_mid_air():
    found = left(situation(api.our_pod(APISERVER, ready=False), *OTHERS))
    assert found.nodes[0].sentence() == "no instance of kube-apiserver serves"
    assert found.hides_the_rest


def test_an_agents_pod_is_left_over_and_hides_nothing():
    found = left(situation(api.our_pod(APISERVER), *OTHERS, api.agent_pod()))
    assert found.nodes[0].sentence() == "the node agent's pod still exists"
    assert not found.hides_the_rest


def test_pods_that_wait_beside_static_ones_hide_nothing():
    pods = [pod for c in COMPONENTS for pod in (api.static_pod(c), api.waiting_pod(c))]
    found = left(situation(*pods))
    assert "both a static pod and a DaemonSet's pod exist" in found.nodes[0].sentence()
    assert not found.hides_the_rest


@pytest.mark.parametrize("ready", [True, False])
def test_a_second_instance_that_runs_hides_what_is_to_be_done(ready: bool):
    pods = [api.static_pod(APISERVER), api.our_pod(APISERVER, ready=ready), *OTHERS]
    assert left(situation(*pods)).hides_the_rest


def test_an_agent_that_keeps_a_recovery_copy_in_place_is_settled_first():
    """The guardian takes no copy away while an agent is there."""
    pods = [api.our_pod(APISERVER), api.standing_in(APISERVER), *OTHERS, api.agent_pod()]
    assert left(situation(*pods)).hides_the_rest


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([api.run(ended=False)], "the interrupted pivot"),
        ([api.run(ended=False), api.run()], "an earlier run"),
        ([], "an earlier run"),
    ],
)
def test_a_run_is_called_interrupted_only_where_its_end_was_never_written(runs, said):
    assert leftovers._interrupted({"runs": runs}) == said


def test_a_former_static_pod_is_nothing_left_over():
    assert not left(situation(api.ending_pod(APISERVER), api.our_pod(APISERVER), *OTHERS))


WAITS = [
    (
        api.standing_in(APISERVER),
        f"after a restart of node {api.NODE} a recovery copy of kube-apiserver serves; waiting "
        "until the DaemonSet's pod serves",
    ),
    (
        api.ending_pod(APISERVER),
        f"the former kube-apiserver-{api.NODE} lets its last requests finish",
    ),
]


@pytest.mark.parametrize(("pod", "why"), WAITS)
def test_a_run_waits_for_what_goes_by_itself_and_says_why(monkeypatch, pod, why):
    told: list[str] = []
    pods = [[pod, *OTHERS], [pod, *OTHERS], [api.our_pod(APISERVER), *OTHERS]]

    class Observer:
        def step_waiting(self, why: str) -> None:
            told.append(why)

    monkeypatch.setattr(situations, "read_situation", lambda _: situation(*pods.pop(0)))
    monkeypatch.setattr("time.sleep", lambda _: None)
    nobody: Any = None
    observer: Any = Observer()
    seen = situations.at_rest(nobody, timeout=60.0, observer=observer)
    assert seen.self_hosted(APISERVER, api.NODE)
    assert told == [why]


def test_a_recovery_copy_that_stays_ends_the_wait(monkeypatch):
    seen = situation(api.standing_in(APISERVER), *OTHERS)
    monkeypatch.setattr(situations, "read_situation", lambda _: seen)
    nobody: Any = None
    observer: Any = SimpleNamespace(step_waiting=lambda _: None)
    with pytest.raises(TimedOut):
        situations.at_rest(nobody, timeout=0.0, observer=observer)

"""The journal explains and never decides: what can't be kept, or makes no sense, changes nothing."""

from __future__ import annotations

import json

import pytest
from fakes.world import World

from kubectl_selfhost.engine import journal as journals
from kubectl_selfhost.engine.journal import KEY, Journal
from kubectl_selfhost.names import JOURNAL, NAMESPACE


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch=monkeypatch)


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def journal(world: World, warned: list[str]) -> Journal:
    return Journal(world.client().cluster(), warn=warned.append)


def put(world: World, text: str) -> None:
    manifest = {"metadata": {"name": JOURNAL, "namespace": NAMESPACE}, "data": {KEY: text}}
    world.store.create("configmaps", manifest)


def kept(world: World) -> dict:
    return json.loads(world.store.get("configmaps", JOURNAL, NAMESPACE)["data"][KEY])


def is_journal(call) -> bool:
    return call.path.endswith(f"/{JOURNAL}")


def test_a_run_is_kept(world, journal):
    journal.open(verb="pivot", by="ada")
    journal.step_began("a")
    journal.step_ended("a", "done")
    journal.component("cp-1", "kube-apiserver", file="/etc/x.yaml")
    journal.close("done")
    run = kept(world)["runs"][0]
    assert (run["verb"], run["by"], run["outcome"]) == ("pivot", "ada", "done")
    assert [(one["name"], one["outcome"]) for one in run["steps"]] == [("a", "done")]
    assert kept(world)["nodes"] == {"cp-1": {"kube-apiserver": {"file": "/etc/x.yaml"}}}


@pytest.mark.parametrize(
    ("was", "sha256", "then"),
    [(True, "same", True), (False, "same", None), (True, "other", None), (None, "same", None)],
)
def test_a_certificate_seen_in_use_stays_so_until_it_is_another(world, journal, was, sha256, then):
    journal.open(verb="pivot", by="ada")
    journal.credentials("cp-1", {"apiserver": {"sha256": "same", "inUse": was}})
    journal.credentials("cp-1", {"apiserver": {"sha256": sha256, "inUse": None}})
    assert kept(world)["credentials"]["cp-1"]["certificates"]["apiserver"]["inUse"] is then


def test_an_earlier_run_that_was_never_ended_was_interrupted(world, journal):
    journal.open(verb="pivot", by="ada")
    journal.open(verb="pivot", by="ada")
    assert [run["outcome"] for run in kept(world)["runs"]] == ["interrupted", None]


@pytest.mark.parametrize("how", ["422", "500", "403", "413"])
def test_a_journal_that_can_not_be_written_is_told_once(world, journal, warned, how):
    world.fault(lambda call: is_journal(call) and call.changes, how, times=9)
    journal.open(verb="pivot", by="ada")
    journal.step_began("a")
    journal.step_ended("a", "done")
    journal.close("done")
    assert len(warned) == 1
    assert JOURNAL in warned[0]


def test_a_journal_that_could_not_be_read_is_not_overwritten(world, journal, warned):
    put(world, json.dumps({"runs": [{"verb": "pivot"}]}))
    world.fault(is_journal, "403")
    journal.open(verb="pivot", by="ada")
    journal.close("done")
    assert kept(world) == {"runs": [{"verb": "pivot"}]}
    assert len(warned) == 1


NONSENSE = [
    "",
    "no JSON",
    "[" * 5000,
    "7",
    "[]",
    '{"runs": 7, "nodes": []}',
    '{"runs": [7, null, {"steps": 7}, {"steps": [7]}], "nodes": {"a": 7, "b": {"c": 7}}}',
]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_left_out(world, journal, text):
    put(world, text)
    found = journals.read(world.client().cluster())
    assert all(isinstance(step, dict) for run in found["runs"] for step in run["steps"])
    assert all(facts == {} for facts in found["nodes"].values())
    journal.open(verb="pivot", by="ada")
    assert kept(world)["runs"][-1]["verb"] == "pivot"

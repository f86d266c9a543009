"""The words of ``kubectl selfhost upgrade``, and its exit status."""

from __future__ import annotations

import json

import pytest
import typer
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.cli.verbs import upgrade as verb
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(monkeypatch=monkeypatch)
    cluster = world.client().cluster()
    monkeypatch.setattr("kubectl_selfhost.cluster.kubeconfig.connect", lambda _: cluster)
    return world


def typed(**options: object) -> int:
    with pytest.raises(typer.Exit) as caught:
        verb.upgrade(ConnectionOptions(), timeout=30.0, **options)  # type: ignore[arg-type]
    return caught.value.exit_code


def test_static_pods_are_told_from_self_hosted_ones_by_the_exit_status(world, capsys):
    assert typed() == 1
    assert "not self-hosted" in capsys.readouterr().out
    Run(world)()
    assert typed() == 0
    assert "Next: kubectl selfhost upgrade VERSION" in capsys.readouterr().out


def test_a_program_gets_a_document(world, capsys):
    Run(world)()
    assert typed(version=verb._version("1.37.3"), output="json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["target"] == "v1.37.3"
    assert "ask the images of v1.37.3" in said.err
    assert typed(output="yaml") == 0
    assert "kind: Upgrade" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["latest", "v1.37", ""])
def test_another_text_is_no_version(text):
    with pytest.raises(typer.BadParameter, match="no version like"):
        verb._version(text)

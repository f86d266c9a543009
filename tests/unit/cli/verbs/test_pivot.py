"""What a person types after ``kubectl selfhost pivot``."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from kubectl_selfhost.cli import run
from kubectl_selfhost.cli.verbs.pivot import pivot
from kubectl_selfhost.cluster import kubeconfig
from kubectl_selfhost.controlplane.component import SCHEDULER


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the verbs that are run, and how, instead of their runs."""
    found: list[tuple[str, str]] = []

    def through(_: object, verb: run.Verb[Any], *, dry_run: str, **more: object) -> None:
        found.append((verb.name, dry_run))

    monkeypatch.setattr(run, "through", through)
    monkeypatch.setattr(kubeconfig, "connect", lambda _: None)
    return found


def test_certificates_go_into_secrets_after_the_pivot(ran):
    pivot(None, yes=True, store_certs_in_secrets=True)  # type: ignore[arg-type]
    assert ran == [("pivot", "none"), ("credentials to-secrets", "none")]


def test_a_dry_run_shows_the_pivot_alone(ran, capsys):
    pivot(None, dry_run="client", store_certs_in_secrets=True)  # type: ignore[arg-type]
    assert ran == [("pivot", "client")]
    assert "`credentials to-secrets` follows then" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [{"component": [SCHEDULER.name]}, {"node": ["cp-1"]}, {"output": "yaml"}]
)
def test_certificates_go_into_secrets_as_a_whole(ran, more):
    with pytest.raises(typer.BadParameter):
        pivot(None, store_certs_in_secrets=True, **more)  # type: ignore[arg-type]
    assert ran == []

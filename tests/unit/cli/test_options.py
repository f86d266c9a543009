from __future__ import annotations

from typing import Annotated

import pytest
import typer

from kubectl_selfhost.cli import options
from kubectl_selfhost.cli.commands import VERBS
from kubectl_selfhost.cli.options import command
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("5m", 300.0),
        ("90s", 90.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("250ms", 0.25),
        ("-1s", -1.0),
        ("+1s", 1.0),
        ("1h0m1s", 3601.0),
    ],
)
def test_a_duration_is_what_go_reads(text: str, seconds: float):
    assert options.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("", 'time: invalid duration ""'),
        ("soon", 'time: invalid duration "soon"'),
        ("s5", 'time: invalid duration "s5"'),
        ("1m 5s", 'time: unknown unit "m " in duration "1m 5s"'),
        ("1.2.3s", 'time: missing unit in duration "1.2.3s"'),
    ],
)
def test_a_wrong_duration_is_refused_in_gos_words(text: str, words: str):
    with pytest.raises(typer.BadParameter) as refused:
        options.duration(text)
    assert str(refused.value) == words


def test_a_request_timeout_may_be_plain_seconds():
    assert options.request_timeout("7") == 7.0


@pytest.mark.parametrize("text", ["-1", "-1s", "soon"])
def test_a_wrong_request_timeout_is_refused_in_kubectls_words(text: str):
    with pytest.raises(typer.BadParameter, match="Timeout must be a single integer in seconds"):
        options.request_timeout(text)


def look(
    connection: ConnectionOptions,
    timeout: options.Timeout = 300.0,
    dry_run: options.DryRun = "none",
    output: Annotated[str, options.output_format("json", "yaml")] = "",
) -> None:
    """Stand in for a verb in these tests."""
    seen.append((connection, timeout, dry_run, output))


seen: list[tuple[ConnectionOptions, float, str, str]] = []


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch):
    """Return a function that calls ``look`` as if it had been typed, and returns what it was given."""
    monkeypatch.setitem(VERBS, "look", (__name__, "look", "Look"))
    seen.clear()

    def typed(*words: str) -> tuple[ConnectionOptions, float, str, str]:
        made = command("look")
        with made.make_context("look", list(words)) as context:
            made.invoke(context)
        return seen[0]

    return typed


def test_nothing_given_is_nothing_chosen(call):
    assert call() == (ConnectionOptions(), 300.0, "none", "")


def test_kubectls_flags_arrive_as_a_connection(call):
    words = "--kubeconfig=f --context=c --cluster=k --user=u --as=me --as-group=a --as-group=b"
    connection, *_ = call(*words.split(), "--as-uid=7", "--request-timeout=3s", "--v=6")
    assert connection == ConnectionOptions(
        kubeconfig="f",
        context="c",
        cluster="k",
        user="u",
        as_user="me",
        as_groups=("a", "b"),
        as_uid="7",
        request_timeout=3.0,
        verbosity=6,
    )


def test_a_verbs_own_options_stay(call):
    assert call("--timeout=1m30s", "--dry-run=server", "-ojson")[1:] == (90.0, "server", "json")


def test_an_unknown_format_is_refused_in_kubectls_words(call):
    with pytest.raises(Exception, match="unable to match a printer .* formats are: json,yaml"):
        call("-o", "xml")


def test_an_unknown_dry_run_is_refused_in_kubectls_words(call):
    with pytest.raises(Exception, match=r"Invalid dry-run value \(maybe\)"):
        call("--dry-run=maybe")

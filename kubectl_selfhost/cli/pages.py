"""The question and the output of the verbs that change something."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import typer

from kubectl_selfhost.errors import SelfhostError

if TYPE_CHECKING:
    from kubectl_selfhost.engine.step import Outcome


def require_an_answer(*, yes: bool) -> None:
    """Refuse if nobody can answer the question."""
    if not yes and not sys.stdin.isatty():
        raise SelfhostError(
            "There is no terminal to ask you for a confirmation. Nothing was changed.",
            "Look at the plan with --dry-run=client, then run the command with --yes.",
        )


def ask(*, yes: bool) -> None:
    """Ask whether to start, unless ``yes`` is given."""
    if not yes and not typer.confirm("Start?", err=True):
        raise SelfhostError("You answered no. Nothing was changed.")


def say(text: str) -> None:
    """Write a sentence for the person, on stderr."""
    print(text, file=sys.stderr)


def print_plan(plan: Any, *, file: TextIO) -> None:
    """Print the plan's page."""
    from kubectl_selfhost.output.plan import page

    print_lines(
        file,
        lambda style: page(
            plan.title, plan.as_rows(), facts=plan.facts, know=plan.know, style=style
        ),
    )


def print_manifests(manifests: list[dict], how: str) -> None:
    """Print objects as data: ``how`` is yaml, json or name."""
    from kubectl_selfhost.output.manifests import as_text

    sys.stdout.write(as_text(manifests, how))


def print_summary(
    cluster: Any,
    outcome: Outcome,
    *,
    seconds: dict[tuple[str, str], float],
    probe: Any,
    file: TextIO,
) -> None:
    """Print what runs where now, how long each switch took, and what a client saw meanwhile."""
    from kubectl_selfhost.output import report
    from kubectl_selfhost.output.text import is_terminal
    from kubectl_selfhost.plans.shared import nodes
    from kubectl_selfhost.plans.shared.situation import read_situation

    print_lines(
        file,
        lambda style: report.summary(
            outcome.title,
            served=nodes.served(read_situation(cluster)),
            switched=seconds,
            probe=probe,
            know=outcome.know,
            commands=outcome.commands,
            next_command="kubectl selfhost status",
            drawn=is_terminal(file),
            style=style,
        ),
    )


def print_lines(file: TextIO, lines: Callable[[Any], list[str]]) -> None:
    """Print lines between two empty lines, with colours if ``file`` is a terminal."""
    from kubectl_selfhost.output.text import Style

    print("", *lines(Style.for_stream(file)), "", sep="\n", file=file)

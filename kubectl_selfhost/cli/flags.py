"""The flags that several verbs share; kubectl's own flags are in ``options``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from kubectl_selfhost.cli import suggestions
from kubectl_selfhost.cli.options import duration
from kubectl_selfhost.controlplane.component import COMPONENTS, Component

NAMES = tuple(component.name for component in COMPONENTS)
_WAYS = ("auto", "seamless", "steered", "shared", "waiting")


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that accepts these words, and raises typer.BadParameter for any other word."""

    def parse(word: str) -> str:
        if word not in words:
            raise typer.BadParameter(f'"{word}" is not one of {", ".join(words)}')
        return word

    return parse


component_name = one_of(*NAMES)


def flag_name(text: str) -> str:
    """Return a flag's name as the components write it. Raise typer.BadParameter."""
    name = text.lstrip("-")
    if not name or "=" in name:
        raise typer.BadParameter(f'"{text}" is not the name of a flag')
    return name.replace("_", "-")


#: ``handover: HandOverWay = "auto"``
HandOverWay = Annotated[
    str,
    typer.Option(
        "--handover",
        metavar="|".join(_WAYS),
        help="How a port changes hands.",
        parser=one_of(*_WAYS),
        autocompletion=suggestions.among(_WAYS),
    ),
]


#: ``node: Nodes = None``
Nodes = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        metavar="NAME",
        help="Work on this control-plane node only (repeatable).",
    ),
]


#: ``component: Components = None``
Components = Annotated[
    list[str] | None,
    typer.Option(
        "--component",
        parser=component_name,
        metavar="NAME",
        help="Work on this component only (repeatable).",
        autocompletion=suggestions.among(NAMES),
    ),
]


def components(names: Sequence[str] | None) -> tuple[Component, ...]:
    """Return the components of these names, in hand-over order; without names, all of them."""
    return tuple(one for one in COMPONENTS if one.name in (names or NAMES))


_DAYS = re.compile(r"(\d+)d")


def days(text: str) -> float:
    """Return the seconds in a duration that may be in days: ``60d``, ``36h``. Raise
    typer.BadParameter.
    """
    whole = _DAYS.fullmatch(text)
    return int(whole[1]) * 86400.0 if whole else duration(text)

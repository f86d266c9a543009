"""kubectl's own flags and their meaning, the same for all verbs.

kubectl gives a plugin only the words after the plugin's name, so this program must define each flag
that people know from kubectl. ``takes_connection`` adds the flags that choose a cluster and a user
to a verb; the others are annotations, for a verb's parameters.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from kubectl_selfhost.cli import suggestions
from kubectl_selfhost.cli.commands import VERBS
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

Verb = Callable[..., Any]

_TERM = re.compile(r"(?:\d+\.?\d*|\.\d+)([^\d.]*)")
_PANEL = "Options of kubectl"


def duration(text: str | float) -> float:
    """Return the seconds in a duration as Go writes it: ``90s``, ``1m30s``, ``1.5h``, ``0``.

    Raise typer.BadParameter in Go's own words. A number is a default, in seconds already.
    """
    if isinstance(text, (int, float)):
        return float(text)
    from kubectl_selfhost.controlplane.values.durations import seconds

    found = seconds(text)
    if found is None:
        raise typer.BadParameter(_wrong_duration(text, known=lambda unit: seconds(f"1{unit}")))
    return found


def _wrong_duration(text: str, *, known: Callable[[str], float | None]) -> str:
    """Return Go's error message for a text that is not a duration."""
    position = 1 if text[:1] in ("+", "-") else 0
    for term in _TERM.finditer(text, position):
        if term.start() != position:
            break
        unit, position = term[1], term.end()
        if not unit:
            return f'time: missing unit in duration "{text}"'
        if known(unit) is None:
            return f'time: unknown unit "{unit}" in duration "{text}"'
    return f'time: invalid duration "{text}"'


def request_timeout(text: str | float) -> float:
    """Return the seconds for one request: read as by ``duration``; a plain number means seconds, as
    in kubectl.
    """
    if isinstance(text, str) and text.isdecimal():
        return float(text)
    try:
        seconds = duration(text)
    except typer.BadParameter:
        seconds = -1.0
    if seconds < 0:
        raise typer.BadParameter(
            "Invalid timeout value. Timeout must be a single integer in seconds, or an integer "
            "followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
        )
    return seconds


def verbosity(text: str | int) -> int:
    """Return klog's level. Raise typer.BadParameter."""
    try:
        return max(0, int(text))
    except ValueError:
        raise typer.BadParameter(f'"{text}" is not a number') from None


def output_format(*formats: str) -> Any:
    """Return the ``-o`` option for exactly these formats; the value is "" if it isn't given.

    Use: ``output: Annotated[str, output_format("json", "yaml")] = ""``.
    """

    def known(text: str) -> str:
        if text and text not in formats:
            raise typer.BadParameter(
                f'unable to match a printer suitable for the output format "{text}", '
                f"allowed formats are: {','.join(formats)}"
            )
        return text

    return typer.Option(
        "--output",
        "-o",
        parser=known,
        metavar="FORMAT",
        help=f"The output format: {', '.join(formats)}.",
        show_default=False,
        autocompletion=suggestions.among(formats),
    )


def dry_run(text: str) -> str:
    """Return one of kubectl's three values of --dry-run. Raise typer.BadParameter in kubectl's
    words.
    """
    if text not in ("none", "client", "server"):
        raise typer.BadParameter(
            f'Invalid dry-run value ({text}). Must be "none", "server", or "client".'
        )
    return text


def wait_limit(text: str | float) -> float:
    """Return the seconds that a wait may last, as ``duration``; not 0. Raise typer.BadParameter."""
    seconds = duration(text)
    if seconds <= 0:
        raise typer.BadParameter("must be more than 0")
    return seconds


#: ``timeout: Timeout = 300.0``
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        parser=wait_limit,
        metavar="DURATION",
        help="The time limit of each wait, for example 90s (default 5m).",
        show_default=False,
    ),
]

#: ``dry_run: DryRun = "none"``
DryRun = Annotated[
    str,
    typer.Option(
        "--dry-run",
        parser=dry_run,
        metavar="none|client|server",
        help="client: only show the plan, or with -o the manifests. "
        "server: also let the API server check the manifests, without storing them.",
        autocompletion=suggestions.among(("none", "client", "server")),
    ),
]

#: ``yes: Yes = False``
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Start without asking.")]


def _flag(*names: str, help: str, **more: Any) -> Any:  # noqa: A002 (Typer's own word)
    return typer.Option(*names, help=help, show_default=False, rich_help_panel=_PANEL, **more)


def _connection(
    kubeconfig: Annotated[
        str, _flag("--kubeconfig", metavar="FILE", help="The kubeconfig to use.")
    ] = "",
    context: Annotated[
        str,
        _flag(
            "--context",
            metavar="NAME",
            help="The kubeconfig's context to use.",
            autocompletion=suggestions.contexts,
        ),
    ] = "",
    cluster: Annotated[
        str,
        _flag(
            "--cluster",
            metavar="NAME",
            help="The kubeconfig's cluster to use.",
            autocompletion=suggestions.clusters,
        ),
    ] = "",
    user: Annotated[
        str,
        _flag(
            "--user",
            metavar="NAME",
            help="The kubeconfig's user to use.",
            autocompletion=suggestions.users,
        ),
    ] = "",
    as_: Annotated[str, _flag("--as", metavar="NAME", help="The user to act as.")] = "",
    as_group: Annotated[
        list[str] | None,
        _flag("--as-group", metavar="NAME", help="A group to act as (repeatable)."),
    ] = None,
    as_uid: Annotated[str, _flag("--as-uid", metavar="UID", help="The UID to act as.")] = "",
    request_timeout: Annotated[
        float | None,
        _flag(
            "--request-timeout",
            parser=request_timeout,
            metavar="DURATION",
            help="The time limit of a single request, for example 30s; 0: the default of 10s.",
        ),
    ] = None,
    v: Annotated[
        int,
        _flag(
            "--v",
            "-v",
            parser=verbosity,
            metavar="LEVEL",
            help="The log level: 4 for details, 6 for each request and for tracebacks.",
        ),
    ] = 0,
) -> ConnectionOptions:
    """Return kubectl's flags (``kubectl options``) that this program has, as the room ``cluster``
    takes them.
    """
    return ConnectionOptions(
        kubeconfig=kubeconfig or None,
        context=context or None,
        cluster=cluster or None,
        user=user or None,
        as_user=as_ or None,
        as_groups=tuple(as_group or ()),
        as_uid=as_uid or None,
        request_timeout=request_timeout,
        verbosity=v,
    )


def takes_connection(verb: Verb) -> Verb:
    """Add kubectl's own flags to ``verb``, which receives them in its parameter ``connection``.

    Typer reads the options from a signature. So the signature of the result has the verb's other
    parameters, and the parameters of ``_connection``.
    """
    own = inspect.signature(verb, eval_str=True).parameters
    ours = inspect.signature(_connection, eval_str=True).parameters
    mine = [parameter for name, parameter in own.items() if name != "connection"]

    @functools.wraps(verb)
    def with_connection(**values: Any) -> Any:
        flags = {name: values.pop(name) for name in ours}
        return verb(connection=_connection(**flags), **values)

    parameters = _by_keyword([*mine, *ours.values()])
    with_connection.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_connection.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_connection


def _by_keyword(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    return [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]


def command(verb: str) -> typer.core.TyperCommand:
    """Return the command of ``verb`` with its options. Import only this verb's module."""
    module, function, line = VERBS[verb]
    implementation = getattr(importlib.import_module(module), function)
    if "connection" in implementation.__code__.co_varnames[: _arguments(implementation)]:
        implementation = takes_connection(implementation)
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.command(verb, short_help=line)(implementation)
    made = typer.main.get_command(app)
    assert isinstance(made, typer.core.TyperCommand)
    return made


def _arguments(function: object) -> int:
    code = function.__code__  # type: ignore[attr-defined]
    count: int = code.co_argcount + code.co_kwonlyargcount
    return count

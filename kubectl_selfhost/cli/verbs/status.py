"""``kubectl selfhost status``: the state of the control plane, once or every two seconds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_selfhost.cli.options import output_format
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.health.verdict import Survey

_EVERY = 2.0
_HOME_AND_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def status(
    connection: ConnectionOptions,
    *,
    output: Annotated[str, output_format("wide", "json", "yaml")] = "",
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Repeat every 2 s, until Ctrl-C."),
    ] = False,
) -> None:
    """Show what serves each component of the control plane, what is unfinished, and what to do next.

    The exit status is 0 if the control plane is healthy, self-hosted or static; else it is 1.
    """
    from kubectl_selfhost.cluster.kubeconfig import connect
    from kubectl_selfhost.health.survey import survey

    cluster = connect(connection)
    if watch:
        raise typer.Exit(_watch(cluster, output))
    seen = survey(cluster)
    print("\n".join(lines(seen, output)))
    raise typer.Exit(0 if seen.verdict.healthy else 1)


def lines(seen: Survey, output: str) -> list[str]:
    """Return the page, or the document, as ``output`` asks for."""
    from kubectl_selfhost.output import document, text
    from kubectl_selfhost.output.status import page

    if output == "json":
        return [document.as_json(document.document(seen))]
    if output == "yaml":
        return [document.as_yaml(document.document(seen))]
    return page(seen, wide=output == "wide", style=text.Style.for_stream(sys.stdout))


def _watch(cluster: Cluster, output: str) -> int:
    """Draw on a terminal, else write each change. Return the exit status of the last look."""
    from kubectl_selfhost.errors import SelfhostError
    from kubectl_selfhost.health.survey import survey
    from kubectl_selfhost.output import document
    from kubectl_selfhost.output.text import is_terminal

    draws = is_terminal(sys.stdout) and output in ("", "wide")
    last: object = None
    healthy = False
    try:
        while True:
            try:
                seen = survey(cluster)
                shown, news = lines(seen, output), document.essence(document.document(seen))
                healthy = seen.verdict.healthy
            except SelfhostError as error:
                # People watch while a control plane changes hands: then the API comes back. The
                # error's text changes every second and means the same, so its type is compared.
                shown, news, healthy = [error.message], type(error).__name__, False
            if draws:
                print(_HOME_AND_CLEAR + "\n".join(shown), flush=True)
            elif news != last:
                _print_change(shown, output, first=last is None, failed=isinstance(news, str))
            last = news
            time.sleep(_EVERY)
    except KeyboardInterrupt:
        return 0 if healthy else 1


def _print_change(shown: list[str], output: str, *, first: bool, failed: bool) -> None:
    """Print a page or a document. A sentence among documents goes to stderr."""
    if failed and output in ("json", "yaml"):
        print(*shown, sep="\n", file=sys.stderr, flush=True)
        return
    between = {"json": [], "yaml": ["---"]}.get(output, ["", time.strftime("--- %H:%M:%S"), ""])
    print(*([] if first else between), *shown, sep="\n", flush=True)

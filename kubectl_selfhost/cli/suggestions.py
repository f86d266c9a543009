"""Suggestions for a shell's completion.

The shell calls these functions while a person types. So they send no request to a cluster, and on
an error they print nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

Suggest = Callable[[str], list[str]]


def among(values: Iterable[str]) -> Suggest:
    """Return a function that suggests those ``values`` that begin with the typed text."""
    fixed = tuple(values)

    def suggest(incomplete: str) -> list[str]:
        return [value for value in fixed if value.startswith(incomplete)]

    return suggest


def contexts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the kubeconfig's contexts."""
    return _from_kubeconfig(ctx, "contexts", incomplete)


def clusters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the kubeconfig's clusters."""
    return _from_kubeconfig(ctx, "clusters", incomplete)


def users(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the kubeconfig's users."""
    return _from_kubeconfig(ctx, "users", incomplete)


def _from_kubeconfig(ctx: typer.Context, kind: str, incomplete: str) -> list[str]:
    """Return names from the files, read as YAML: to build a client would take too long."""
    import os
    from pathlib import Path

    import yaml

    given = ctx.params.get("kubeconfig") or os.environ.get("KUBECONFIG") or "~/.kube/config"
    names: list[str] = []
    for path in filter(None, str(given).split(os.pathsep)):
        try:
            content = yaml.safe_load(Path(path).expanduser().read_text())
            names += [str(entry["name"]) for entry in content.get(kind) or []]
        except (OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError):
            continue
    return sorted({name for name in names if name.startswith(incomplete)})

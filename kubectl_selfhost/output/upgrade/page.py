"""The page of an upgrade: what runs where, to which version it may go, and what blocks the way."""

from __future__ import annotations

from collections.abc import Sequence

from kubectl_selfhost.controlplane.upgrade.addons import plain
from kubectl_selfhost.controlplane.upgrade.findings import (
    ETCD,
    EVERY,
    KUBELET,
    Finding,
    Findings,
    Running,
)
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.output.table import table
from kubectl_selfhost.output.text import PLAIN, Style, clean, wrap

COMMAND = "kubectl selfhost upgrade"
#: From this number on, nodes with the same version share a row.
_MANY = 4


def page(found: Findings, *, style: Style = PLAIN) -> list[str]:
    """Return the lines of the page."""
    target = shown_target(found)
    title = f"Kubernetes {found.newest}" + (f", to {target.version}" if target else "")
    blocks = [[style.paint(clean(title), "bold")], _components(found, target)]
    if found.blocking:
        what = "This blocks the upgrade:" if found.target else "This blocks every upgrade:"
        blocks.append([style.paint(what, "red"), *_listed(found.blocking)])
    if found.told:
        blocks.append(["Good to know:", *_listed(found.told)])
    blocks.append(_end(found, style))
    return [line for number, block in enumerate(blocks) for line in [*[""] * bool(number), *block]]


def shown_target(found: Findings) -> Target | None:
    """Return the target of the table: the one that was asked for, or the nearest."""
    return found.target or next(iter(found.offers), None)


def _components(found: Findings, target: Target | None) -> list[str]:
    rows: list[list[str]] = []
    for component in EVERY:
        by_version: dict[str, list[Running]] = {}
        for one in found.of(component):
            by_version.setdefault(_now(one), []).append(one)
        for now, some in by_version.items():
            goal = [after(component, target, now)] if target else []
            names = [one.node for one in some]
            if len(names) >= _MANY:
                names = [f"{len(names)} nodes"]
            rows += [[component, name, now, *goal] for name in names]
    headers = ["COMPONENT", "NODE", "CURRENT", *(["TARGET"] if target else [])]
    return table(headers, rows)


def _now(one: Running) -> str:
    return version_text(one.component, one.version) or "<unknown>"


def version_text(component: str, version: Version | None) -> str:
    """Return a version as the component's own images write it; empty for None."""
    text = str(version) if version else ""
    return text.removeprefix("v") if component == ETCD else text


def after(component: str, target: Target, now: str) -> str:
    """Return the component's version after the upgrade, which is ``now``'s if it stays."""
    if component == KUBELET:
        return "its package"
    tag = target.tags.get(component)
    return (version_text(component, plain(tag)) if component == ETCD else tag) if tag else now


def _listed(found: Sequence[Finding]) -> list[str]:
    return [line for one in found for line in wrap(clean(str(one)), first="  - ")]


def _end(found: Findings, style: Style) -> list[str]:
    colour = "red" if found.blocking else "green"
    lines = wrap(_sentence(found))
    return [
        *[style.paint(line, colour) for line in lines],
        *[f"Next: {one}" for one in next_commands(found)],
    ]


def _sentence(found: Findings) -> str:
    number = len(found.blocking)
    if number:
        verb = "thing blocks" if number == 1 else "things block"
        return f"{number} {verb} the upgrade."
    if found.target:
        return f"Nothing blocks the upgrade to {found.target.version}."
    if not found.offers:
        assert found.newest is not None
        following = f"v{found.newest.major}.{found.newest.minor + 1}"
        return (
            f"Nothing blocks an upgrade, to a newer {found.newest.release} or to {following}. The "
            "control-plane nodes have no images of such a version yet."
        )
    others = ", ".join(str(one.version) for one in found.offers[1:])
    also = f" They have those of {others}, too." if others else ""
    return (
        f"Nothing blocks an upgrade. The control-plane nodes have the images of "
        f"{found.offers[0].version}.{also}"
    )


def next_commands(found: Findings) -> list[str]:
    """Return the command to run next; none while something blocks."""
    if found.blocking:
        return []
    if found.target is not None:
        return [" ".join([COMMAND, *found.options, str(found.target.version)])]
    return [f"{COMMAND} {found.offers[0].version if found.offers else 'VERSION'}"]

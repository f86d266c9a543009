"""The flags and feature gates that a person takes off for an upgrade, because the target has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.errors import SelfhostError

GATES = "feature-gates"


def change(container: dict, *, image: str, flags: Sequence[str], gates: Sequence[str]) -> Change:
    """Return the change of a component: the new image, without ``flags`` and ``gates``.

    Names that this component's ``container`` does not have are left out: other components may have
    them.
    """
    there = component_flags.all_of_container(container)
    names = {name for name, _ in there}
    without = tuple(name for name in dict.fromkeys(flags) if name in names)
    values = [value for name, value in there if name == GATES]
    kept = [one for value in values if (one := _without(value, gates))]
    changed = {} if kept == values or GATES in without else {GATES: kept}
    if changed and not kept:
        return Change(image=image, without=(*without, GATES))
    return Change(image=image, without=without, flags=changed)


def off(container: Mapping, *, flags: Sequence[str], gates: Sequence[str]) -> dict:
    """Return the command line of any program's ``container`` without ``flags`` and ``gates``."""
    made = {key: list(container[key]) for key in ("command", "args") if container.get(key)}
    if component_flags.runs(made) is None:
        return {key: _words(words, flags, gates) for key, words in made.items()}
    changed = change(made, image="", flags=flags, gates=gates)
    for name, values in changed.flags.items():
        component_flags.with_flag(made, name, *values)
    for name in changed.without:
        component_flags.without_flag(made, name)
    return made


def require_known(
    containers: Iterable[Mapping], *, flags: Sequence[str], gates: Sequence[str]
) -> None:
    """Raise SelfhostError for a name that none of the ``containers`` has."""
    there = list(containers)
    asked = [("--unset-flag", name, {"flags": [name], "gates": []}) for name in flags]
    asked += [("--unset-gate", name, {"flags": [], "gates": [name]}) for name in gates]
    for option, name, names in asked:
        if all(off(one, **names) == off(one, flags=[], gates=[]) for one in there):
            raise SelfhostError(
                f"{option}={name}: no component of the control plane has this name.",
                "Leave the option out, or look at the name's spelling.",
            )


def _words(command: Sequence[str], flags: Sequence[str], gates: Sequence[str]) -> list[str]:
    """Return the words of a program whose flags all have the form ``--name=value``, or ``--name``."""
    kept = []
    for word in command:
        name, equals, value = word.partition("=")
        plain = name.lstrip("-").replace("_", "-") if name.startswith("-") else ""
        left = _without(value, gates) if plain == GATES else value
        if plain in flags or (plain == GATES and value and not left):
            continue
        kept.append(f"{name}{equals}{left}")
    return kept


def _without(value: str, gates: Sequence[str]) -> str:
    """Return the value of --feature-gates without ``gates``."""
    return ",".join(one for one in value.split(",") if one.partition("=")[0].strip() not in gates)

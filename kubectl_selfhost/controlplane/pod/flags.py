"""A component's command line: the values of its flags, and how to set a flag.

The components read their flags with Go's pflag: ``--name=value``, ``--name value``, ``--name``
alone (true), ``-v 2``, ``-v=2``, ``-v2``. In a name ``_`` means ``-``. Some flags keep all their
values when they are repeated (``--service-account-issuer``); for other flags the last value counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.errors import SelfhostError

#: The words that Go's strconv.ParseBool accepts; a component refuses every other word.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
#: "-1" and "-30s" are values: in pflag no flag begins with a digit.
_NEGATIVE = re.compile(r"-[0-9.]")
_PROGRAMS = frozenset(component.name for component in COMPONENTS)
_SHELLS = frozenset(("sh", "ash", "bash", "busybox", "dash", "ksh", "zsh"))
#: The flags of Kubernetes' go-runner that have a value (build/go-runner/go-runner.go).
_GO_RUNNER = "go-runner"
_GO_RUNNER_VALUES = ("log-file",)
_GO_RUNNER_FLAGS = (*_GO_RUNNER_VALUES, "also-stdout", "redirect-stderr")


class _Flag(NamedTuple):
    """A flag on a command line: the words from ``start`` to before ``end``."""

    name: str
    value: str
    start: int
    end: int


def parse(words: list[str]) -> list[tuple[str, str]]:
    """Return the flags among ``words``, in their order, as (name without dashes, value)."""
    return [(flag.name, flag.value) for flag in _flags(words)]


def boolean(text: str) -> bool | None:
    """Return ``text`` as Go's bool; None for a text that Go refuses."""
    return _BOOLEANS.get(text)


def of_container(container: dict) -> dict[str, str]:
    """Return the flags of a component's container; of a repeated flag, the last value."""
    return dict(all_of_container(container))


def all_of_container(container: dict) -> list[tuple[str, str]]:
    """Return the flags of a component's container with every repetition, in their order; empty if a
    command hides the flags (a shell).
    """
    try:
        words, start = _command_line(container)
    except SelfhostError:
        return []
    return parse([word for _, word in words[start:]])


def require_program(container: dict) -> None:
    """Raise SelfhostError if the container's command hides the component's flags."""
    _command_line(container)


def runs(container: dict) -> str | None:
    """Return the name of the component whose program a container starts; None for another program."""
    try:
        words, start = _command_line(container)
    except SelfhostError:
        return None
    name = _base(words[start - 1][1]) if start else ""
    return name if name in _PROGRAMS else None


def with_flag(container: dict, name: str, *values: str) -> None:
    """Set ``--name=value`` for each of ``values``; this changes ``container``.

    The new flags replace all old flags of that name, at the place of the first. Raise SelfhostError
    if the container's command hides the flags (a shell).
    """
    words, start = _command_line(container)
    kept, place = _without(words[start:], name)
    at = len(kept) if place is None else place
    key = words[start + at][0] if start + at < len(words) else _last_list(container)
    kept[at:at] = [(key, f"--{name}={value}") for value in values]
    _write(container, [*words[:start], *kept])


def without_flag(container: dict, name: str) -> bool:
    """Remove each ``--name``; this changes ``container``. Return False if there is no such flag.

    Raise as ``with_flag`` does.
    """
    words, start = _command_line(container)
    kept, place = _without(words[start:], name)
    if place is None:
        return False
    _write(container, [*words[:start], *kept])
    return True


def _flags(words: list[str]) -> tuple[_Flag, ...]:
    """Read ``words`` as pflag does."""
    return _read(tuple(map(str, words)))


# Each look at a pod reads its command line again, which never changes.
@lru_cache(maxsize=256)
def _read(words: tuple[str, ...]) -> tuple[_Flag, ...]:
    return tuple(_each(words))


def _each(words: tuple[str, ...]) -> Iterator[_Flag]:
    """Read the flags one after the other.

    A word after a flag without ``=`` is the flag's value, unless the word is a flag itself: the
    components take no other arguments.
    """
    at = 0
    while at < len(words):
        start, word = at, words[at]
        at += 1
        if word == "--":
            return
        if not word.startswith("-") or word == "-":
            continue
        name, has_value, value = _split(word)
        if not has_value:
            value = "true"
            if at < len(words) and _is_value(words[at]):
                value = words[at]
                at += 1
        yield _Flag(name.replace("_", "-"), value, start, at)


def _split(word: str) -> tuple[str, bool, str]:
    """Return the name in a flag's word, and the value if the word has a value: ``--v=2``, ``-v=2``,
    ``-v2``.
    """
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        return name, bool(equals), value
    name, value = word[1:2], word[2:]
    return name, bool(value), value.removeprefix("=")


def _is_value(word: str) -> bool:
    return not word.startswith("-") or word == "-" or _NEGATIVE.match(word) is not None


#: A word, and its list in the container: ``command`` or ``args``.
_Word = tuple[str, str]


def _without(words: list[_Word], name: str) -> tuple[list[_Word], int | None]:
    """Return ``words`` without the flag ``name``, and the flag's first place (None: not found)."""
    found = [flag for flag in _flags([word for _, word in words]) if flag.name == name]
    gone = {at for flag in found for at in range(flag.start, flag.end)}
    kept = [word for at, word in enumerate(words) if at not in gone]
    return kept, found[0].start if found else None


def _last_list(container: dict) -> str:
    """Return the list to which a new flag goes: the last list, because of a repeated flag the last
    value counts.
    """
    return "args" if container.get("args") or not container.get("command") else "command"


def _write(container: dict, words: list[_Word]) -> None:
    for key in ("command", "args"):
        if key in container:
            container[key] = [word for its, word in words if its == key]


def _command_line(container: dict) -> tuple[list[_Word], int]:
    """Return all words of a container, and the index of the component's first flag.

    Another program may start the component (``/go-runner --log-file=… kube-apiserver``,
    ``/hyperkube kube-apiserver``). Raise SelfhostError if a shell starts the component, or no word
    names it.
    """
    words = [(key, str(word)) for key in ("command", "args") for word in container.get(key) or []]
    start = _start(tuple(word for _, word in words), entrypoint=not container.get("command"))
    if start is not None:
        return words, start
    command = " ".join(word for _, word in words)
    raise SelfhostError(
        f"The command of the container {container.get('name')} doesn't name the component's program "
        f"({command[:60]}).",
        "Write the program and its flags into the manifest as kubeadm does, without a shell.",
    )


@lru_cache(maxsize=256)
def _start(words: tuple[str, ...], *, entrypoint: bool) -> int | None:
    """Return the index of the first flag; None if unknown. ``entrypoint``: ``words`` are the
    arguments of the image's own program.
    """
    if not words or words[0] == "-c":
        return None
    if entrypoint and words[0].startswith("-"):
        # The entrypoint is the component, or the go-runner of Kubernetes' own images.
        return _after_go_runner(words, 0) or 0
    if _base(words[0]) == _GO_RUNNER:
        return _after_go_runner(words, 1)
    candidates = [at for at, word in enumerate(words) if _names_program(word)]
    first = candidates[0] if candidates else 0
    if any(_base(word) in _SHELLS for word in words[:first]) or _base(words[0]) in _SHELLS:
        return None
    if not candidates:
        return 0 if entrypoint else None
    if _may_be_a_value(words, first) and len(candidates) > 1:
        return None
    return first + 1


def _after_go_runner(words: Sequence[str], at: int) -> int | None:
    """Return the index of the component's first flag, after the go-runner's flags; None if the
    go-runner starts no component.
    """
    while at < len(words) and words[at].startswith("-"):
        name, equals, _ = words[at].lstrip("-").partition("=")
        if name not in _GO_RUNNER_FLAGS:
            return None
        at += 2 if name in _GO_RUNNER_VALUES and not equals else 1
    return at + 1 if at < len(words) and _names_program(words[at]) else None


def _may_be_a_value(words: Sequence[str], at: int) -> bool:
    """Return whether the word may be the value of the flag before it, for a program that starts
    another program.
    """
    before = words[at - 1] if at else ""
    return before.startswith("--") and before != "--" and "=" not in before


def _names_program(word: str) -> bool:
    """Return whether a word is a component's program, and not a text or a flag that ends with its
    name.
    """
    plain = not word.startswith("-") and "=" not in word and len(word.split()) == 1
    return plain and _base(word) in _PROGRAMS


def _base(word: str) -> str:
    return word.rpartition("/")[2]

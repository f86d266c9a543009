"""A component's command line: what its flags say, and how to set one.

The components read their flags with Go's pflag: ``--name=value``, ``--name value``, ``--name``
alone (true), ``-v 2``; ``_`` counts as ``-`` in a name; the last one wins.
"""

from __future__ import annotations

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.errors import SelfhostError


def parse(words: list[str]) -> list[tuple[str, str]]:
    """The flags among ``words``, in their order, as (name without dashes, value).

    A word without a dash after a flag without ``=`` is that flag's value: the components take no
    other arguments, so it can be nothing else.
    """
    found: list[tuple[str, str]] = []
    rest = list(map(str, words))
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else "true"
        found.append((name.replace("_", "-"), value))
    return found


def of_container(container: dict) -> dict[str, str]:
    """The flags of a component's container; of one that is given twice, the last."""
    return dict(parse(_words_after_program(container)))


def with_flag(container: dict, name: str, value: str) -> None:
    """Sets ``--name=value`` in ``container`` (which is changed), in the place of what was there.

    Raises SelfhostError if the component is started in a way that can't be seen through (a shell).
    """
    key, start = _flags_place(container)
    words = container[key]
    kept, place = _without(words[start:], name)
    kept.insert(len(kept) if place is None else place, f"--{name}={value}")
    container[key] = [*words[:start], *kept]


def without_flag(container: dict, name: str) -> bool:
    """Takes ``--name`` off ``container`` (which is changed), wherever it is; False if it isn't there.

    Raises as ``with_flag`` does.
    """
    key, start = _program(container)
    found = False
    for words_key, first in ((key, start), ("args", 0)):
        words = container.get(words_key) or []
        if words_key == key and first != start:
            continue
        kept, place = _without(words[first:], name)
        if place is not None:
            container[words_key] = [*words[:first], *kept]
            found = True
    return found


def _flags_place(container: dict) -> tuple[str, int]:
    """Where a flag is added: after the command's own words, for the last one wins."""
    key, start = _program(container)
    return ("args", 0) if key == "command" and container.get("args") else (key, start)


def _without(words: list[str], name: str) -> tuple[list[str], int | None]:
    """``words`` without the flag ``name``, and where it stood first (None: nowhere)."""
    kept: list[str] = []
    place = None
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not _is_flag(word, name):
            kept.append(word)
            continue
        place = len(kept) if place is None else place
        if "=" not in word and rest and not rest[0].startswith("-"):
            rest.pop(0)
    return kept, place


def _is_flag(word: str, name: str) -> bool:
    return word.startswith("--") and word[2:].partition("=")[0].replace("_", "-") == name


def _words_after_program(container: dict) -> list[str]:
    try:
        key, start = _program(container)
    except SelfhostError:
        return []
    words = container[key][start:]
    return words if key == "args" else [*words, *(container.get("args") or [])]


def _program(container: dict) -> tuple[str, int]:
    """Where the flags are: in ``command`` or ``args``, and from which word on.

    The program may come after another that starts it (``/go-runner --log-file=… kube-apiserver``).
    """
    names = {component.name for component in COMPONENTS}
    for key in ("command", "args"):
        for index, word in enumerate(container.get(key) or []):
            if str(word).rpartition("/")[2] in names:
                return key, index + 1
    if container.get("args") and not container.get("command"):
        return "args", 0  # the image's entrypoint is the program
    command = " ".join(str(word) for word in container.get("command") or [])
    raise SelfhostError(
        f"The container {container.get('name')} is not started as kubeadm starts it: its command "
        f"doesn't name the program ({command[:60]}).",
        "Write the program and its flags in the manifest as kubeadm does, without a shell.",
    )

"""The differences in meaning between two pods, in words for people.

The kubelet and the API server define the meaning: a default and the same written value are equal, the
order of volumes, ports and flags has no meaning, ``--v 2`` is ``--v=2``, ``0.5`` CPU is ``500m``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubectl_selfhost.controlplane.pod import flags, profiles
from kubectl_selfhost.controlplane.pod.defaults import with_defaults
from kubectl_selfhost.controlplane.pod.staticpod import from_mirror_pod
from kubectl_selfhost.controlplane.values.resources import quantity

#: The value of an environment variable may be a password (for example of a proxy): never show it.
HIDDEN = "(not shown)"
_LONGEST = 160

#: The field that identifies the entries of a list whose order has no meaning …
_KEYS: dict[str, Callable[[dict], str]] = {
    "volumes": lambda one: one["name"],
    "volumeMounts": lambda one: one["mountPath"],
    "volumeDevices": lambda one: one["devicePath"],
    "imagePullSecrets": lambda one: one["name"],
    "ports": lambda one: f"{one['containerPort']}/{one.get('protocol', 'TCP')}",
    "tolerations": lambda one: json.dumps(one, sort_keys=True),
    "containers": lambda one: one["name"],
    "initContainers": lambda one: one["name"],
    "env": lambda one: one["name"],
}
#: … and the lists whose order has a meaning: an entry may refer to an earlier entry.
_ORDERED = frozenset(("containers", "initContainers", "env"))


#: Fields with an amount, which the API server rewrites (1.5Gi as 1536Mi).
_AMOUNT = re.compile(r"\.(?:requests|limits|overhead)\.|\.(?:sizeLimit|divisor)$")


@dataclass(frozen=True)
class Difference:
    """A difference between two pods; the value is None for a pod without this field."""

    path: str
    a: str | None
    b: str | None

    def __str__(self) -> str:
        if self.a is None:
            return f"{self.path} was added: {self.b}"
        if self.b is None:
            return f"{self.path} is missing (was {self.a})"
        return f"{self.path} is {self.b} instead of {self.a}"


def meaning(a: dict, b: dict) -> list[Difference]:
    """Return the differences in meaning of two static pods, each a manifest or a mirror pod."""
    return compare(*(with_defaults(_with_fields(from_mirror_pod(one))) for one in (a, b)))


def _with_fields(pod: dict) -> dict:
    profiles.as_fields(pod)
    return pod


def compare(a: dict, b: dict) -> list[Difference]:
    """Return the differences of two pods that have all defaults (``defaults.with_defaults``)."""
    return [
        difference
        for part in ("metadata", "spec")
        for difference in _compare(part, a.get(part, {}), b.get(part, {}))
    ]


def _compare(path: str, a: object, b: object) -> Iterator[Difference]:
    field = path.rpartition(".")[2]
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            yield from _compare(f"{path}.{key}", a.get(key), b.get(key))
    elif field in ("command", "args"):
        yield from _compare_words(path, _words(a), _words(b))
    elif isinstance(a, list) and isinstance(b, list):
        yield from _compare_lists(path, field, a, b)
    elif not _same(path, a, b):
        yield Difference(path, _shown(path, a), _shown(path, b))


def _compare_lists(path: str, field: str, a: list, b: list) -> Iterator[Difference]:
    key = _KEYS.get(field)
    if key is None:
        if a != b:
            yield Difference(path, _shown(path, a), _shown(path, b))
        return
    by_key_a, by_key_b = ({key(one): one for one in entries} for entries in (a, b))
    for name in sorted({*by_key_a, *by_key_b}):
        yield from _compare(f"{path}[{name}]", by_key_a.get(name), by_key_b.get(name))
    order_a = [name for name in by_key_a if name in by_key_b]
    order_b = [name for name in by_key_b if name in by_key_a]
    if field in _ORDERED and order_a != order_b:
        yield Difference(f"the order of {path}", ", ".join(order_a), ", ".join(order_b))


def _compare_words(path: str, a: list[str], b: list[str]) -> Iterator[Difference]:
    program_a, program_b = (_before_flags(words) for words in (a, b))
    if program_a != program_b:
        yield Difference(path, " ".join(program_a) or None, " ".join(program_b) or None)
    flags_a, flags_b = (_by_flag(words) for words in (a, b))
    for name in sorted({*flags_a, *flags_b}):
        if flags_a.get(name) != flags_b.get(name):
            yield Difference(f"{path} --{name}", flags_a.get(name), flags_b.get(name))


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _before_flags(words: list[str]) -> list[str]:
    first = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first]


def _by_flag(words: list[str]) -> dict[str, str]:
    """Return all values of each flag, in order, because some flags may be repeated."""
    values: dict[str, str] = {}
    for name, value in flags.parse(words):
        values[name] = f"{values[name]} and {value}" if name in values else value
    return values


def _same(path: str, a: object, b: object) -> bool:
    if a == b:
        return type(a) is type(b) or not (isinstance(a, bool) or isinstance(b, bool))
    if _AMOUNT.search(path) and a is not None and b is not None:
        try:
            return quantity(str(a)) == quantity(str(b))
        except ValueError:
            return False
    return False


def _shown(path: str, value: object) -> str | None:
    if value is None:
        return None
    if path.endswith("].value") and ".env[" in path:
        return HIDDEN
    text = value if isinstance(value, str) else json.dumps(_hide(value), sort_keys=True)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _hide(value: object) -> object:
    if isinstance(value, dict):
        is_variable = set(value) == {"name", "value"}
        return {
            key: HIDDEN if is_variable and key == "value" else _hide(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_hide(item) for item in value]
    return value

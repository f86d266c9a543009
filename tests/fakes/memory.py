"""Pure functions that a run asks the same again and again: each answer is worked out once.

What is decided in ``controlplane`` depends on nothing but the arguments (``make lint`` holds that), and
thousands of runs ask about the same few manifests.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from kubectl_selfhost.controlplane.pod import difference, staticpod
from kubectl_selfhost.plans.pivot import grouping

_dumps, _loads = json.dumps, json.loads
_answers: dict[str, bytes] = {}


def copied(thing: Any) -> Any:
    """Return a deep copy, several times as quickly as the module ``copy`` makes it."""
    return pickle.loads(frozen(thing))


class Told(bytes):
    """The content of an answer: ``json.loads`` reads it without a parser. ``one``: an object, and not
    a list of objects.
    """

    frozen: list[bytes]
    one: bool = False

    @classmethod
    def of(cls, frozen: list[bytes], *, one: bool = False) -> Told:
        made = cls()
        made.frozen, made.one = frozen, one
        return made

    def read(self) -> Any:
        items = [pickle.loads(each) for each in self.frozen]
        return items[0] if self.one else {"kind": "List", "metadata": {}, "items": items}


def frozen(thing: Any) -> bytes:
    return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)


def remembered(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``ask`` with a memory; each answer is a copy, for the one who asks may change it."""

    def answer(*words: Any, **more: Any) -> Any:
        key = ask.__qualname__ + _dumps([words, more], default=repr)
        if key not in _answers:
            _answers[key] = frozen(ask(*words, **more))
        return pickle.loads(_answers[key])

    return answer


#: A plan reads manifests again and again; the C library reads them quickest.
all_of = remembered(lambda text: list(yaml.load_all(text, yaml.CSafeLoader)) or [None])
from_mirror_pod = remembered(staticpod.from_mirror_pod)
build = remembered(grouping.build)


def _quickly(thing: Any, **more: Any) -> str:
    return _dumps(thing, **{**more, "indent": None})


def _read(text: str | bytes, **more: Any) -> Any:
    return text.read() if isinstance(text, Told) else _loads(text, **more)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the functions remembered until the test ends."""
    monkeypatch.setattr(staticpod, "from_mirror_pod", from_mirror_pod)
    monkeypatch.setattr(difference, "from_mirror_pod", from_mirror_pod)
    monkeypatch.setattr(grouping, "build", build)
    # Indented JSON is written in Python, any other in C.
    monkeypatch.setattr(json, "dumps", _quickly)
    monkeypatch.setattr(json, "loads", _read)
    monkeypatch.setattr(yaml, "safe_load", lambda text: all_of(text)[0])
    monkeypatch.setattr(yaml, "safe_load_all", lambda text: iter(all_of(text)))

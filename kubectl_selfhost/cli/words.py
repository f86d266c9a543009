"""From the words that kubectl's users write to the words that Typer reads.

kubectl takes its flags anywhere (``kubectl --context x get pods``). It takes -v with ``=``, with a
space, or directly before its number. From other tools people know a bare -v, or several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubectl_selfhost.cli.commands import VERBS

#: kubectl's flags that may stand before the verb; each takes a value.
BEFORE_VERB = (
    *("--kubeconfig", "--context", "--cluster", "--user"),
    *("--as", "--as-group", "--as-uid", "--request-timeout", "-v", "--v"),
)

#: What each bare v adds to the level: -v is klog's 4 (details), -vv 6 (requests), -vvv 8.
_FIRST, _EACH = 2, 2
_BARE = re.compile(r"-(v+)$")
_GLUED = re.compile(r"-v=?(\d+)$")


def spelled_out(words: Sequence[str]) -> list[str]:
    """Return ``words`` with the verb first, as one word, and every -v as --v=LEVEL."""
    head, tail = _flags_before_verb(_levels(words))
    tail = joined(tail)
    return tail[:1] + head + tail[1:]


def joined(words: list[str]) -> list[str]:
    """Return ``words``, of which a verb of two words is one."""
    two = " ".join(words[:2])
    return [two, *words[2:]] if two in VERBS else words


def verbosity(words: Sequence[str]) -> int:
    """Return the log level in ``words``, even if the words are wrong otherwise."""
    levels = [word.partition("=")[2] for word in _levels(words) if word.startswith("--v=")]
    return int(levels[-1]) if levels and levels[-1].isdecimal() else 0


def _levels(words: Sequence[str]) -> list[str]:
    result: list[str] = []
    bare = 0
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*result, word, *rest]
        if word in ("-v", "--v") and rest and rest[0].isdecimal():
            result.append(f"--v={rest.pop(0)}")
        elif found := _BARE.match(word):
            bare += len(found[1])
            result.append(f"--v={_FIRST + _EACH * bare}")
        elif found := _GLUED.match(word):
            result.append(f"--v={found[1]}")
        else:
            result.append(word)
    return result


def _flags_before_verb(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the leading kubectl flags with their values, and the words after them."""
    end = 0
    while end < len(words) and words[end].partition("=")[0] in BEFORE_VERB:
        end += 1 if "=" in words[end] else 2
    return words[:end], words[end:]

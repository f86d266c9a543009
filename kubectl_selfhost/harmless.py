"""Text that a stranger may have written, made fit for a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def harmless(text: str) -> str:
    """Return ``text`` without anything that steers a terminal: ESC is shown as ``^[``, as kubectl does.

    Line feeds and tabs stay. Characters that turn the direction of writing or can't be seen are shown
    by their number, since they can make a line read otherwise than it is (kubernetes/kubernetes issue
    101695 for the escapes).
    """
    return _CONTROL.sub(_caret, text)


def _caret(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return "^" + chr(code + 0x40)
    return "^?" if code == 0x7F else f"<U+{code:04X}>"

"""Makes text from a stranger safe for a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def harmless(text: str) -> str:
    """Return ``text`` without characters that control a terminal: ESC becomes ``^[``, as in kubectl.

    Line feeds and tabs stay. Invisible characters, and characters that change the direction of
    writing, become their number: they can make a line look different from what it says. (For the
    escapes see kubernetes/kubernetes issue 101695.)
    """
    return _CONTROL.sub(_caret, text)


def _caret(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return "^" + chr(code + 0x40)
    return "^?" if code == 0x7F else f"<U+{code:04X}>"

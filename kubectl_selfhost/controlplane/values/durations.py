"""Durations in the flags of a component, as Go's ``time.ParseDuration`` reads them."""

from __future__ import annotations

import re
from decimal import Decimal

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\N{MICRO SIGN}s": 10**3,
    "\N{GREEK SMALL LETTER MU}s": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_UNIT = "|".join(sorted(_NANOSECONDS, key=len, reverse=True))
_PART = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({_UNIT})")
_WHOLE = re.compile(rf"([-+]?)((?:(?:{_PART.pattern}))+|0)")
#: A Go duration is a signed 64-bit count of nanoseconds.
_LIMIT = 2**63


def seconds(text: str) -> float | None:
    """Return the duration ``text`` ("1m30s", "1h", ".5s") in seconds; None if Go refuses the text."""
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return None
    parts = _PART.findall(whole[2])
    total = sum(int(Decimal(number) * _NANOSECONDS[unit]) for number, unit in parts)
    negative = whole[1] == "-"
    if total >= _LIMIT and not (negative and total == _LIMIT):
        return None
    return (-total if negative else total) / 10**9

"""Text for people: harmless, with colours on request, and with times as kubectl writes them."""

from __future__ import annotations

import os
import re
import textwrap
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TextIO

from kubectl_selfhost.harmless import harmless

WIDTH = 80
#: Columns of a reason on one line.
_BRIEF = 240

_BLANK = str.maketrans("\n\r\t", "   ")
_COLOURS = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}


def clean(value: object) -> str:
    """Return ``value`` on one line, without characters that control a terminal (``harmless``)."""
    return harmless(str(value).translate(_BLANK))


def brief(value: object) -> str:
    """Return ``value`` clean, and shortened to what a person reads on one line: a pod's last output,
    or an answer of the API, may be pages.
    """
    return cut(clean(value), _BRIEF)


def width(text: str) -> int:
    """Return how many columns of a terminal ``text`` needs; colours need none."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return sum(_columns(character) for character in plain)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Return ``text`` in at most ``columns`` columns; ``...`` replaces the rest."""
    if width(text) <= columns:
        return text
    kept, used = [], 0
    for character in text:
        used += _columns(character)
        if used > columns - 3:
            break
        kept.append(character)
    return ("".join(kept) + "...")[: max(0, columns)]


def wrap(text: str, *, first: str = "", rest: str | None = None, columns: int = WIDTH) -> list[str]:
    """Return ``text`` in lines of at most ``columns``. ``first`` begins the first line, ``rest`` the
    others.

    ``rest`` is unless given as many spaces as ``first`` is long. A word that is too long (a path, a
    command) stays whole: a person must be able to copy the word.
    """
    rest = " " * width(first) if rest is None else rest
    lines = textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]


def duration(seconds: float) -> str:
    """Return a length of time as kubectl shows an age: 12s, 5m12s, 3h4m, 2d5h, 40d, 2y13d.

    The rules are those of Kubernetes' HumanDuration (apimachinery/pkg/util/duration/duration.go).
    """
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    total = max(total, 0)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}" + (f"{small}{small_unit}" if small else "")


def seconds(value: float) -> str:
    """Return a measured length of time: 0.8s, 12.3s; from a certain length as an age."""
    return f"{value:.1f}s" if value < 120 else duration(value)


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago ``since`` was, ``<unknown>`` if it is None."""
    # This machine's clock may be a little behind the cluster's clock: the age must stay valid.
    return "<unknown>" if since is None else duration(max(-1.0, (now - since).total_seconds()))


def utc(moment: datetime) -> str:
    """Return a point in time for people, in UTC: 2026-11-24 06:35:52 UTC."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def left(end: datetime, now: datetime) -> str:
    """Return how long it is until ``end``: 364d, or ``expired``."""
    remaining = (end - now).total_seconds()
    return "expired" if remaining <= 0 else duration(remaining)


class Style:
    """Colours or no colours: ``Style.for_stream`` decides."""

    def __init__(self, *, colour: bool = False, unicode: bool = True) -> None:
        self.colour = colour
        self.unicode = unicode

    @classmethod
    def for_stream(cls, stream: TextIO, environ: Mapping[str, str] | None = None) -> Style:
        """Return colours on a terminal only, unless NO_COLOR is set or TERM is dumb.

        The stream's encoding decides whether signs beyond ASCII can be written.
        """
        environ = os.environ if environ is None else environ
        wanted = "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
        encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
        return cls(colour=wanted and is_terminal(stream), unicode=encoding.startswith("utf"))

    def paint(self, text: str, colour: str) -> str:
        """Return ``text`` in green, yellow, red, dim or bold; unchanged without colours."""
        if not self.colour or not text:
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def sign(self, result: str) -> str:
        """Return the coloured sign for ok, warning, failed or skipped: √ ‼ × · (or ok, !!, xx, --)."""
        fine, plain, colour = _SIGNS[result]
        return self.paint(fine if self.unicode else plain, colour)


_SIGNS = {
    "ok": ("√", "ok", "green"),
    "warning": ("‼", "!!", "yellow"),
    "failed": ("×", "xx", "red"),
    "skipped": ("·", "--", "dim"),
}

PLAIN = Style()


def is_terminal(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal; False for a closed stream."""
    try:
        return stream.isatty()
    except ValueError:
        return False

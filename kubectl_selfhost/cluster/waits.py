"""A wait for something, with a time limit, and a reason to show meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kubectl_selfhost.errors import SelfhostError

T = TypeVar("T")


class Waiting(Exception):
    """The condition of a check does not hold yet. The text is the reason, shown during the wait."""


class TimedOut(SelfhostError):
    """The time limit of a wait for ``what`` passed. ``why`` is the last reason."""

    def __init__(self, what: str, why: str, seconds: float, hint: str = "") -> None:
        because = f": {why}" if why else ""
        super().__init__(f"Timed out after {seconds:.0f} s waiting for {what}{because}.", hint)
        self.what = what
        self.why = why
        self.seconds = seconds


def wait_until(
    check: Callable[[], T | None],
    *,
    what: str,
    timeout: float,
    every: float = 0.25,
    tell: Callable[[str], None] | None = None,
) -> T:
    """Call ``check()`` every ``every`` seconds until it returns a value; return the value.

    If ``check`` returns None or raises Waiting, the condition does not hold yet. The reason in
    Waiting goes to ``tell`` each time. ``check`` is called at least once, and once more when
    ``timeout`` seconds are over. Any other exception ends the wait. Raise TimedOut.
    """
    began = time.monotonic()
    deadline = began + timeout
    why = ""
    while True:
        last = time.monotonic() >= deadline
        try:
            value = check()
            if value is not None:
                return value
            why = why or ""
        except Waiting as reason:
            why = str(reason)
            if tell is not None:
                tell(why)
        if last:
            raise TimedOut(what, why, time.monotonic() - began)
        time.sleep(max(0.0, min(every, deadline - time.monotonic())))

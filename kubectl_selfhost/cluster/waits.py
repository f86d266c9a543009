"""A wait for something, with a time limit, and a reason to show meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kubectl_selfhost.errors import SelfhostError

T = TypeVar("T")


class Waiting(Exception):
    """The sign of a check that its condition does not hold yet, and why. Its text is shown while
    waiting.
    """


class TimedOut(SelfhostError):
    """The time limit passed. ``what`` was waited for, ``why`` is the last reason that it was
    missing.
    """

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
    """Return what ``check()`` returns once it isn't None; ask every ``every`` seconds for
    ``timeout``.

    ``check`` says "not yet" by None, or by raising Waiting with the reason, which goes to ``tell``
    each time: ``tell`` sees whether it changed. ``check`` is called once at least, and once more
    when the time is up. Any other exception passes through. Raise TimedOut.
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

"""Virtual time: it passes only while somebody sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kubectl_selfhost.engine import lease
from kubectl_selfhost.plans.rollout import plan as rollout

#: Seconds between two looks at what runs in the background, while somebody sleeps.
STEP = 0.5


class Clock:
    """A stand-in for time.monotonic and time.sleep. ``on_tick`` is called as time passes."""

    def __init__(self, start: float = 10_000.0) -> None:
        self.now = start
        self.on_tick: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        end = self.now + max(0.0, seconds)
        while self.now < end:
            self.advance(min(end, self.now + STEP))

    def advance(self, to: float) -> None:
        """Let time pass at once."""
        self.now = to
        self.on_tick()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this clock the time of everything that runs in this test."""
        monkeypatch.setattr(time, "monotonic", self.monotonic)
        monkeypatch.setattr(time, "sleep", self.sleep)
        monkeypatch.setattr(lease, "seconds_now", self.monotonic)
        # Two roll-outs at the same second would be the same revision.
        monkeypatch.setattr(rollout, "now", self.stamp)

    def stamp(self) -> str:
        """Return now, as a Lease's MicroTime: a later moment has a later text."""
        seconds = int(self.now)
        micro = int((self.now - seconds) * 1e6)
        return (
            f"2026-11-26T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micro:06}Z"
        )

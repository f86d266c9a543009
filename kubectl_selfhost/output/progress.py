"""The progress of a run, on stderr: stdout is for data.

On a terminal each step is one line, which is redrawn with the elapsed time and the reason of a
wait. In a pipe each event is a line, which is written at once.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from types import TracebackType
from typing import TextIO

from kubectl_selfhost.output.text import Style, brief, clean, cut, is_terminal, seconds, width

_REDRAW_EVERY = 0.1
_TELL_EVERY = 0.5
_BACK_AND_CLEAR = "\r\x1b[K"
_INDENT = " " * 8
_LEAST_ROOM = 8


class Progress:
    """The display of a run's events; it is an Observer (engine/runner.py).

    ``stream`` is stderr unless given. Use the display as a context manager: so the current line ends
    whatever happens.
    """

    def __init__(self, stream: TextIO | None = None, *, style: Style | None = None) -> None:
        self._stream = stream or sys.stderr
        self._style = style or Style.for_stream(self._stream)
        self._live = is_terminal(self._stream) and self._style_can_redraw()
        self._lock = threading.RLock()
        self._steps = 0
        self._step: _Step | None = None
        self._outside = ""  # the reason of a wait outside any step
        self._stop = threading.Event()
        self._drawer: threading.Thread | None = None

    @property
    def live(self) -> bool:
        """Return whether the display redraws a step's line; else it writes line after line."""
        return self._live

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop drawing; the drawn lines stay. A second call does nothing."""
        self._stop.set()
        if self._drawer is not None:
            self._drawer.join()
            self._drawer = None
        with self._lock:
            if self._live and self._step is not None:
                self._end_line(self._line(self._step))
            elif self._live and self._outside:
                self._write(_BACK_AND_CLEAR)
            self._step, self._outside = None, ""

    def run_started(self, plan_title: str, steps: int) -> None:
        """Show that a run of ``steps`` steps begins."""
        self._steps = steps
        self._say(self._style.paint(clean(plan_title), "bold"))

    def step_started(self, number: int, name: str, title: str) -> None:
        """Show that the step ``number`` (from 1) begins."""
        with self._lock:
            self._outside = ""
            step = self._step = _Step(number, clean(name), clean(title), time.monotonic())
            if self._live:
                self._start_drawing()
                self._redraw()
            else:
                self._write(f"{self._head(step)}: {step.title}\n")

    def step_waiting(self, why: str) -> None:
        """Show what the step (or the run, outside of steps) waits for. The caller may repeat a
        text.
        """
        why = brief(why)
        with self._lock:
            if self._step is None:
                self._wait_outside(why)
            elif self._live:
                self._step.why = why
                self._redraw()
            elif self._step.is_news(why):
                elapsed = seconds(self._step.elapsed)
                self._write(f"{self._head(self._step)}: ... {why} ({elapsed})\n")

    def step_done(self, seconds: float, outcome: str) -> None:
        """Show that the step succeeded after ``seconds``; ``outcome`` is "done" or "already done"."""
        self._end(seconds, clean(outcome), "ok")

    def step_failed(self, seconds: float, message: str) -> None:
        """Show that the step failed after ``seconds``."""
        self._end(seconds, "failed", "failed")
        self._say(self._style.paint(f"{_INDENT}{clean(message)}", "red"))

    def note(self, text: str) -> None:
        """Show a sentence on a line of its own."""
        self._say(f"{_INDENT}{brief(text)}")

    def warning(self, text: str) -> None:
        """Show a warning, which does not end the run."""
        self._say(self._style.paint(f"Warning: {clean(text)}", "yellow"))

    def clear(self) -> None:
        """Remove the line that was drawn outside of steps, so that others can print."""
        with self._lock:
            if self._live and self._outside:
                self._write(_BACK_AND_CLEAR)
            self._outside = ""

    def _end(self, took: float, outcome: str, result: str) -> None:
        with self._lock:
            step, self._step = self._step, None
            if step is None:
                return
            how = outcome if outcome == "already done" else f"{outcome} in {seconds(took)}"
            if self._live:
                sign = self._style.sign(result)
                self._end_line(self._draw(step, sign, step.title, how))
            else:
                self._write(f"{self._head(step)}: {how}\n")

    def _wait_outside(self, why: str) -> None:
        if why == self._outside:
            return
        self._outside = why
        if self._live:
            self._write(_BACK_AND_CLEAR + cut(why, self._columns() - 1))
        else:
            self._write(f"{why}\n")

    def _say(self, line: str) -> None:
        """Write a whole line, above the line that is being drawn."""
        with self._lock:
            self._write((_BACK_AND_CLEAR if self._live else "") + line + "\n")
            if self._live and self._step is not None:
                self._redraw()
            if self._live:
                self._outside = (
                    ""  # on a terminal the new line replaces it; in a pipe one line is enough
                )

    def _start_drawing(self) -> None:
        if self._drawer is None:
            self._stop.clear()
            self._drawer = threading.Thread(target=self._keep_drawing, daemon=True)
            self._drawer.start()

    def _keep_drawing(self) -> None:
        while not self._stop.wait(_REDRAW_EVERY):
            with self._lock:
                if self._step is not None:
                    self._redraw()

    def _redraw(self) -> None:
        assert self._step is not None
        self._write(_BACK_AND_CLEAR + self._line(self._step))

    def _line(self, step: _Step) -> str:
        text = f"{step.name}: {step.why}" if step.why else step.title
        return self._draw(step, "", text, seconds(step.elapsed))

    def _draw(self, step: _Step, sign: str, text: str, right: str) -> str:
        """Return the line of a step: number, sign, ``text`` (shortened to fit), and all of ``right``."""
        head = f"{self._count(step)} {sign or ' '} "
        room = self._columns() - 1 - width(head) - 2 - width(right)
        if room < _LEAST_ROOM:
            return cut(f"{self._count(step)} {right}", self._columns() - 1)
        return f"{head}{cut(text, room)}  {right}"

    def _end_line(self, line: str) -> None:
        self._write(_BACK_AND_CLEAR + line + "\n")

    def _head(self, step: _Step) -> str:
        return f"{self._count(step)} {step.name}"

    def _count(self, step: _Step) -> str:
        digits = len(str(self._steps))
        return f"[{step.number:>{digits}}/{self._steps}]"

    def _columns(self) -> int:
        return max(20, shutil.get_terminal_size((80, 24)).columns)

    def _write(self, text: str) -> None:
        """Write ``text`` and never fail: a broken output must not stop a hand-over half-way."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            self._stream.write(text.encode("ascii", "replace").decode())
            self._stream.flush()
        except (OSError, ValueError):
            pass

    @staticmethod
    def _style_can_redraw() -> bool:
        import os

        return os.environ.get("TERM", "") not in ("", "dumb")


class _Step:
    """The current step, and the last text that was shown for this step."""

    def __init__(self, number: int, name: str, title: str, began: float) -> None:
        self.number = number
        self.name = name
        self.title = title
        self.began = began
        self.why = ""
        self._told = ""
        self._told_at = float("-inf")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def is_news(self, why: str) -> bool:
        """Return whether a log should get this text: it is new, and the last text is not too recent.

        A text that is skipped now comes again, because a wait repeats its reason.
        """
        if why == self._told or time.monotonic() - self._told_at < _TELL_EVERY:
            return False
        self._told, self._told_at = why, time.monotonic()
        return True

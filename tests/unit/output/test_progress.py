from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubectl_selfhost.output.progress import Progress
from kubectl_selfhost.output.text import width

LONG = "the self-hosted kube-controller-manager waits until the lease of the static one has run out"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def pipe() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def run(stream: io.StringIO, *whys: str, fail: str = "", pause: float = 0.0) -> str:
    with Progress(stream) as progress:
        progress.run_started("Pivot node demo", 14)
        progress.step_started(3, "hand-over/kube-apiserver", "Hand kube-apiserver over")
        for why in whys:
            progress.step_waiting(why)
            time.sleep(pause)
        if fail:
            progress.step_failed(1.94, fail)
        else:
            progress.step_done(1.94, "done")
    return stream.getvalue()


def screen(text: str) -> list[str]:
    """Return what is left on a terminal's screen: to go back and clear begins the line anew."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [line.rpartition("\r\x1b[K")[2] for line in plain.split("\n")]


def test_in_a_pipe_each_event_is_a_line(pipe: io.StringIO):
    assert run(pipe, "Init:0/1").splitlines() == [
        "Pivot node demo",
        "[ 3/14] hand-over/kube-apiserver: Hand kube-apiserver over",
        "[ 3/14] hand-over/kube-apiserver: ... Init:0/1 (0.0s)",
        "[ 3/14] hand-over/kube-apiserver: done in 1.9s",
    ]


def test_in_a_pipe_a_reason_is_told_once(pipe: io.StringIO):
    assert run(pipe, *["Init:0/1"] * 50).count("Init:0/1") == 1


def test_in_a_pipe_reasons_that_flicker_do_not_flood(pipe: io.StringIO):
    assert run(pipe, *["a reason", "another"] * 50).count("...") == 1


def test_in_a_pipe_a_reason_that_was_held_back_is_told_later(pipe: io.StringIO):
    text = run(pipe, "first", *["second"] * 8, pause=0.1)
    assert text.count("second") == 1


def test_in_a_pipe_there_is_no_escape(pipe: io.StringIO):
    text = run(pipe, "\x1b[2J", fail="\x1b]0;owned\x07")
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_failure_says_why(pipe: io.StringIO):
    assert run(pipe, fail="The image can't be pulled.").splitlines()[-2:] == [
        "[ 3/14] hand-over/kube-apiserver: failed in 1.9s",
        "        The image can't be pulled.",
    ]


def test_what_was_done_already_takes_no_time(pipe: io.StringIO):
    progress = Progress(pipe)
    progress.step_started(1, "label/demo", "Label it")
    progress.step_done(0.01, "already done")
    assert pipe.getvalue().endswith("label/demo: already done\n")


def test_notes_and_warnings_are_lines(pipe: io.StringIO):
    progress = Progress(pipe)
    progress.note("The API server is away.")
    progress.warning("could not undo label/demo")
    assert pipe.getvalue().splitlines() == [
        "        The API server is away.",
        "Warning: could not undo label/demo",
    ]


def test_waiting_before_any_step_is_told_once(pipe: io.StringIO):
    progress = Progress(pipe)
    for _ in range(5):
        progress.step_waiting("the static pods are not Ready yet")
    assert pipe.getvalue() == "the static pods are not Ready yet\n"


def test_waiting_outside_a_step_is_not_told_again_after_a_note(pipe: io.StringIO):
    progress = Progress(pipe)
    progress.step_waiting("a pod is being deleted")
    progress.note("The API server is away.")
    progress.step_waiting("a pod is being deleted")
    assert pipe.getvalue().count("being deleted") == 1


def test_on_a_terminal_a_step_leaves_one_line(terminal: Terminal):
    lines = screen(run(terminal, "Init:0/1", "PodInitializing"))
    assert lines == [
        "Pivot node demo",
        "[ 3/14] √ Hand kube-apiserver over  done in 1.9s",
        "",
    ]


def test_on_a_terminal_the_reason_is_shown_meanwhile(terminal: Terminal):
    # The clock is the machine's, which may be busy.
    assert re.search(r"hand-over/kube-apiserver: Init:0/1  \d\.\ds", run(terminal, "Init:0/1"))


def test_on_a_terminal_time_goes_on_by_itself(terminal: Terminal):
    assert re.search(r"Init:0/1  0\.[2-9]s", run(terminal, "Init:0/1", pause=0.35))


@pytest.mark.parametrize("columns", ["80", "40", "20"])
def test_on_a_terminal_no_line_is_wider_than_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: str
):
    monkeypatch.setenv("COLUMNS", columns)
    drawn = run(terminal, LONG, "節點" * 60).split("\r\x1b[K")
    steps = [line.strip("\n") for line in drawn if "[ 3/14]" in line]
    assert len(steps) >= 4
    assert max(map(width, steps)) < int(columns)


def test_on_a_terminal_a_note_stands_above_the_step(terminal: Terminal):
    with Progress(terminal) as progress:
        progress.run_started("Pivot", 1)
        progress.step_started(1, "one", "The first")
        progress.note("The API server is away.")
        progress.step_done(1.0, "done")
    assert screen(terminal.getvalue()) == [
        "Pivot",
        "        The API server is away.",
        "[1/1] √ The first  done in 1.0s",
        "",
    ]


def test_what_is_waited_for_outside_a_step_is_wiped_away(terminal: Terminal):
    progress = Progress(terminal)
    progress.step_waiting("the static pods are not Ready yet")
    progress.clear()
    terminal.write("next")
    assert screen(terminal.getvalue()) == ["next"]


def test_an_interruption_ends_the_line(terminal: Terminal):
    def interrupted() -> None:
        with Progress(terminal) as progress:
            progress.step_started(1, "one", "The first")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.getvalue().endswith("\n")


def test_a_dumb_terminal_gets_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in run(terminal, "Init:0/1")


def test_no_color_is_honoured_while_drawing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert re.search(r"\x1b\[[0-9;]*m", run(terminal, "Init:0/1")) is None


def test_a_log_that_cannot_be_written_stops_nothing(pipe: io.StringIO):
    progress = Progress(pipe)
    pipe.close()
    progress.note("The API server is away.")
    progress.step_started(1, "one", "The first")
    progress.step_done(1.0, "done")


PROGRAM = """
import sys, time
from kubectl_selfhost.output.progress import Progress
with Progress() as progress:
    progress.run_started("Pivot", 1)
    progress.step_started(1, "one", "The first")
    time.sleep(float(sys.argv[1]))
    progress.step_done(1.0, "done")
"""


def environment(**more: str) -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": root, **more}


def test_a_line_comes_out_at_once_and_on_stderr():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    try:
        assert process.stderr.readline() == b"Pivot\n"
        assert process.stderr.readline() == b"[1/1] one: The first\n"
    finally:
        process.kill()
        out, _ = process.communicate()
    assert out == b""


def test_on_a_real_terminal_it_draws():
    master, slave = pty.openpty()
    env = environment(TERM="xterm", COLUMNS="80")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, "0.3"], stderr=slave, stdin=slave, env=env, check=True
    )
    os.close(slave)
    text = os.read(master, 65536).decode()
    os.close(master)
    assert text.count("\x1b[K") >= 3


def test_a_signs_encoding_that_lacks_them_breaks_nothing():
    master, slave = pty.openpty()
    env = environment(TERM="xterm", PYTHONIOENCODING="latin-1", COLUMNS="80")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, "0"], stderr=slave, stdin=slave, env=env, check=True
    )
    os.close(slave)
    text = os.read(master, 65536).decode("latin-1")
    os.close(master)
    assert "ok" in text

"""Other programs run by the bed: announced in plain lines, output in a log, a failure in words."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT = 30.0  # seconds between two signs of life of a long step

_running: set[subprocess.Popen[bytes]] = set()


class BedError(Exception):
    """The bed can't do what was asked; the message says what to do about it."""


def say(text: str) -> None:
    """Tell the person what goes on; stdout stays free for data."""
    print(f"bed: {text}", file=sys.stderr, flush=True)


@contextmanager
def told(what: str, expect: str = "") -> Iterator[None]:
    """Print what begins and how long it may take, and afterwards how long it took."""
    say(f"{what}{f' (about {expect})' if expect else ''} ...")
    began = time.monotonic()
    yield
    say(f"{what}: done in {duration(time.monotonic() - began)}")


def duration(seconds: float) -> str:
    """Return ``seconds`` as people write them: 7s, 2m05s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def run(
    argv: Sequence[str | Path],
    *,
    log: Path,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run ``argv`` with its output appended to ``log``; raise BedError with the log's end."""
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as out:
        child = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _running.add(child)
        try:
            while True:
                try:
                    status = child.wait(timeout=HEARTBEAT)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  still at it: {what}, {duration(time.monotonic() - began)}")
        except BaseException:
            child.terminate()
            child.wait()
            raise
        finally:
            _running.discard(child)
    if status:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise BedError(f"{what} failed ({argv[0]} ended with {status}); the end of {log}:\n{end}")


def stop_all() -> None:
    """End the programs that ``run`` started in other threads; these threads see them fail."""
    for child in list(_running):
        child.terminate()


def output(
    argv: Sequence[str | Path],
    *,
    timeout: float = 120.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Return what ``argv`` prints on stdout; raise BedError with its stderr."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=None if env is None else dict(env),
            cwd=cwd,
        )
    except FileNotFoundError:
        raise BedError(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise BedError(f"{' '.join(words)} did not end within {timeout:.0f} s") from None
    if done.returncode:
        raise BedError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, timeout: float = 20.0) -> bool:
    """Return whether ``argv`` ends with 0 within ``timeout`` seconds."""
    try:
        output(argv, timeout=timeout)
    except BedError:
        return False
    return True

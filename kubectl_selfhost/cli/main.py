"""From the words of a command line to a verb, and from the end of the verb to an exit status.

The exit status is 0 for success and 1 for failure, as in kubectl (Typer's own for a wrong command
line is 2). A person gets a sentence. A traceback appears only with -v=6.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from typer.exceptions import Abort, Exit, TyperException

from kubectl_selfhost.cli import words as spelling
from kubectl_selfhost.cli.commands import (
    GROUPS,
    PROGRAM,
    VERBS,
    overview,
    overview_of,
    version,
)
from kubectl_selfhost.cli.options import command
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.harmless import harmless

DONE, FAILED = 0, 1
TRACEBACKS_FROM = 6


class UsageError(SelfhostError):
    """The command line is wrong. Nothing has started."""

    def __init__(self, message: str, command: str = PROGRAM, hint: str = "") -> None:
        super().__init__(message, f"{hint}See '{command} --help' for usage.")


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end. The program then ends as after Ctrl-C."""


def run(words: Sequence[str]) -> int:
    """Do what ``words`` say (what follows ``kubectl selfhost``); return the exit status."""
    _set_up_streams()
    _listen_to_signals()
    try:
        status = _dispatch(spelling.spelled_out(words))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader of stdout is gone (| head). Without this line Python reports that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except BaseException as error:
        return _tell(error, spelling.verbosity(words))


def print_version() -> None:
    """Print the version."""
    sys.stdout.write(version())


def _dispatch(words: list[str]) -> int:
    verb, rest = (words[0], words[1:]) if words else ("--help", [])
    if verb == "help" and rest:
        (meant, *_) = spelling.joined(rest)
        if meant in (*VERBS, *GROUPS):
            verb, rest = meant, ["--help"]
    if verb in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return DONE
    if verb == "--version":
        print_version()
        return DONE
    if verb == "__complete":
        from kubectl_selfhost.cli.completion import suggest

        return suggest(rest)
    if verb in GROUPS and rest[:1] in ([], ["-h"], ["--help"]):
        sys.stdout.write(overview_of(verb))
        return DONE
    if verb not in VERBS:
        raise _unknown(verb)
    return _invoke(verb, rest)


def _invoke(verb: str, words: list[str]) -> int:
    made = command(verb)
    try:
        with made.make_context(f"{PROGRAM} {verb}", words) as context:
            made.invoke(context)
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        raise UsageError(_kubectls_words(error), f"{PROGRAM} {verb}") from error
    return DONE


def _kubectls_words(error: TyperException) -> str:
    """Return Typer's error message in kubectl's words."""
    text = error.format_message()
    bad_value = re.match(r"Invalid value for (.+?): (.*)", text, re.DOTALL)
    if bad_value:
        names = [name for name in re.findall(r"--?[\w-]+", bad_value[1]) if name != "-"]
        return f"invalid value for {max(names, key=len, default=bad_value[1])}: {bad_value[2]}"
    text = re.sub(r"^No such option: (\S+)", r"unknown flag: \1", text)
    text = re.sub(r"^Option '(\S+)' requires an argument\.", r"flag needs an argument: \1", text)
    return text[:1].lower() + text[1:]


def _unknown(verb: str) -> UsageError:
    from difflib import get_close_matches

    if verb.startswith("-"):
        return UsageError(f"unknown flag: {verb}")
    near = get_close_matches(verb, VERBS)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f'unknown command "{verb}" for "{PROGRAM}"', hint=hint)


def _tell(error: BaseException, verbosity: int) -> int:
    """Write the error on stderr; return the exit status."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if verbosity >= TRACEBACKS_FROM and not isinstance(error, (KeyboardInterrupt, UsageError)):
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
    message, hint = _sentence(error)
    lines = [f"error: {message}"] + ([f"hint: {hint}"] if hint else [])
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(harmless("".join(f"{line}\n" for line in lines)))
    return FAILED


def _sentence(error: BaseException) -> tuple[str, str]:
    if isinstance(error, SelfhostError):
        return error.message, error.hint
    if isinstance(error, Stopped):
        return f"stopped by {error}", ""
    if isinstance(error, (KeyboardInterrupt, Abort)):
        return "interrupted", ""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return (
        f"unexpected error: {what}",
        "This is a bug in kubectl-selfhost. Report the bug with the output of the same command and -v=6.",
    )


def _set_up_streams() -> None:
    """Write a question mark for a character that the terminal lacks: an encoding error would stop a
    run half-way.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _listen_to_signals() -> None:
    """Make SIGTERM and a closed terminal end the program as Ctrl-C does. Keep what nohup has set."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)

from __future__ import annotations

import io
from datetime import timedelta

import apiobjects as api
import pytest

from kubectl_selfhost.output.text import Style, age, clean, cut, duration, seconds, width, wrap


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "^[[31mred"),
        ("a\x00b\x7f", "a^@b^?"),
        ("two\nlines\tand\rmore", "two lines and more"),
        ("\x9b2J", "<U+009B>2J"),
        ("\u202egnp.exe", "<U+202E>gnp.exe"),
        ("zero\u200bwidth", "zero<U+200B>width"),
        ("grün 節點", "grün 節點"),
    ],
)
def test_text_is_made_harmless(text: str, shown: str):
    assert clean(text) == shown


# What `kubectl get` prints for such ages, from apimachinery's own tests.
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60 + 59, "179m"),
        (180 * 60, "3h"),
        (181 * 60, "3h1m"),
        (7 * 3600 + 59 * 60, "7h59m"),
        (8 * 3600 + 59 * 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (731 * 86400, "2y1d"),
        (8 * 365 * 86400 + 86400, "8y"),
    ],
)
def test_durations_are_kubectls(value: float, shown: str):
    assert duration(value) == shown


def test_a_measured_time_has_a_tenth():
    assert (seconds(1.94), seconds(61.0), seconds(312)) == ("1.9s", "61.0s", "5m12s")


def test_an_age_without_a_beginning_is_unknown():
    assert age(None, api.NOW) == "<unknown>"


def test_a_clock_that_is_behind_makes_no_age_invalid():
    assert age(api.NOW + timedelta(seconds=30), api.NOW) == "0s"


def test_wide_characters_take_two_columns():
    assert width("節點") == 4


def test_colours_take_no_columns():
    assert width("\x1b[31mred\x1b[0m") == 3


def test_a_cut_is_marked_and_fits():
    assert cut("kube-apiserver serves", 10) == "kube-ap..."


def test_a_cut_of_wide_characters_fits():
    assert width(cut("節點節點節點", 8)) <= 8


def test_what_fits_is_not_cut():
    assert cut("kube-apiserver", 14) == "kube-apiserver"


def test_a_long_word_is_not_broken():
    path = "/etc/kubernetes/" + "x" * 90
    assert wrap(f"see {path} there")[1] == path


def test_continuations_are_indented():
    assert wrap("a b " * 30, first="  - ")[1].startswith("    a")


def test_colour_on_a_terminal():
    assert Style.for_stream(Terminal(), {"TERM": "xterm"}).colour


@pytest.mark.parametrize(
    "environ", [{"NO_COLOR": "1", "TERM": "xterm"}, {"NO_COLOR": ""}, {"TERM": "dumb"}]
)
def test_no_colour_where_it_is_unwanted(environ: dict[str, str]):
    assert not Style.for_stream(Terminal(), environ).colour


def test_no_colour_in_a_pipe():
    assert not Style.for_stream(io.StringIO(), {"TERM": "xterm"}).colour


def test_a_stream_that_is_closed_is_no_terminal():
    stream = io.StringIO()
    stream.close()
    assert not Style.for_stream(stream, {}).colour


def test_signs_are_ascii_where_the_encoding_is_not_utf_8():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert Style.for_stream(stream, {}).sign("failed") == "xx"

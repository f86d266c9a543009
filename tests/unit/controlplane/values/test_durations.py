import pytest

from kubectl_selfhost.controlplane.values import durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("26s", 26),
        ("1m30s", 90),
        ("1h", 3600),
        ("1h15m30.5s", 4530.5),
        ("500ms", 0.5),
        (".5s", 0.5),
        ("1.s", 1),
        ("2us", 2e-6),
        ("2µs", 2e-6),
        ("2μs", 2e-6),
        ("3ns", 3e-9),
        ("-1.5h", -5400),
        ("1s1s", 2),
        ("0.9ns", 0),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_reads_what_go_reads(text, expected):
    assert durations.seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["", "3", "-", "s", ".s", "1.5.5s", "1d", "1 s", " 1s", "1s ", "1S", "1e3s", "٣s", "9999999h"],
)
def test_refuses_what_go_refuses(text):
    assert durations.seconds(text) is None

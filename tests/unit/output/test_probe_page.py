"""The page of a probe, whole. UPDATE_GOLDEN=1 writes the pages anew; look at what has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from kubectl_selfhost.output.document import as_json, as_yaml
from kubectl_selfhost.output.probe import in_summary, milliseconds, page, timeline
from kubectl_selfhost.output.probe_document import document
from kubectl_selfhost.output.text import Style
from kubectl_selfhost.probe.from_a_pod import ReachReport, parse
from kubectl_selfhost.probe.sightings import (
    CONNECT,
    ENDPOINTS,
    OK,
    READ,
    READY,
    WATCH,
    WRITE,
    ProbeReport,
    Sample,
    WatchReport,
    summarise,
)

GOLDEN = Path(__file__).parent / "golden"
SERVER = "https://127.0.0.1:35781"
RATES = {CONNECT: 50, READ: 10, WRITE: 5, READY: 1, ENDPOINTS: 5}


def samples(seconds: float, *, away: tuple[float, float] = (0, 0)) -> list[Sample]:
    """Return every kind at its rate; refused between the two moments, slow for half a second after."""
    found = []
    for kind, rate in RATES.items():
        for number in range(int(seconds * rate)):
            at = number / rate
            took = 0.6 if away[1] <= at < away[1] + 0.5 and away[1] else 0.003 + number % 10 / 1e3
            refused = away[0] <= at < away[1]
            found.append(Sample(at, 0.001 if refused else took, "refused" if refused else OK, kind))
    return found


def quiet() -> ProbeReport:
    watch = WatchReport(events=148, lost=0, ended={}, longest_silence=0.23)
    return summarise(samples(30), started=1e9, seconds=30.0, watch=watch, endpoints_empty=0.0)


def outage(**more: object) -> ProbeReport:
    found = samples(60, away=(20.0, 22.0))
    found += [
        *(Sample(20.0, 0.0, "reset", WATCH), Sample(20.3, 0.0, "refused", WATCH)),
        *(Sample(19.9, 0.01, "retry-after", WRITE), Sample(22.0, 0.01, "http-403", CONNECT)),
    ]
    watch = WatchReport(events=288, lost=0, ended={"cleanly": 1, "reset": 1}, longest_silence=2.3)
    return summarise(found, started=1e9, seconds=60.0, watch=watch, endpoints_empty=1.5, **more)  # type: ignore[arg-type]


def pod() -> ReachReport:
    said = {
        "milliseconds": 60000,
        "requests": 3000,
        "longest_gap_ms": 3520,
        "latency_us": {"p50": 1400, "p90": 1900, "p99": 4000, "max": 31000},
        "failures": {"refused": 170},
        "runs": [[20040, 23520, "refused", 170]],
    }
    return parse(json.dumps(said))


PAGES = {
    "probe-quiet": lambda: page(SERVER, quiet()),
    "probe-outage": lambda: page(
        SERVER,
        outage(),
        pod(),
        remarks=["Skipped ready: you may not ask.", "Stopped early by Ctrl-C."],
    ),
    "probe-in-summary": lambda: in_summary(
        outage(marks=[(19.0, "kube-apiserver"), (25.0, "kube-scheduler"), (30.0, "after")]),
        drawn=True,
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_as_it_was(name: str):
    text = "\n".join(PAGES[name]()) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_the_page_fits_80_columns(name: str):
    assert [line for line in PAGES[name]() if len(line) > 80] == []


def test_colour_changes_no_column():
    plain, coloured = (
        page(SERVER, outage(), pod()),
        page(SERVER, outage(), pod(), style=Style(colour=True)),
    )
    assert coloured != plain
    for code in ("0", "1", "31", "32", "33"):
        coloured = [line.replace(f"\x1b[{code}m", "") for line in coloured]
    assert coloured == plain


def test_a_summary_in_a_pipe_has_no_time_line():
    assert not any("Timeline" in line for line in in_summary(outage(), drawn=False))


def test_a_summary_of_what_went_well_is_short():
    assert len(in_summary(quiet(), drawn=False)) == 1


@pytest.mark.parametrize(
    ("slots", "each"), [(60, "0.5s"), (140, "1s"), (1000, "10s"), (7200, "60s"), (10**6, "6944.5s")]
)
def test_a_long_time_line_fits_all_the_same(slots: int, each: str):
    lines = timeline(["fine"] * (slots - 1) + ["failed"])
    assert lines[0] == f"Timeline ({each} per sign):"
    assert len(lines[1]) <= 80
    assert lines[1].endswith("!")


def test_a_sign_is_the_worst_of_its_slots():
    worst = ["fine", "slow", "retry-after", "failed", "none"]
    slots = [
        slot for one in worst for slot in ("none", "fine" if one != "none" else one, one, "none")
    ]
    slots += ["none"] * (280 - len(slots))
    assert timeline(slots)[1].split() == ["here", ".~r!"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        (0.04, "0.0ms"),
        (2.34, "2.3ms"),
        (41.2, "41ms"),
        (999.4, "999ms"),
        (1310, "1.3s"),
    ],
)
def test_a_latency_is_told_with_two_digits(value: float | None, said: str):
    assert milliseconds(value) == said


def test_what_comes_from_a_cluster_is_harmless():
    lines = page("https://\x1b[2J", outage(), pod(), remarks=["\x1b[2J"])
    assert "\x1b" not in "\n".join(lines)


def test_what_a_pod_wrote_is_no_report_unless_it_is_one():
    from kubectl_selfhost.errors import SelfhostError

    for line in ("{}", "[]", "{", '{"milliseconds": "x"}', '{"error": "x", "code": "usage"}'):
        with pytest.raises(SelfhostError, match="could not be read"):
            parse(line)


def made(seen: ProbeReport, from_pod: ReachReport | None = None) -> dict:
    return document(
        seen, from_pod, context="kind-demo", server=SERVER, spotless=seen.spotless, remarks=["r"]
    )


def test_the_document_says_what_it_is():
    content = made(quiet())
    assert (content["apiVersion"], content["kind"]) == ("kubectl-selfhost/v1alpha1", "Probe")
    assert content["started"] == "2001-09-09T01:46:40.000Z"
    assert (content["seconds"], content["spotless"], content["inCluster"]) == (30.0, True, None)


def test_the_document_has_every_kind_and_the_time_line():
    content = made(outage(), pod())
    assert [kind["name"] for kind in content["kinds"]] == [*RATES, WATCH]
    connect = content["kinds"][0]
    assert (connect["requests"], connect["failed"]) == (3001, 101)
    assert connect["failures"] == {"refused": 100, "http-403": 1}
    assert set(connect["latency"]) == {"p50", "p90", "p99", "max"}
    assert content["total"]["retryAfter"] == 1
    assert content["slots"][39:46] == ["retry-after", *["failed"] * 5, "fine"]
    assert content["endpoints"] == {"empty": 1.5}
    assert content["inCluster"]["runs"] == [
        {"from": 20.04, "to": 23.52, "kind": "refused", "count": 170}
    ]
    assert content["inCluster"]["slots"].count("failed") == 8


def test_json_and_yaml_say_the_same():
    content = made(outage(), pod())
    assert json.loads(as_json(content)) == yaml.safe_load(as_yaml(content)) == content

"""From samples to a report: percentiles, gaps, sections, the time-line."""

from __future__ import annotations

import json

import pytest

from kubectl_selfhost.probe.sightings import (
    CONNECT,
    OK,
    READ,
    READY,
    WATCH,
    WRITE,
    ProbeReport,
    Sample,
    WatchReport,
    latency_of,
    summarise,
    timeline,
)


def report(*samples: tuple, seconds: float, **more: object) -> ProbeReport:
    made = [Sample(*sample) for sample in samples]
    return summarise(made, started=0.0, seconds=seconds, **more)  # type: ignore[arg-type]


def steady(kind: str = CONNECT, *, until: float, every: float = 0.1) -> list[tuple]:
    return [(number * every, 0.01, OK, kind) for number in range(round(until / every))]


def test_percentiles_are_of_the_nearest_rank_and_of_good_answers_alone():
    took = latency_of([Sample(0, n / 1000, OK) for n in range(1, 101)] + [Sample(0, 5, "timeout")])
    assert took is not None
    assert (took.p50, took.p90, took.p99, took.max) == pytest.approx((50, 90, 99, 100))


def test_one_answer_is_every_percentile():
    took = latency_of([Sample(0, 0.002, OK)])
    assert took is not None
    assert took.p50 == took.p99 == took.max == pytest.approx(2)


def test_without_a_good_answer_there_is_no_latency():
    assert latency_of([Sample(0, 1, "refused")]) is None


def test_the_gap_is_that_of_the_kind_that_had_the_longest():
    samples = [*steady(until=3), (0.0, 0.01, OK, WRITE), (2.0, 0.01, OK, WRITE)]
    seen = report(*samples, seconds=3.0)
    assert seen.longest_gap == pytest.approx(2.0)
    assert seen.kinds[CONNECT].longest_gap == pytest.approx(0.1)


def test_what_is_asked_rarely_does_not_make_the_gap():
    samples = [*steady(until=3), (0.0, 0.01, OK, READY), (0.0, 0.01, OK, WATCH)]
    seen = report(*samples, seconds=3.0)
    assert seen.longest_gap == pytest.approx(0.1, abs=0.001)
    assert seen.kinds[WATCH].longest_gap is None


def test_latency_in_all_is_that_of_new_connections():
    seen = report((0.0, 0.001, OK, READ), (0.0, 0.02, OK, CONNECT), seconds=1.0)
    assert seen.latency is not None
    assert seen.latency.max == pytest.approx(20)


def test_failures_of_all_kinds_are_added():
    seen = report((0, 0, "reset", READ), (0, 0, "reset", WRITE), (0, 0, "tls"), seconds=1.0)
    assert seen.failures == {"reset": 2, "tls": 1}


def test_without_marks_there_are_no_sections():
    assert report(*steady(until=1), seconds=1.0).sections == []


def test_a_sample_is_of_the_section_in_which_it_began():
    seen = report(
        *((0.5, 0.1, OK), (0.9, 5.0, "timeout"), (1.0, 0.1, OK), (2.5, 0.1, OK)),
        seconds=3.0,
        marks=[(1.0, "kube-apiserver"), (2.0, "after")],
    )
    assert [(s.name, s.total.requests, s.total.failed) for s in seen.sections] == [
        ("before", 2, 1),
        ("kube-apiserver", 1, 0),
        ("after", 1, 0),
    ]


def test_a_gap_over_a_mark_counts_with_its_part_in_each_section():
    seen = report(
        (0.0, 0.0, OK), (4.0, 0.0, OK), seconds=4.0, marks=[(1.0, "during"), (3.5, "after")]
    )
    assert [s.total.longest_gap for s in seen.sections] == pytest.approx([1.0, 2.5, 0.5])


def test_a_late_answer_after_the_end_makes_its_gap():
    assert report((0.0, 0.0, OK), (0.9, 2.0, OK), seconds=1.0).longest_gap == pytest.approx(2.9)


def test_a_slot_shows_the_worst_that_began_in_it():
    samples = [
        *((0.1, 0.1, OK), (0.6, 0.1, OK), (0.7, 0.9, OK), (1.2, 0.1, OK)),
        *((1.3, 0.1, "retry-after"), (2.1, 0.1, "retry-after"), (2.2, 0, "refused")),
    ]
    slots = timeline([Sample(*sample) for sample in samples], 2.5)
    assert slots == ["fine", "slow", "retry-after", "none", "failed"]


@pytest.mark.parametrize(
    ("more", "spotless"),
    [
        ({}, True),
        ({"watch": WatchReport(9, 0, {"cleanly": 2}, 0.3)}, True),
        ({"watch": WatchReport(9, 1, {}, 0.3)}, False),
        ({"watch": WatchReport(9, 0, {}, 0.3, unseen=1)}, False),
        ({"endpoints_empty": 0.0}, True),
        ({"endpoints_empty": 0.5}, False),
    ],
)
def test_spotless_is_what_no_client_could_notice(more: dict, spotless: bool):
    assert report(*steady(until=1), seconds=1.0, **more).spotless == spotless


def test_the_journals_facts_are_small_plain_data():
    seen = report(
        *steady(until=60),
        seconds=60.0,
        marks=[(1.0, "kube-apiserver")],
        watch=WatchReport(9, 0, {"cleanly": 1}, 0.3333333),
        endpoints_empty=0.123456,
    )
    facts = json.loads(json.dumps(seen.facts()))
    assert facts["requests"] == 600
    assert facts["latency_ms"]["p99"] == 10.0
    assert facts["watch"]["longest_silence"] == 0.333
    assert facts["endpoints_empty_seconds"] == 0.123
    assert len(json.dumps(facts)) < 2000

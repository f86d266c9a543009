from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kubectl_selfhost.output.probe import as_seen
from kubectl_selfhost.output.report import findings, summary
from kubectl_selfhost.output.text import Style


@dataclass
class Finding:
    check: str
    result: str
    finding: str
    cause: str = ""
    hint: str = ""


@dataclass
class Probe:
    requests: int = 420
    failures: dict[str, int] = field(default_factory=dict)
    longest_gap: float = 0.12
    started: float = 0.0
    ended: float = 60.0
    kinds: dict = field(default_factory=dict)
    sections: tuple = ()
    slots: tuple = ()
    watch: None = None
    endpoints_empty: None = None


FOUND = [
    Finding("Permissions", "ok", "you have all 31 permissions that a run needs"),
    Finding("ServerVersion", "warning", "the server is v1.40.0", "tested up to 1.37", "Upgrade."),
    Finding(
        "HeadRoom",
        "failed",
        "node demo has 100m CPU to spare, 250m are needed",
        "the second instance would not be placed",
        "Make room: `kubectl describe node demo` lists what is reserved and by which pods it is.",
    ),
]


def test_findings_are_said_with_cause_and_hint():
    assert findings(FOUND) == [
        "Pre-flight checks",
        "√ Permissions: you have all 31 permissions that a run needs",
        "‼ ServerVersion: the server is v1.40.0",
        "    Cause: tested up to 1.37",
        "    Hint:  Upgrade.",
        "× HeadRoom: node demo has 100m CPU to spare, 250m are needed",
        "    Cause: the second instance would not be placed",
        "    Hint:  Make room: `kubectl describe node demo` lists what is reserved and by",
        "           which pods it is.",
        "1 ok, 1 warning, 1 failed.",
    ]


def test_without_unicode_the_signs_are_letters():
    signs = [line[:2] for line in findings(FOUND, style=Style(unicode=False))[1:7]]
    assert signs == ["ok", "!!", "  ", "  ", "xx", "  "]


def test_colour_is_for_the_signs():
    line = findings(FOUND, style=Style(colour=True))[1]
    assert line.startswith("\x1b[32m√\x1b[0m Permissions")


def test_findings_are_harmless():
    bad = Finding("Admission", "failed", "\x1b[2J", "\x1b[2J", "\x1b[2J")
    assert "\x1b" not in "\n".join(findings([bad]))


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (Probe(), "420 requests, none failed; longest time without an answer 0.1s."),
        (
            Probe(failures={"refused": 12, "reset": 2}, longest_gap=1.38),
            "420 requests, 14 failed (12 refused, 2 reset); longest time without an answer 1.4s.",
        ),
        (
            Probe(failures={"retry-after": 3}),
            "420 requests, none failed, 3 answered with Retry-After; "
            "longest time without an answer 0.1s.",
        ),
        (Probe(requests=0), "not probed."),
    ],
)
def test_the_api_is_told_as_it_was_seen(probe: Probe, said: str):
    assert as_seen(probe) == said


SERVED = [
    ("kube-apiserver", "DaemonSet", "demo"),
    ("kube-controller-manager", "DaemonSet", "demo"),
]


def test_the_summary_says_who_serves_and_how_long_it_took():
    lines = summary(
        "The control plane of node demo is self-hosted.",
        served=SERVED,
        switched={("kube-apiserver", "demo"): 1.94},
        probe=Probe(failures={"refused": 14}, longest_gap=1.4),
        know=["`kubeadm upgrade` no longer changes it: run `kubectl selfhost upgrade`."],
        next_command="kubectl selfhost status",
    )
    assert lines == [
        "The control plane of node demo is self-hosted.",
        "",
        "COMPONENT                 SERVED BY   SWITCHED IN",
        "kube-apiserver            DaemonSet   1.9s",
        "kube-controller-manager   DaemonSet   -",
        "",
        "API probe: 420 requests, 14 failed (14 refused); longest time without an answer",
        "  1.4s.",
        "",
        "Good to know:",
        "  - `kubeadm upgrade` no longer changes it: run `kubectl selfhost upgrade`.",
        "",
        "Next: kubectl selfhost status",
    ]


def test_with_several_nodes_each_is_named():
    lines = summary("Done.", served=[*SERVED, ("kube-apiserver", "DaemonSet", "demo2")])
    assert lines[2].split() == ["COMPONENT", "SERVED", "BY", "NODE", "SWITCHED", "IN"]


def test_a_summary_of_nothing_is_its_headline():
    assert summary("Nothing to do.") == ["Nothing to do."]

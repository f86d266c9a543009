"""The defaults that the API server adds; removing them and adding them are each other's inverse."""

from __future__ import annotations

from copy import deepcopy

import pytest
from fakes.pods import for_any, static_pods

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.pod.defaults import (
    default_pull_policy,
    tidy,
    with_defaults,
    without_defaults,
)


@for_any(static_pods())
def test_what_is_taken_off_is_what_would_be_filled_in(pod: dict) -> None:
    assert with_defaults(without_defaults(pod)) == with_defaults(pod)


@for_any(static_pods())
def test_nothing_is_left_to_take_off(pod: dict) -> None:
    once = without_defaults(pod)
    assert without_defaults(once) == once


@for_any(static_pods())
def test_nothing_is_left_to_fill_in(pod: dict) -> None:
    once = with_defaults(pod)
    assert with_defaults(once) == once


@for_any(static_pods())
def test_what_was_given_is_not_changed(pod: dict) -> None:
    before = deepcopy(pod)
    without_defaults(pod)
    with_defaults(pod)
    assert pod == before


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("registry.k8s.io/kube-apiserver:v1.37.2", "IfNotPresent"),
        ("kube-apiserver", "Always"),
        ("kube-apiserver:latest", "Always"),
        ("localhost:5000/kube-apiserver", "Always"),
        ("localhost:5000/kube-apiserver:v1", "IfNotPresent"),
        ("kube-apiserver@sha256:00", "IfNotPresent"),
        ("kube-apiserver:latest@sha256:00", "Always"),
    ],
)
def test_pull_policy(image: str, policy: str) -> None:
    assert default_pull_policy(image) == policy


@pytest.mark.parametrize(
    "empty", [{"a": None}, {"env": []}, {"readOnly": False}, {"resources": {}}, {"value": ""}]
)
def test_tidy_takes_off_what_says_nothing(empty: dict) -> None:
    assert tidy(empty) == {}


@pytest.mark.parametrize(
    "meant",
    [
        {"emptyDir": {}},
        {"runAsUser": 0},
        {"privileged": False},
        {"labels": {"value": ""}},
        {"nodeSelector": {"tty": ""}},
    ],
)
def test_tidy_keeps_what_says_something(meant: dict) -> None:
    assert tidy(meant) == meant


def test_the_file_with_defaults_has_all_that_the_mirror_has(manifest, mirror, version, component):
    expected = mirror(version, component)["spec"]
    expected.pop("nodeName")
    filled = with_defaults(manifest(version, component))["spec"]
    filled["tolerations"] = [{"operator": "Exists", "effect": "NoExecute"}]
    assert filled == with_defaults({"spec": expected})["spec"]


def test_kubeadms_policy_and_priority_stay(manifest, version, component: Component) -> None:
    pod = manifest(version, component)
    kept = without_defaults(pod)["spec"]
    assert kept["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert kept.get("priority") == pod["spec"].get("priority")

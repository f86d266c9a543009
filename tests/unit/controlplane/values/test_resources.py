"""Amounts as Kubernetes writes them, and what fits on a node."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_selfhost.controlplane.values import resources
from kubectl_selfhost.controlplane.values.resources import Amount


def requested(**amounts: str | float) -> Amount:
    """Return what a pod requests whose one container requests ``amounts``."""
    return resources.requests({"containers": [{"resources": {"requests": amounts}}]})


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250m", 250),
        ("1", 1000),
        (2, 2000),
        (0.5, 500),
        ("1.5", 1500),
        (".5", 500),
        ("0", 0),
        ("1k", 1_000_000),
        ("100u", 1),  # rounded up
        ("1n", 1),
        ("1e-1", 100),
    ],
)
def test_cpu(text: str | float, amount: int) -> None:
    assert requested(cpu=text).millicores == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("512Mi", 512 * 2**20),
        ("1Ki", 1024),
        ("1Gi", 2**30),
        ("1Ti", 2**40),
        ("1Pi", 2**50),
        ("1Ei", 2**60),
        ("1k", 1000),
        ("1M", 10**6),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1E", 10**18),
        ("1E3", 1000),
        ("12e6", 12_000_000),
        ("24605704Ki", 24605704 * 1024),
        ("1500m", 2),
        ("123.", 123),
        ("+1Ki", 1024),
    ],
)
def test_memory(text: str, amount: int) -> None:
    assert requested(memory=text).bytes == amount


@pytest.mark.parametrize("text", ["", "Mi", "1mi", "1 Mi", "1Kib", "1e", "one", "1e9999999"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        resources.quantity(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_thousandths_are_read_exactly(number: int) -> None:
    assert resources.quantity(f"{number}m") == Fraction(number, 1000)


def container(cpu: str = "", memory: str = "", **more: object) -> dict:
    amounts = {"cpu": cpu, "memory": memory}
    return {"resources": {"requests": {k: v for k, v in amounts.items() if v}}, **more}


def test_containers_add_up() -> None:
    assert resources.requests(
        {"containers": [container("250m", "1Mi"), container("100m")]}
    ) == Amount(350, 2**20)


def test_a_small_init_container_costs_nothing() -> None:
    spec = {"initContainers": [container("10m", "5Mi")], "containers": [container("250m", "8Mi")]}
    assert resources.requests(spec) == Amount(250, 8 * 2**20)


def test_the_largest_init_container_counts() -> None:
    spec = {
        "initContainers": [container("1"), container("300m")],
        "containers": [container("250m")],
    }
    assert resources.requests(spec).millicores == 1000


def test_an_init_container_that_stays_counts_with_those_after_it() -> None:
    stays = container("200m", restartPolicy="Always")
    spec = {
        "initContainers": [container("300m"), stays, container("300m")],
        "containers": [container("250m")],
    }
    assert resources.requests(spec).millicores == 500


def test_an_init_container_that_stays_counts_with_the_containers() -> None:
    stays = container("200m", restartPolicy="Always")
    spec = {"initContainers": [stays], "containers": [container("250m")]}
    assert resources.requests(spec).millicores == 450


def test_a_limit_without_a_request_is_the_request() -> None:
    assert resources.requests({"containers": [{"resources": {"limits": {"cpu": "2"}}}]}) == Amount(
        2000, 0
    )


def test_a_pods_own_request_goes_before_its_containers() -> None:
    spec = {"resources": {"requests": {"cpu": "2"}}, "containers": [container("250m", "1Mi")]}
    assert resources.requests(spec) == Amount(2000, 2**20)


def test_overhead_comes_on_top() -> None:
    spec = {"overhead": {"cpu": "50m"}, "containers": [container("250m")]}
    assert resources.requests(spec).millicores == 300


NODE = {
    "metadata": {"name": "cp-1"},
    "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"}},
}


def pod(cpu: str, *, node: str = "cp-1", phase: str = "Running") -> dict:
    spec = {"nodeName": node, "containers": [container(cpu, "1Gi")]}
    return {"spec": spec, "status": {"phase": phase}}


def test_headroom_is_what_is_left() -> None:
    assert resources.headroom(NODE, [pod("500m"), pod("100m")]) == Amount(1400, 2 * 2**30)


def test_headroom_leaves_out_other_nodes_and_ended_pods() -> None:
    others = [pod("1", node="cp-2"), pod("1", phase="Succeeded"), pod("1", phase="Failed")]
    assert resources.headroom(NODE, others) == Amount(2000, 4 * 2**30)


def test_headroom_can_be_below_zero() -> None:
    assert resources.headroom(NODE, [pod("2500m")]).millicores == -500


def test_places_are_the_pods_that_still_fit() -> None:
    assert resources.places(NODE, [pod("1"), pod("1", phase="Failed")]) == 109

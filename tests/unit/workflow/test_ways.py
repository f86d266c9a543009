"""Which way a port changes hands, and what is said where the wanted one can't be."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, SCHEDULER
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.workflow import ways
from kubectl_selfhost.workflow.ways import AUTO, SEAMLESS, SHARED, WAITING, Choice


def best(component=APISERVER, *, kernel="6.18.0-1-amd64", bound="0.0.0.0"):
    return ways.best(component, kernel=kernel, bind_address=bound)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", ""])
def test_an_apiserver_on_all_addresses_goes_seamlessly(bound):
    assert best(bound=bound) == Choice(SEAMLESS)


def test_an_apiserver_on_one_address_shares_and_says_why():
    choice = best(bound="10.0.0.7")
    assert choice.way == SHARED
    assert "10.0.0.7" in choice.why


def test_who_is_not_called_from_outside_need_not_be_steered():
    assert best(SCHEDULER, bound="127.0.0.1") == Choice(SHARED)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("kernel", ["5.5.19", "4.18.0-553.el8.x86_64", "what?"])
def test_an_old_kernel_means_waiting(component, kernel):
    choice = best(component, kernel=kernel)
    assert choice.way == WAITING
    assert kernel in choice.why


@pytest.mark.parametrize("kernel", ["5.6.0", "5.10.0-8-arm64", "6.1.0", "10.0"])
def test_a_newer_one_does_not(kernel):
    assert best(kernel=kernel).way == SEAMLESS


def test_auto_takes_the_best():
    assert ways.choose(APISERVER, Choice(SHARED, "why"), AUTO) == Choice(SHARED, "why")


def test_a_worse_way_can_be_asked_for():
    assert ways.choose(APISERVER, Choice(SEAMLESS), WAITING).way == WAITING


def test_a_better_one_is_refused_with_the_reason():
    with pytest.raises(SelfhostError, match=r"kube-apiserver .* seamless: it listens on one"):
        ways.choose(APISERVER, Choice(SHARED, "it listens on one address"), SEAMLESS)


def test_seamless_means_shared_for_the_others():
    assert ways.choose(SCHEDULER, Choice(SHARED), SEAMLESS) == Choice(SHARED)


def test_a_choice_in_words():
    assert str(Choice(WAITING, "old kernel")) == (
        "waiting (the new instance waits until the old one has let go of the port; old kernel)"
    )

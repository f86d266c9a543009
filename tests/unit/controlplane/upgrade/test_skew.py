"""Each rule of the version skew policy, with the nearest case that it allows."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.upgrade.findings import Running
from kubectl_selfhost.controlplane.upgrade.skew import skew
from kubectl_selfhost.controlplane.upgrade.version import Version

SERVER, MANAGER, SCHEDULER = "kube-apiserver", "kube-controller-manager", "kube-scheduler"


def version(text: str) -> Version:
    found = Version.parse(text)
    assert found is not None
    return found


def running(**versions: str) -> list[Running]:
    """Return a control plane of v1.37.2, but for ``versions`` by component (``_`` for ``-``).

    Several versions with commas are on several nodes.
    """
    every = dict.fromkeys((SERVER, MANAGER, SCHEDULER, "kubelet", "kube-proxy"), "v1.37.2")
    every |= {name.replace("_", "-"): text for name, text in versions.items()}
    return [
        Running(component, f"n{number}", Version.parse(text), f"{component}:{text}")
        for component, texts in every.items()
        for number, text in enumerate(texts.split(","))
    ]


def blocks(found: list[Running], target: str, *, back: bool = False) -> list[str]:
    return [str(one) for one in skew(found, version(target), back=back) if one.blocks]


@pytest.mark.parametrize("target", ["v1.37.2", "v1.37.3", "v1.38.0", "v1.38.4"])
def test_an_upgrade_stays_in_its_minor_or_goes_to_the_next(target):
    assert blocks(running(), target) == []


@pytest.mark.parametrize("target", ["v1.39.0", "v2.0.0"])
def test_no_minor_is_left_out(target):
    (found,) = blocks(running(), target)
    assert "upgrade to v1.38 first" in found


@pytest.mark.parametrize("target", ["v1.37.1", "v1.36.4", "v1.37.2-rc.0"])
def test_nothing_goes_back_by_itself(target):
    (found,) = blocks(running(kubelet="v1.36.0", kube_proxy="v1.36.0"), target)
    assert "newer than" in found
    assert "--back" in found


@pytest.mark.parametrize("target", ["v1.37.1", "v1.36.4"])
def test_back_by_one_minor_if_kubelets_allow(target):
    assert blocks(running(kubelet="v1.36.0", kube_proxy="v1.36.0"), target, back=True) == []


def test_a_newer_kube_proxy_goes_back_with_the_others():
    assert blocks(running(kubelet="v1.36.0"), "v1.36.4", back=True) == []
    (found,) = blocks(running(kubelet="v1.36.0", kube_proxy="v1.39.0"), "v1.38.0")
    assert found.startswith("kube-proxy")


def test_back_by_two_minors_is_too_far():
    (found,) = blocks(running(kubelet="v1.35.0", kube_proxy="v1.35.0"), "v1.35.1", back=True)
    assert "2 minor releases after v1.35.1" in found


@pytest.mark.parametrize("target", ["v1.37.2", "v1.37.3", "v1.38.0"])
def test_back_is_not_forward(target):
    (found,) = blocks(running(), target, back=True)
    assert "not older" in found


def test_a_newer_kubelet_forbids_the_way_back():
    found = blocks(running(), "v1.36.4", back=True)
    assert [one.partition(":")[0] for one in found] == ["kubelet on n0"]


@pytest.mark.parametrize("name", ["kubelet", "kube_proxy"])
def test_kubelet_and_proxy_may_be_three_minors_older(name):
    others = {"kubelet": "v1.36.0", "kube_proxy": "v1.36.0"}
    assert blocks(running(**(others | {name: "v1.35.9"})), "v1.38.0") == []
    found = blocks(running(**(others | {name: "v1.34.9"})), "v1.38.0")
    assert [one for one in found if "4 minor releases before v1.38" in one] == found != []


def test_a_kubelet_must_not_be_newer_than_an_api_server():
    (found,) = blocks(running(kubelet="v1.37.0,v1.38.0"), "v1.37.3")
    assert found.startswith("kubelet on n1: runs v1.38.0, and must not be newer")
    assert blocks(running(kubelet="v1.37.9,v1.38.0"), "v1.38.0") == []


def test_a_proxy_may_be_three_minors_from_its_kubelet():
    assert blocks(running(kubelet="v1.34.0", kube_proxy="v1.37.0"), "v1.37.3") == []
    found = blocks(running(kubelet="v1.33.0", kube_proxy="v1.37.0"), "v1.36.9", back=True)
    assert any("beside a kubelet of v1.33.0" in one for one in found)


def test_a_controller_manager_may_be_one_minor_older():
    assert blocks(running(kube_controller_manager="v1.36.4"), "v1.37.3") == []
    (found,) = blocks(running(kube_controller_manager="v1.36.4"), "v1.38.0")
    assert found.startswith("kube-controller-manager on n0: runs v1.36.4, more than one minor")


def test_a_scheduler_must_not_be_newer_than_the_target():
    (found,) = blocks(running(kube_scheduler="v1.38.0"), "v1.37.3")
    assert "Upgrade to v1.38.0 instead" in found
    assert blocks(running(kubelet="v1.36.0", kube_proxy="v1.36.0"), "v1.36.4", back=True) == []


def test_api_servers_of_two_minors_block_what_does_not_end_that():
    mixed = running(kube_apiserver="v1.36.4,v1.37.2", kubelet="v1.36.0", kube_proxy="v1.36.0")
    (found,) = blocks(mixed, "v1.36.5", back=True)
    assert "run as v1.36 and v1.37" in found
    assert "upgrade v1.37.2" in found
    assert blocks(mixed, "v1.37.3") == []
    assert any("this upgrade ends that" in one.value for one in skew(mixed, version("v1.37.3")))


def test_an_api_server_of_unknown_version_blocks():
    (found,) = blocks(running(kube_apiserver="v1.37.2,latest"), "v1.37.3")
    assert "kube-apiserver:latest tells no version" in found
    unknown = skew(running(kube_scheduler="latest"), version("v1.37.3"))
    assert [one.blocks for one in unknown] == [False]

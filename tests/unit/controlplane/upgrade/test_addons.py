"""The etcd and the CoreDNS of a target: kubeadm's, never older, and only by a safe way."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_selfhost.controlplane.upgrade.addons import etcd_rule, kept, plain, target_for
from kubectl_selfhost.controlplane.upgrade.findings import Running
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version

NEXT = Version(1, 37, 3)


def running(
    etcd: str = "3.6.8-0", coredns: str = "v1.14.2", *, proxy: bool = True
) -> list[Running]:
    made = [
        Running("etcd", "n", plain(etcd), f"registry.k8s.io/etcd:{etcd}"),
        Running("CoreDNS", "n", plain(coredns), f"registry.k8s.io/coredns/coredns:{coredns}"),
    ]
    return [*made, Running("kube-proxy", "n", NEXT, "kube-proxy:v1.37.3")][: 3 if proxy else 2]


def tags(version: Version = NEXT, *, configuration: Any = None, **more: Any) -> dict[str, str]:
    there = more.pop("running", running())
    return dict(target_for(version, there, configuration=configuration or {}, **more).tags)


def test_a_target_has_kubeadms_images():
    assert tags() == {
        "kube-apiserver": "v1.37.3",
        "kube-controller-manager": "v1.37.3",
        "kube-scheduler": "v1.37.3",
        "kube-proxy": "v1.37.3",
        "etcd": "3.7.0-0",
        "CoreDNS": "v1.14.6",
    }


def test_what_does_not_run_is_not_upgraded():
    assert "kube-proxy" not in tags(running=running(proxy=False))
    assert not {"etcd", "CoreDNS"} & set(tags(running=[]))


@pytest.mark.parametrize("etcd", ["3.7.0-0", "3.7.3-0", "3.8.1-0", "weekly"])
def test_etcd_never_gets_older(etcd):
    assert "etcd" not in tags(running=running(etcd))


def test_a_person_may_keep_etcd():
    assert "etcd" not in tags(keep_etcd=True)
    own = {"etcd": {"local": {"imageTag": "3.6.12-0"}}, "dns": {"imageTag": "v1.12.9"}}
    assert not {"etcd", "CoreDNS"} & set(tags(configuration=own))
    assert {"etcd", "CoreDNS"} <= set(tags(configuration={"etcd": {"local": {"dataDir": "/d"}}}))


def test_for_an_unknown_minor_both_stay_and_the_person_is_told():
    target = target_for(Version(1, 99, 0), running(), configuration={})
    assert not {"etcd", "CoreDNS"} & set(target.tags)
    (found,) = kept(running(), target)
    assert str(found).startswith("etcd and CoreDNS: stay as they are")
    assert kept(running(), Target(NEXT)) == []


def rule(now: str, wanted: str) -> list[str]:
    target = Target(NEXT, {"etcd": wanted} if wanted else {})
    return [str(one) for one in etcd_rule(running(now), target) if one.blocks]


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        *(("3.6.11-0", "3.7.0-0"), ("3.5.26-0", "3.6.8-0"), ("3.6.5-0", "3.6.8-0")),
        *(("3.6.8-0", ""), ("3.7.0-0", "3.8.0-0")),
    ],
)
def test_a_safe_way_of_etcd(now, wanted):
    assert rule(now, wanted) == []


@pytest.mark.parametrize(
    ("now", "wanted", "why"),
    [
        ("3.6.8-0", "3.7.0-0", "runs 3.6.8; the way to 3.7.0 is safe from 3.6.11 on only"),
        ("3.5.24-0", "3.6.8-0", "runs 3.5.24; the way to 3.6.8 is safe from 3.5.26 on only"),
        ("3.5.26-0", "3.7.0-0", "3.7.0 is 2 minor releases later"),
    ],
)
def test_an_unsafe_way_of_etcd_blocks(now, wanted, why):
    (found,) = rule(now, wanted)
    assert why in found
    assert "--etcd=keep" in found


@pytest.mark.parametrize(
    ("now", "image"),
    [
        ("registry.k8s.io/etcd:3.6.8-0", "registry.k8s.io/etcd:3.7.0-0"),
        ("mirror.example:5000/k8s/etcd:3.6.8-0@sha256:ab", "mirror.example:5000/k8s/etcd:3.7.0-0"),
    ],
)
def test_an_image_stays_in_its_registry(now, image):
    target = Target(NEXT, {"etcd": "3.7.0-0"})
    assert target.image("etcd", now) == image
    assert target.image("CoreDNS", "coredns:v1@sha256:ab") == "coredns:v1@sha256:ab"

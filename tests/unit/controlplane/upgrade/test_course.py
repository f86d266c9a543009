"""How far a component is on its way to a target, and each change on the way."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.upgrade import course
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version

NAME = "kube-scheduler"


def container(tag: str, *flags: str) -> dict:
    return {"name": NAME, "image": f"a.example:5000/b/{NAME}:{tag}", "command": [NAME, *flags]}


def target(text: str) -> Target:
    version = Version.parse(text)
    assert version is not None
    return Target(version, {NAME: version.tag})


def towards(one: dict, text: str) -> Change:
    return course.towards(one, NAME, target(text), flags=(), gates=())


def test_a_patch_release_is_only_another_image():
    change = towards(container("v1.37.2"), "v1.37.3")
    assert change == Change(image=f"a.example:5000/b/{NAME}:v1.37.3")


def test_a_new_minor_behaves_as_the_old_one_at_first():
    change = towards(container("v1.37.2"), "v1.38.0")
    assert change.flags == {"emulated-version": ["1.37"]}
    assert course.commit(container("v1.38.0", "--emulated-version=1.37")).without == (
        "emulated-version",
    )
    assert not course.commit(container("v1.38.0"))


@pytest.mark.parametrize(
    ("now", "then", "emulated"),
    [
        ("v1.31.14", "v1.32.13", ""),
        ("v1.32.13", "v1.33.13", "1.32"),
        ("v1.36.4", "v1.37.2", "1.36"),
        ("v1.36.4", "v1.36.5", ""),
        ("v1.38.0", "v1.37.2", ""),
        ("latest", "v1.37.2", ""),
    ],
)
def test_only_the_release_before_is_emulated_and_only_if_both_can(now, then, emulated):
    assert course.emulation(container(now), target(then)) == emulated


def test_the_way_back_gives_image_and_lost_flags_back_and_leaves_a_persons_own():
    former = container("v1.36.4", "--gone=1", "--gone=2", "--v=2", "--feature-gates=A=true,B=true")
    now = container("v1.37.2", "--v=4", "--feature-gates=A=true", "--emulated-version=1.36")
    change = course.back(now, former)
    assert change.image.endswith(":v1.36.4")
    assert change.flags == {"gone": ["1", "2"], "feature-gates": ["A=true,B=true"]}
    assert change.without == ("emulated-version",)


def test_whoever_is_back_has_nothing_to_change():
    former = container("v1.36.4", "--v=2")
    assert not course.back(container("v1.36.4", "--v=4"), former)
    assert not course.back(container("v1.36.4"), {}, image=former["image"])

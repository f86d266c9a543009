"""Versions are read from what Kubernetes and registries write, and have semver's order."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.upgrade.version import Version, repository_of

IN_ORDER = [
    "v1.36.11",
    "v1.37.0-alpha.2",
    "v1.37.0-alpha.10",
    "v1.37.0-beta.0",
    "v1.37.0",
    "v1.37.2",
    "v1.37.10",
]


def parsed(text: str) -> Version:
    found = Version.parse(text)
    assert found is not None
    return found


def test_versions_have_an_order():
    assert [str(one) for one in sorted(map(parsed, reversed(IN_ORDER)))] == IN_ORDER


@pytest.mark.parametrize("text", ["v1.37.2", "v1.38.0-alpha.0", "v1.37.2+vendor.1"])
def test_a_version_is_written_as_it_was_read(text):
    assert str(parsed(text)) == text


@pytest.mark.parametrize("text", ["", "latest", "v1.37", "1.37.x", "v1.37.2 "])
def test_other_texts_are_no_version(text):
    assert Version.parse(text) is None


def test_a_build_has_no_rank_and_another_sign_in_a_tag():
    built = parsed("v1.37.2+vendor1")
    assert built == parsed("1.37.2")
    assert built.tag == "v1.37.2_vendor1"
    assert Version.of_image(f"registry.example:5000/kube-proxy:{built.tag}") == built


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("registry.example:5000/a/kube-proxy:v1.37.2", "registry.example:5000/a/kube-proxy"),
        ("kube-proxy:v1.37.2@sha256:00", "kube-proxy"),
        ("registry.example:5000/kube-proxy", "registry.example:5000/kube-proxy"),
    ],
)
def test_a_port_is_no_tag(image, repository):
    assert repository_of(image) == repository
    assert Version.of_image(image) in (None, Version(1, 37, 2))

"""The user's kind configuration keeps what it says, and gets what this machine needs."""

from __future__ import annotations

import pytest
from bed import kindconfig
from bed.command import BedError


def complete(text: str, **options: object) -> kindconfig.Config:
    defaults: dict[str, object] = {"local_image": "node:here", "cgroup_version": 2}
    return kindconfig.complete(kindconfig.load(text), **(defaults | options))  # type: ignore[arg-type]


def test_nothing_becomes_one_control_plane_node() -> None:
    assert complete("")["nodes"] == [{"role": "control-plane", "image": "node:here"}]


def test_every_node_gets_the_local_image() -> None:
    done = complete("nodes: [{role: control-plane}, {role: worker}]")
    assert [node["image"] for node in done["nodes"]] == ["node:here", "node:here"]


def test_a_node_keeps_its_own_image() -> None:
    assert complete("nodes: [{role: control-plane, image: mine}]")["nodes"][0]["image"] == "mine"


def test_the_published_image_brings_its_own_network() -> None:
    assert "disableDefaultCNI" not in complete("", local_image=None)["networking"]


def test_the_local_image_does_without_kinds_network() -> None:
    assert complete("")["networking"]["disableDefaultCNI"] is True


def test_kube_proxy_uses_nftables() -> None:
    assert complete("networking: {ipFamily: ipv6}")["networking"] == {
        "ipFamily": "ipv6",
        "kubeProxyMode": "nftables",
        "disableDefaultCNI": True,
    }


def test_cgroup_v1_is_allowed_before_the_users_patches() -> None:
    done = complete("kubeadmConfigPatches: ['kind: InitConfiguration']", cgroup_version=1)
    assert done["kubeadmConfigPatches"][1:] == [
        kindconfig.CGROUP_V1_PATCH,
        "kind: InitConfiguration",
    ]


def test_the_published_image_on_cgroup_v2_needs_no_patch() -> None:
    assert "kubeadmConfigPatches" not in complete("", local_image=None)


def test_the_callers_configuration_stays_as_it_was() -> None:
    config = kindconfig.load("nodes: [{role: control-plane}]")
    kindconfig.complete(config, local_image="node:here", cgroup_version=1)
    assert config["nodes"] == [{"role": "control-plane"}]


@pytest.mark.parametrize("text", ["[]", "kind: Pod", "apiVersion: v1", "a: [", "just words"])
def test_what_is_no_kind_cluster_is_refused(text: str) -> None:
    with pytest.raises(BedError, match="kind configuration"):
        kindconfig.load(text)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("[{role: control-plane}, {role: control-plane}]", True),
        ("[{}, {}]", True),  # kind's default role
        ("[{role: control-plane}, {role: worker}]", False),
        ("null", False),
    ],
)
def test_several_control_plane_nodes_have_a_load_balancer(nodes: str, expected: bool) -> None:
    assert kindconfig.has_load_balancer(kindconfig.load(f"nodes: {nodes}")) is expected

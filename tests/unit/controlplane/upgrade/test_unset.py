"""Flags and feature gates that the target lacks are taken off those components that have them."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.upgrade.unset import change, off, require_known
from kubectl_selfhost.errors import SelfhostError

MANAGER = {
    "name": "kube-controller-manager",
    "command": [
        *("kube-controller-manager", "--concurrent-service-syncs", "2", "--v=2"),
        "--feature-gates=Old=true,New=false",
    ],
}
ETCD = {"name": "etcd", "command": ["etcd", "--experimental-a=1", "--feature-gates=Old=true"]}


def changed(**names: Any) -> Change:
    return change(MANAGER, image="i", **({"flags": (), "gates": ()} | names))


def test_only_what_a_component_has_is_taken_off():
    assert changed() == Change(image="i")
    assert changed(flags=("concurrent-service-syncs", "other")) == Change(
        image="i", without=("concurrent-service-syncs",)
    )
    assert changed(gates=("Old", "Other")) == Change(
        image="i", flags={"feature-gates": ["New=false"]}
    )


def test_without_any_gate_the_flag_goes():
    assert changed(gates=("Old", "New")) == Change(image="i", without=("feature-gates",))
    assert changed(flags=("feature-gates",), gates=("Old",)) == Change(
        image="i", without=("feature-gates",)
    )


def test_a_command_line_without_them():
    made = off(MANAGER, flags=("concurrent-service-syncs",), gates=("Old",))
    assert made == {
        "command": ["kube-controller-manager", "--v=2", "--feature-gates=New=false"],
    }
    assert off(ETCD, flags=("experimental-a",), gates=("Old",)) == {"command": ["etcd"]}
    assert off(ETCD, flags=(), gates=()) == {"command": ETCD["command"]}
    arguments = {"name": "coredns", "args": ["-conf", "/etc/coredns/Corefile"]}
    assert off(arguments, flags=("x",), gates=()) == {"args": arguments["args"]}


def test_a_name_that_nobody_has_is_a_mistake():
    require_known([MANAGER, ETCD], flags=("experimental-a", "v"), gates=("Old",))
    with pytest.raises(SelfhostError, match="--unset-flag=concurrent-syncs: no component"):
        require_known([MANAGER, ETCD], flags=("concurrent-syncs",), gates=())
    with pytest.raises(SelfhostError, match="--unset-gate=Ol: no component"):
        require_known([MANAGER, ETCD], flags=(), gates=("Ol",))

"""The commands for the packages on the nodes: which nodes, in which order."""

from __future__ import annotations

from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.plans.upgrade.packages import commands

OLD, PATCH, NEW = Version(1, 36, 4), Version(1, 37, 1), Version(1, 37, 2)


def test_control_plane_nodes_come_first_and_only_older_kubelets_are_meant():
    said = commands(
        [("b", OLD), ("a", OLD), ("c", NEW), ("w", OLD)], NEW, first=["b", "c"], before={}
    )
    assert [one.splitlines()[0] for one in said] == [
        "# On b, as root:",
        "# On a, as root:",
        "# On w, as root:",
    ]


def test_kubeadm_applies_once_and_the_other_nodes_follow():
    first, second = commands(
        [("a", OLD), ("b", OLD)], NEW, first=["a", "b"], before={"a": "x", "b": "y"}
    )
    assert "kubeadm upgrade apply v1.37.2 -y --skip-phases=control-plane" in first
    assert first.startswith("# From your machine: x\n")
    assert "From your machine: y" not in second
    assert "kubeadm upgrade node" in second
    assert "kubeadm upgrade apply" not in second


def test_only_a_new_minor_release_takes_a_drain_and_another_repository():
    (minor,) = commands([("w", OLD)], NEW, first=[], before={})
    (patch,) = commands([("w", PATCH)], NEW, first=[], before={})
    assert "kubectl drain w" in minor
    assert "repository of v1.37" in minor
    assert "drain" not in patch
    assert "kubelet='1.37.2-*'" in patch


def test_whoever_has_the_version_is_not_named():
    assert commands([("w", NEW)], NEW, first=[], before={}) == []

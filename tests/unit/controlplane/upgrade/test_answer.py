"""What a target's program says, in the words of the real programs (Kubernetes 1.37, etcd 3.7)."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_selfhost.controlplane.upgrade.answer import Answer, Question, answer, is_final
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version

IMAGE = "registry.k8s.io/kube-scheduler:v1.37.3"
TARGET = Target(Version(1, 37, 3), {"etcd": "3.7.0-0", "CoreDNS": "v1.14.6"})


def ended(code: int, message: str = "", **more: Any) -> dict:
    return {"state": {"terminated": {"exitCode": code, "message": message, **more}}}


def waits(reason: str, message: str = "") -> dict:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def said(status: dict, log: str | None = "", *, by: str = "kube-scheduler") -> Answer:
    return answer(Question(by, "n1", IMAGE), status, log, TARGET)


def only(found: Answer, *, blocks: bool = True) -> str:
    (one,) = found.found
    assert one.blocks is blocks
    assert one.node == "n1"
    return f"{one.value}. {one.remedy}"


@pytest.mark.parametrize(
    ("component", "log"),
    [
        ("kube-scheduler", "Kubernetes v1.37.3\n"),
        ("kube-proxy", "Kubernetes v1.37.3+vendor1\n"),
        ("etcd", "etcd Version: 3.7.3\nGit SHA: Not provided\n"),
        ("CoreDNS", "CoreDNS-1.14.6\nlinux/amd64, go1.26, \n"),
    ],
)
def test_the_right_version_is_no_finding(component, log):
    assert said(ended(0), log, by=component) == Answer()


@pytest.mark.parametrize(
    ("component", "log", "why"),
    [
        ("kube-scheduler", "Kubernetes v1.37.2\n", "holds v1.37.2, not v1.37.3"),
        ("etcd", "etcd Version: 3.6.8\n", "holds v3.6.8, not v3.7.0"),
    ],
)
def test_another_version_blocks(component, log, why):
    assert why in only(said(ended(0), log, by=component))


@pytest.mark.parametrize(
    ("log", "why"), [(None, "could not be read"), ("hello", "does not say its version")]
)
def test_an_unknown_version_is_told(log, why):
    assert why in only(said(ended(0), log), blocks=False)


def test_a_deprecated_flag_is_told():
    log = "Flag --old-thing has been deprecated, use --new-thing.\nKubernetes v1.37.3\n"
    assert only(said(ended(0), log), blocks=False) == "--old-thing is deprecated: use --new-thing. "


@pytest.mark.parametrize(
    ("message", "flags", "gates", "remedy"),
    [
        ("Error: unknown flag: --concurrent-syncs", ("concurrent-syncs",), (), "--unset-flag=conc"),
        (
            "flag provided but not defined: -experimental-a\nUsage:\n  etcd [flags]",
            *(("experimental-a",), (), "--unset-flag=experimental-a"),
        ),
        (
            'E1127 run.go:72] "command failed" err="unrecognized feature gate: SidecarContainers"',
            *((), ("SidecarContainers",), "--unset-gate=SidecarContainers"),
        ),
        (
            "Error: cannot set feature gate A to false, feature is locked to true",
            *((), ("A",), "refuses feature gate A=false: feature is locked to true"),
        ),
        (
            'invalid argument "A=true" for "--feature-gates" flag: unrecognized feature gate: A',
            *((), ("A",), "v1.37.3 has no feature gate A. To remove the gate"),
        ),
    ],
)
def test_what_is_gone_is_named(message, flags, gates, remedy):
    found = said(ended(1, message))
    assert remedy in only(found)
    assert (found.flags, found.gates) == (flags, gates)


def test_two_gates_are_two_findings():
    message = "[unrecognized feature gate: A, unrecognized feature gate: B]"
    assert said(ended(1, message)).gates == ("A", "B")


def test_another_refusal_is_quoted():
    found = said(ended(1, "usage\nError: bad duration\n\n"))
    assert "refuses the flags that are in use (Error: bad duration)" in only(found)
    assert "exit code 3" in only(said(ended(3)))


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            waits("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": {IMAGE}: not found'),
            f"can't get the image {IMAGE} ({IMAGE}: not found)",
        ),
        (waits("InvalidImageName"), "can't get the image"),
        (waits("ImagePullBackOff", "no match for platform in manifest"), "another kind of CPU"),
        (ended(255, "exec /usr/bin/kube-scheduler: exec format error"), "another kind of CPU"),
        (
            ended(128, 'exec: "kube-scheduler": executable file not found', reason="StartError"),
            "has no program kube-scheduler",
        ),
        (waits("CreateContainerError", "no space left"), "does not start (no space left)"),
    ],
)
def test_an_image_that_can_not_run_blocks(status, why):
    assert is_final(status)
    assert why in only(said(status))


@pytest.mark.parametrize(
    "status", [{}, waits("ContainerCreating"), waits("ErrImagePull"), {"state": {"running": {}}}]
)
def test_the_kubelet_still_tries(status):
    assert not is_final(status)

"""A component's command line."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane import flags
from kubectl_selfhost.errors import SelfhostError


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--v=2"], [("v", "2")]),
        (["--v", "2"], [("v", "2")]),
        (["-v", "2", "--x=y"], [("v", "2"), ("x", "y")]),
        (["--leader-elect"], [("leader-elect", "true")]),
        (["--leader-elect", "--v=2"], [("leader-elect", "true"), ("v", "2")]),
        (["--bind_address=::"], [("bind-address", "::")]),
        (["--audit-log-path=-"], [("audit-log-path", "-")]),
        (["--a=b=c"], [("a", "b=c")]),
        (["--a="], [("a", "")]),
        ([], []),
    ],
)
def test_parse(words: list[str], found: list[tuple[str, str]]) -> None:
    assert flags.parse(words) == found


def test_the_last_of_a_flag_counts() -> None:
    assert flags.of_container({"command": ["kube-scheduler", "--v=2", "--v=4"]}) == {"v": "4"}


def test_flags_may_be_in_args_too() -> None:
    container = {"command": ["kube-scheduler", "--a=1"], "args": ["--b=2"]}
    assert flags.of_container(container) == {"a": "1", "b": "2"}


def test_flags_may_be_in_args_alone() -> None:
    assert flags.of_container({"args": ["--b=2"]}) == {"b": "2"}


def test_the_flags_of_a_program_that_starts_it_are_not_its_own() -> None:
    container = {"command": ["/go-runner", "--log-file=x", "/usr/bin/kube-apiserver", "--v=2"]}
    assert flags.of_container(container) == {"v": "2"}


def test_a_flag_is_added_at_the_end() -> None:
    container = {"command": ["kube-scheduler", "--v=2"]}
    flags.with_flag(container, "permit-port-sharing", "true")
    assert container["command"] == ["kube-scheduler", "--v=2", "--permit-port-sharing=true"]


@pytest.mark.parametrize(
    "old",
    [
        ["--permit-port-sharing=false"],
        ["--permit_port_sharing=false"],
        ["--permit-port-sharing"],
        ["--permit-port-sharing", "false"],
    ],
)
def test_a_flag_is_replaced_where_it_stands(old: list[str]) -> None:
    container = {"command": ["kube-scheduler", "--a=1", *old, "--b=2"]}
    flags.with_flag(container, "permit-port-sharing", "true")
    assert container["command"] == [
        "kube-scheduler",
        "--a=1",
        "--permit-port-sharing=true",
        "--b=2",
    ]


def test_a_flag_that_is_given_twice_is_replaced_once() -> None:
    container = {"command": ["kube-scheduler", "--a=1", "--b=2", "--a=3"]}
    flags.with_flag(container, "a", "4")
    assert container["command"] == ["kube-scheduler", "--a=4", "--b=2"]


def test_a_flag_with_a_longer_name_stays() -> None:
    container = {"command": ["kube-scheduler", "--v=2", "--vmodule=x=1"]}
    flags.with_flag(container, "v", "3")
    assert container["command"] == ["kube-scheduler", "--v=3", "--vmodule=x=1"]


def test_a_flag_goes_into_args_where_there_are_some() -> None:
    container = {"command": ["kube-scheduler"], "args": ["--v=2"]}
    flags.with_flag(container, "a", "1")
    assert container == {"command": ["kube-scheduler"], "args": ["--v=2", "--a=1"]}


def test_a_shell_is_refused_in_words() -> None:
    container = {"name": "kube-scheduler", "command": ["/bin/sh", "-c", "kube-scheduler --v=2"]}
    with pytest.raises(SelfhostError, match=r"not started as kubeadm starts it: .*/bin/sh -c"):
        flags.with_flag(container, "v", "3")


@pytest.mark.parametrize("old", [["--a=1"], ["--a", "1"], ["--a"], ["--a=1", "--a=2"]])
def test_a_flag_is_taken_off(old: list[str]) -> None:
    container = {"command": ["kube-scheduler", "--b=1", *old, "--c"]}
    assert flags.without_flag(container, "a")
    assert container["command"] == ["kube-scheduler", "--b=1", "--c"]


def test_a_flag_is_taken_off_command_and_args_alike() -> None:
    container = {"command": ["kube-scheduler", "--a=1"], "args": ["--a=2", "--b"]}
    assert flags.without_flag(container, "a")
    assert container == {"command": ["kube-scheduler"], "args": ["--b"]}


def test_a_flag_that_is_not_there_is_told() -> None:
    container = {"command": ["kube-scheduler", "--b=1"]}
    assert not flags.without_flag(container, "a")
    assert container["command"] == ["kube-scheduler", "--b=1"]

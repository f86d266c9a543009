"""A component's command line."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.pod import flags
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
        (["--secure-port", "7443"], [("secure-port", "7443")]),
        (["--audit-log-path", "-", "--v=2"], [("audit-log-path", "-"), ("v", "2")]),
        (["--audit-log-maxage", "-1"], [("audit-log-maxage", "-1")]),
        (["-v=2"], [("v", "2")]),
        (["-v4", "--a"], [("v", "4"), ("a", "true")]),
        (["--a=1", "--a=2"], [("a", "1"), ("a", "2")]),
        (["--a=1", "--", "--b=2"], [("a", "1")]),
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


PROGRAMS = [
    (["kube-apiserver", "--v=2"], None),
    (["/usr/local/bin/kube-apiserver", "--v=2"], None),
    (["/usr/local/bin/kube-apiserver"], ["--v=2"]),
    (
        ["/go-runner", "--log-file=/x", "--also-stdout", "/usr/local/bin/kube-apiserver", "--v=2"],
        None,
    ),
    (["/go-runner", "--log-file", "/log/kube-apiserver", "/bin/kube-apiserver", "--v=2"], None),
    (["/go-runner"], ["-log-file=/x", "/usr/local/bin/kube-apiserver", "--v=2"]),
    (["/hyperkube", "kube-apiserver", "--v=2"], None),
    (["/hyperkube"], ["kube-apiserver", "--v=2"]),
    (["/usr/bin/dumb-init", "--", "kube-apiserver", "--v", "2"], None),
    (["/usr/bin/nice", "-n", "-10", "kube-apiserver", "--v=2"], None),
    (None, ["--v=2"]),
    (None, ["kube-apiserver", "--v=2"]),
    (None, ["--log-file=/x", "/usr/local/bin/kube-apiserver", "--v=2"]),
]


def line(command: list[str] | None, args: list[str] | None) -> dict:
    """Return a container without the keys that a manifest leaves out."""
    both = {"name": "kube-apiserver", "command": command, "args": args}
    return {key: value for key, value in both.items() if value is not None}


@pytest.mark.parametrize(("command", "args"), PROGRAMS)
def test_the_program_is_found_behind_what_starts_it(command, args) -> None:
    container = line(command, args)
    assert flags.of_container(container) == {"v": "2"}
    flags.with_flag(container, "a", "1")
    assert flags.of_container(container) == {"v": "2", "a": "1"}
    assert flags.without_flag(container, "a")
    assert container == line(command, args)


@pytest.mark.parametrize("value", ["=/var/log/kube-apiserver", " /var/log/kube-apiserver"])
@pytest.mark.parametrize(
    ("command", "args"),
    [
        (None, []),
        (["kube-apiserver"], []),
        (["/go-runner", "--log-file=/x", "/usr/local/bin/kube-apiserver"], None),
    ],
)
def test_a_value_that_ends_like_the_program_is_no_program(command, args, value) -> None:
    more = [
        "--secure-port=8443",
        "--bind-address",
        "10.0.0.11",
        *f"--audit-log-path{value}".split(),
    ]
    container = line(command, [*args, *more]) if args is not None else line([*command, *more], None)
    assert flags.of_container(container) == {
        "secure-port": "8443",
        "bind-address": "10.0.0.11",
        "audit-log-path": "/var/log/kube-apiserver",
    }
    flags.with_flag(container, "secure-port", "9443")
    assert flags.all_of_container(container).count(("secure-port", "9443")) == 1
    assert ("secure-port", "8443") not in flags.all_of_container(container)


SHELLS = [
    (["/bin/sh", "-c", "exec kube-apiserver --v=2"], None),
    (["/bin/sh", "-c", "exec kube-apiserver --log-dir=/var/log/kube-apiserver"], None),
    (["/bin/sh", "-c", "/usr/local/bin/kube-apiserver"], None),
    (["/bin/bash", "/scripts/kube-apiserver"], None),
    (["/bin/busybox", "sh", "-c", "kube-apiserver"], None),
    (["/usr/bin/env", "sh", "-ec", "kube-apiserver"], None),
    (["/bin/sh"], ["-c", "kube-apiserver"]),
    (None, ["-c", "exec kube-apiserver"]),
    (["/start.sh", "--v=2"], None),
    (["/start", "--log", "/log/kube-apiserver", "/bin/kube-apiserver"], None),
    (["/go-runner", "--log-file=/x", "sh", "-c", "kube-apiserver"], None),
]


@pytest.mark.parametrize(("command", "args"), SHELLS)
def test_what_can_not_be_seen_through_is_refused(command, args) -> None:
    container = line(command, args)
    assert flags.all_of_container(container) == []
    for change in (
        lambda: flags.with_flag(container, "v", "3"),
        lambda: flags.without_flag(container, "v"),
        lambda: flags.require_program(container),
    ):
        with pytest.raises(SelfhostError, match="doesn't name the component's program"):
            change()
    assert container == line(command, args)


@pytest.mark.parametrize(
    ("text", "value"),
    [("T", True), ("True", True), ("1", True), ("f", False), ("FALSE", False), ("yes", None)],
)
def test_booleans_are_read_as_go_reads_them(text, value) -> None:
    assert flags.boolean(text) is value


def test_each_value_of_a_repeated_flag_is_set_in_order() -> None:
    command = ["kube-apiserver", "--a=old", "--b=1", "--a", "older"]
    container = {"command": list(command)}
    flags.with_flag(container, "a", "new", "old")
    assert container["command"] == ["kube-apiserver", "--a=new", "--a=old", "--b=1"]
    assert flags.all_of_container(container)[:2] == [("a", "new"), ("a", "old")]


def test_a_value_in_args_of_a_flag_in_command_is_replaced_with_it() -> None:
    container = {"command": ["kube-apiserver", "--a"], "args": ["1", "--b=2"]}
    flags.with_flag(container, "a", "3")
    assert flags.all_of_container(container) == [("a", "3"), ("b", "2")]


def test_a_short_flag_is_replaced_and_taken_off() -> None:
    container = {"command": ["kube-scheduler", "-v", "2", "-v=3", "-v4"]}
    flags.with_flag(container, "v", "5")
    assert container["command"] == ["kube-scheduler", "--v=5"]
    container = {"command": ["kube-scheduler", "-v", "2"]}
    assert flags.without_flag(container, "v")
    assert container["command"] == ["kube-scheduler"]


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
    with pytest.raises(SelfhostError, match=r"doesn't name the component's program .*/bin/sh -c"):
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

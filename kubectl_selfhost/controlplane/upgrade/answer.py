"""What a target's program says of itself: ``PROGRAM <the flags as they are> --version``.

A component of Kubernetes parses its flags first, then sets its feature gates, then prints its version
and ends. It reads no file, opens no port, and needs no API. So the container's end shows whether the
image is there and of the node's CPU, which version it really is, and which flags it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_selfhost.controlplane.upgrade.addons import plain
from kubectl_selfhost.controlplane.upgrade.findings import COREDNS, ETCD, Finding
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version

_VERSION = re.compile(r"^(?:Kubernetes |etcd Version: |CoreDNS-)(v?\d\S*)", re.M)
_FLAG = re.compile(r"(?:unknown flag: --|flag provided but not defined: --?)([A-Za-z0-9._-]+)")
_GATE = re.compile(r"unrecognized feature gate: ([A-Za-z0-9]+)")
_REFUSED = re.compile(r"cannot set feature gate ([A-Za-z0-9]+) to (\w+), (feature is [^\]\n\",]+)")
#: In the help of kube-apiserver's flags (k8s.io/apiserver, pkg/server/options/admission.go).
_PLUGINS = re.compile(
    r"--enable-admission-plugins .*delimited list of admission plugins: ([\w, ]+)\."
)
_NAME_PLUGINS = ("enable-admission-plugins", "disable-admission-plugins", "admission-control")
_DEPRECATED = re.compile(r"^Flag --([A-Za-z0-9._-]+) has been deprecated, (.+)$", re.M)
#: Reasons with which the kubelet gives up a container's image. After ErrImagePull it tries again.
_NO_IMAGE = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NO_START = ("CreateContainerError", "CreateContainerConfigError", "RunContainerError")
_LONGEST = 300


@dataclass(frozen=True)
class Question:
    """One program that is asked: the component, its node, and the image."""

    component: str
    node: str
    image: str


@dataclass(frozen=True)
class Answer:
    """What the program said. ``flags`` and ``gates`` are names that it does not know."""

    found: tuple[Finding, ...] = ()
    flags: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()


def is_final(status: Mapping[str, Any]) -> bool:
    """Return whether a container's ``status`` shows the end of its one try."""
    waiting = (status.get("state") or {}).get("waiting") or {}
    return bool(
        (status.get("state") or {}).get("terminated")
        or waiting.get("reason") in (*_NO_IMAGE, *_NO_START)
    )


def answer(
    question: Question, status: Mapping[str, Any], log: str | None, target: Target
) -> Answer:
    """Return the answer in a container's final ``status`` and its ``log`` (None: not readable)."""
    state = status.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated")
    if ended is None:
        return _found(_not_started(question, waiting.get("reason", ""), waiting.get("message", "")))
    said = f"{ended.get('message') or ''}\n{log or ''}"
    if ended.get("exitCode") == 0:
        return Answer(tuple(_of_version(question, said, log, target)))
    if ended.get("reason") == "StartError" or "exec format error" in said:
        return _found(_not_started(question, "", said))
    return _refused(question, said, int(ended.get("exitCode") or 0), target)


def plugins(
    question: Question, flags: Iterable[tuple[str, str]], help_text: str, target: Target
) -> Answer:
    """Return which admission plugins the ``flags`` name that the target's ``help_text`` does not.

    The program itself refuses such a name only when it has read its other files.
    """
    known = _PLUGINS.search(help_text)
    if known is None:
        return Answer()
    there = {name.strip() for name in known[1].split(",")}
    return Answer(
        tuple(
            _block(
                question,
                f"{target.version} has no admission plugin {name} (--{flag})",
                f"Take it off first, with `kubectl selfhost rollout {question.component} "
                f"--set-flag={flag}=NAMES`.",
            )
            for flag, value in flags
            if flag in _NAME_PLUGINS
            for name in value.split(",")
            if name and name not in there
        )
    )


def _found(*found: Finding) -> Answer:
    return Answer(found)


def _not_started(question: Question, reason: str, message: str) -> Finding:
    image = question.image
    if "exec format error" in message or "no match for platform" in message:
        return _block(
            question,
            f"the image {image} is for another kind of CPU",
            "Push the image for this node's CPU, or one for all.",
        )
    if "executable file not found" in message or "no such file or directory" in message:
        return _block(
            question,
            f"the image {image} has no program {question.component.lower()}",
            "Look whether the image is the right one.",
        )
    if reason in _NO_IMAGE:
        return _block(
            question,
            f"the node can't get the image {image} ({_line(_cause(message)) or reason})",
            "Look at the version's spelling and at the registry; without a registry, load the image "
            "into the node.",
        )
    return _block(
        question,
        f"a container of {image} does not start ({_line(message) or reason})",
        f"`kubectl -n kube-system get events` shows more of node {question.node}.",
    )


def _of_version(question: Question, said: str, log: str | None, target: Target) -> list[Finding]:
    found = [
        _told(question, f"--{name} is deprecated: {why.rstrip('.')}")
        for name, why in dict.fromkeys(_DEPRECATED.findall(said))
    ]
    told = _VERSION.search(said)
    version = Version.parse(told[1]) if told else None
    if version is None:
        why = "its version could not be read" if log is None else "it does not say its version"
        return [*found, _told(question, f"the image {question.image} runs; {why}")]
    if question.component in (ETCD, COREDNS):
        wanted = plain(target.tags[question.component])
        fits = wanted is not None and wanted.release == version.release
    else:
        wanted = target.version
        fits = wanted == version
    if fits:
        return found
    wrong = _block(
        question,
        f"the image {question.image} holds {version}, not {wanted}",
        "Look at the tag in the registry, and whether the node has an old copy of the image.",
    )
    return [*found, wrong]


def _refused(question: Question, said: str, code: int, target: Target) -> Answer:
    version = target.version
    flags, gates = _names(_FLAG, said), _names(_GATE, said)
    fixed = list(dict.fromkeys(_REFUSED.findall(said)))
    found = [
        _block(
            question,
            f"{version} has no flag --{name}",
            f"To remove the flag with the upgrade, add --unset-flag={name}.",
        )
        for name in flags
    ]
    found += [
        _block(
            question,
            f"{version} has no feature gate {name}",
            f"To remove the gate with the upgrade, add --unset-gate={name}.",
        )
        for name in gates
    ]
    found += [
        _block(
            question,
            f"{version} refuses feature gate {name}={value}: {why}",
            f"To remove the gate with the upgrade, add --unset-gate={name}.",
        )
        for name, value, why in fixed
    ]
    if not found:
        last = [line for line in said.splitlines() if line.strip()]
        why = _line(last[-1]) if last else f"exit code {code}"
        found.append(
            _block(
                question,
                f"{version} refuses the flags that are in use ({why})",
                "Change the flag with `kubectl selfhost rollout`, then run the upgrade.",
            )
        )
    return Answer(tuple(found), tuple(flags), (*gates, *[name for name, _, _ in fixed]))


def _names(form: re.Pattern[str], said: str) -> list[str]:
    return list(dict.fromkeys(form.findall(said)))


def _cause(message: str) -> str:
    """Return the end of the kubelet's message about an image, which names the image several times."""
    return message.rpartition('": ')[2]


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3]}..."


def _block(question: Question, value: str, remedy: str) -> Finding:
    return Finding(question.component, value, blocks=True, remedy=remedy, node=question.node)


def _told(question: Question, value: str) -> Finding:
    return Finding(question.component, value, node=question.node)

"""The look at the whole control plane for the status page.

If an object can't be read (for example because a permission is missing), the page shows the rest
and reports what is missing. The survey fails only if it can read neither nodes nor pods.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from typing import Any

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import (
    CONFIGMAPS,
    DAEMONSETS,
    ENDPOINTSLICES,
    LEASES,
    NODES,
    PODS,
)
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.instance import instances_of
from kubectl_selfhost.controlplane.program import Carrier
from kubectl_selfhost.controlplane.values import x509
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.health.certificates import YOUR_CLIENT, Expiry
from kubectl_selfhost.health.credentials import from_journal
from kubectl_selfhost.health.observe import led, observe
from kubectl_selfhost.health.state import ControlPlane
from kubectl_selfhost.health.verdict import Survey
from kubectl_selfhost.names import (
    ADDRESS_SLICE,
    AGENT_LABELS,
    CONTROL_PLANE_LABEL,
    JOURNAL,
    NAMESPACE,
    selector,
)
from kubectl_selfhost.node import binaries, program

_AT_ONCE = 8
PROGRAMS = "the node agent's program"
_SLICE = f"EndpointSlice {ADDRESS_SLICE}"
_ESSENTIAL = ("nodes", "pods", "self-hosted pods", "daemonsets", "leases")
_ABOUT_PODS = ("pods", "self-hosted pods", "agents")
_LEASE = "lease"


def survey(cluster: Cluster) -> Survey:
    """Read all that the status page shows, in parallel; change nothing.

    Raise the SelfhostError (Unreachable, Unauthorized, ...) if neither nodes nor pods could be
    read.
    """
    got, failed = _ask(_questions(cluster))
    if not got.get("nodes") and "pods" not in got:
        raise failed["pods"]
    more, failed_more = _ask(_more_questions(cluster, got))
    failed |= failed_more
    control_plane = observe(
        nodes=got.get("nodes", []),
        pods=_once([*_pods(got), *_pods(more)]),
        daemonsets=got.get("daemonsets", []),
        leases=[*got.get("leases", []), *_leases(more)],
        configmaps=[one for one in [got.get("journal")] if one],
        endpointslices=[one for one in [got.get(_SLICE)] if one],
        programs=more.get(PROGRAMS, []),
        own_programs=_own_programs(got.get("nodes", [])),
    )
    return Survey(
        context=cluster.context,
        server=cluster.server,
        control_plane=control_plane,
        version=got.get("version", ""),
        taken=datetime.now(timezone.utc),
        certificates=[
            *_certificates(got, mine=cluster.transport.login.certificate),
            *_on_nodes(control_plane),
        ],
        unread={name: error.message for name, error in failed.items()},
        essential=_ESSENTIAL,
    )


def _questions(cluster: Cluster) -> dict[str, Callable[[], Any]]:
    """Return the questions to the API, each with its subject.

    Large clusters have thousands of pods in kube-system, so the questions name labels. A question
    can't ask for pods with one label or another.
    """
    from kubectl_selfhost.cluster.certificate import served_certificate

    ours = f"k8s-app in ({','.join(c.daemonset for c in COMPONENTS)})"
    agents = selector(AGENT_LABELS)
    return {
        "pods": lambda: cluster.list(PODS, NAMESPACE, labels="tier=control-plane"),
        "nodes": lambda: cluster.list(NODES, labels=CONTROL_PLANE_LABEL),
        "self-hosted pods": lambda: cluster.list(PODS, NAMESPACE, labels=ours),
        "agents": lambda: cluster.list(PODS, NAMESPACE, labels=agents),
        "daemonsets": lambda: cluster.list(DAEMONSETS, NAMESPACE),
        "leases": lambda: cluster.list(LEASES, NAMESPACE),
        "journal": lambda: cluster.find(CONFIGMAPS, JOURNAL, NAMESPACE),
        _SLICE: lambda: cluster.find(ENDPOINTSLICES, ADDRESS_SLICE, "default"),
        "version": lambda: json.loads(cluster.raw("GET", "/version")[1])["gitVersion"],
        "authority": lambda: cluster.find(CONFIGMAPS, "kube-root-ca.crt", NAMESPACE),
        "certificate": lambda: served_certificate(cluster),
    }


def _programs(cluster: Cluster, answers: Mapping[str, Any]) -> list[Carrier]:
    """Compare the programs that DaemonSets name, and the objects with the names of this build's
    programs.

    Without a self-hosted DaemonSet, ask nothing: a person who looks at a cluster of static pods need
    not have the permission to read Secrets.
    """
    by_name = {one["metadata"]["name"]: one for one in answers.get("daemonsets", [])}
    ours = [by_name[own.daemonset] for c in COMPONENTS for own in c.groups_in(by_name)]
    if not ours or "nodes" not in answers:
        return []
    return program.carriers(cluster, ours, _own_programs(answers["nodes"]))


def _own_programs(nodes: Iterable[dict]) -> set[str]:
    """Return the names of the Secrets with this build's programs for the CPUs of the nodes."""
    arches = {one["status"].get("nodeInfo", {}).get("architecture") for one in nodes}
    return {binaries.secret_name(arch) for arch in arches & set(binaries.ARCHITECTURES)}


def _more_questions(cluster: Cluster, got: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return the questions that the first answers leave open: about pods without kubeadm's labels,
    on nodes where a component has no labelled pod, and about a lease in another namespace.
    """

    pods = _once(_pods(got))
    questions: dict[str, Callable[[], Any]] = {
        f"pods on {name}": partial(cluster.list, PODS, NAMESPACE, fields=f"spec.nodeName={name}")
        for name in _unexplained(got.get("nodes", []), pods)
    }
    questions[PROGRAMS] = partial(_programs, cluster, got)
    for component in led(pods):
        if component.lease and component.lease_namespace != NAMESPACE:
            where = component.lease_namespace
            questions[f"{_LEASE} {component.lease} in {where}"] = partial(
                cluster.find, LEASES, component.lease, where
            )
    return questions


def _unexplained(nodes: list[dict], pods: list[dict]) -> list[str]:
    """Return the nodes on which some component has no pod among ``pods``."""
    names = [node["metadata"]["name"] for node in nodes]
    seen = {
        (instance.node, component)
        for component in COMPONENTS
        for instance in instances_of(pods, component)
    }
    return [
        name for name in names if any((name, component) not in seen for component in COMPONENTS)
    ]


def _pods(answers: dict[str, Any]) -> list[dict]:
    """Return the pods in all answers about pods."""
    about = [name for name in answers if name in _ABOUT_PODS or name.startswith("pods on ")]
    return [pod for name in about for pod in answers[name]]


def _leases(answers: dict[str, Any]) -> list[dict]:
    return [one for name, one in answers.items() if name.startswith(f"{_LEASE} ") and one]


def _ask(
    questions: dict[str, Callable[[], Any]],
) -> tuple[dict[str, Any], dict[str, SelfhostError]]:
    """Return the answers to ``questions``, asked in parallel, and the errors of those that failed."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        asked = {name: pool.submit(_answer, question) for name, question in questions.items()}
        answers = {name: future.result() for name, future in asked.items()}
    failed = {n: a for n, a in answers.items() if isinstance(a, SelfhostError)}
    return {n: a for n, a in answers.items() if n not in failed}, failed


def _answer(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except SelfhostError as error:
        return error
    except (ValueError, KeyError, TypeError) as error:
        return SelfhostError(f"the API server's answer could not be read ({error})")


def _once(pods: list[dict]) -> list[dict]:
    """Return each pod once: several questions may have found the same pod."""
    return list({pod["metadata"]["uid"]: pod for pod in pods}.values())


def _certificates(got: dict[str, Any], *, mine: bytes) -> list[Expiry]:
    """Return the certificates that this machine can see; it can't see the files on the nodes."""
    authority = ((got.get("authority") or {}).get("data") or {}).get("ca.crt", "")
    seen = [
        ("API server", got.get("certificate"), "apiserver"),
        ("cluster CA", x509.first_in_pem(authority.encode()), ""),
        (YOUR_CLIENT, x509.first_in_pem(mine), ""),
    ]
    ends = [(what, x509.not_after(der), renew) for what, der, renew in seen if der]
    return [Expiry(what, end, renew) for what, end, renew in ends if end is not None]


def _on_nodes(seen: ControlPlane) -> list[Expiry]:
    """Return the certificates in the nodes' files, as the last run that looked has seen them."""
    names = [node.name for node in seen.nodes]
    return [
        Expiry(one.name, one.not_after, one.name, one.node)
        for one in from_journal(seen.journal, names)
    ]

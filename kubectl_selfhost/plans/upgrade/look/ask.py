"""Asks the target itself: on each control-plane node a short pod with one container per component.

The pod brings the images to the node before the roll-out needs them. The pods run before the person
has agreed, because what they say is a part of the plan; they change nothing but the images that the
node has, and are deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import Forbidden, Rejected
from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.cluster.waits import TimedOut, Waiting, wait_until
from kubectl_selfhost.controlplane.pod.flags import all_of_container
from kubectl_selfhost.controlplane.pod.status import phase_and_restarts, reason
from kubectl_selfhost.controlplane.upgrade import unset
from kubectl_selfhost.controlplane.upgrade.answer import Answer, Question, answer, is_final, plugins
from kubectl_selfhost.controlplane.upgrade.findings import APISERVER, COREDNS, KUBELET, Finding
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE, QUESTION_LABELS, selector
from kubectl_selfhost.plans.upgrade.look.pod import Asked, manifest
from kubectl_selfhost.plans.upgrade.look.programs import Program
from kubectl_selfhost.plans.upgrade.options import UpgradeOptions

#: A program names the first flag that it does not know, so it is asked again without this flag.
_ROUNDS = 10
#: Seconds: a pod whose creation got no answer is asked for again.
_PATIENCE = 10.0
_LINES = 1000


def ask(
    cluster: Cluster,
    programs: Sequence[Program],
    nodes: Sequence[str],
    target: Target,
    options: UpgradeOptions,
    observer: Observer,
) -> list[Finding]:
    """Return what the target's programs say on the control-plane ``nodes``.

    Raise SelfhostError for a name of --unset-flag or --unset-gate that no program has.
    """
    asked = list(_questions(programs, nodes, target, options))
    # An upgrade that has begun may have taken the names off already.
    if all(one.question.image != one.program.running.image for one in asked):
        unset.require_known(
            [one.program.container for one in asked],
            flags=options.unset_flags,
            gates=options.unset_gates,
        )
    _remove_leftovers(cluster)
    there = ", ".join(dict.fromkeys(one.question.node for one in asked))
    observer.note(f"Short pods on {there} ask the images of {target.version} for their version.")
    found: list[Finding] = []
    for _ in range(_ROUNDS):
        again = []
        for one, said in _round(cluster, asked, target, options, observer, found):
            found += said.found
            one.flags += said.flags
            one.gates += said.gates
            if said.flags or said.gates:
                again.append(one)
        asked = again
        if not asked:
            break
    return found


def _questions(
    programs: Sequence[Program], nodes: Sequence[str], target: Target, options: UpgradeOptions
) -> Iterable[Asked]:
    """Yield a question for each component on each control-plane node that an upgrade changes:
    CoreDNS and kubelets are left to kubeadm and to packages.
    """
    for one in programs:
        left = one.component in (COREDNS, KUBELET) or not target.tags.get(one.component)
        if left or one.node not in nodes:
            continue
        image = target.image(one.component, one.running.image)
        question = Question(one.component, one.node, image)
        yield Asked(question, one, list(options.unset_flags), list(options.unset_gates))
        if one.component == APISERVER and one.container.get("command"):
            yield Asked(question, one, plugins=True)


def _round(
    cluster: Cluster,
    asked: Sequence[Asked],
    target: Target,
    options: UpgradeOptions,
    observer: Observer,
    found: list[Finding],
) -> list[tuple[Asked, Answer]]:
    """Run a pod on each node, and return the answers; add what concerns a whole pod to ``found``."""
    by_node: dict[str, list[Asked]] = {}
    for one in asked:
        by_node.setdefault(one.question.node, []).append(one)
    made: dict[str, str] = {}
    try:
        for node, some in by_node.items():
            pod = manifest(node, some, limit=options.timeout)
            try:
                made[node] = pod["metadata"]["name"]
                cluster.with_patience(_PATIENCE).create(PODS, pod)
            except (Rejected, Forbidden) as error:
                del made[node]
                found.append(_not_asked(node, error.detail or error.message))
        pods = _ended(cluster, made, options.timeout, observer)
        return [
            pair
            for node, pod in pods.items()
            for pair in _answers(cluster, pod, by_node[node], target, options, found)
        ]
    finally:
        for name in made.values():
            with suppress(SelfhostError):
                cluster.delete(PODS, name, NAMESPACE, grace_seconds=0)


def _ended(
    cluster: Cluster, made: dict[str, str], timeout: float, observer: Observer
) -> dict[str, dict]:
    """Return the pods by node once all have ended, or as they are after ``timeout`` seconds."""
    last: dict[str, dict] = {}

    def check() -> bool:
        for node, name in made.items():
            last[node] = cluster.get(PODS, name, NAMESPACE)
        for node, pod in last.items():
            if not _is_over(pod):
                raise Waiting(f"the pod on {node}: {phase_and_restarts(pod)[0]}")
        return True

    with suppress(TimedOut):
        wait_until(
            check,
            what="the target's images to say their version",
            timeout=timeout,
            tell=observer.step_waiting,
        )
    return last


def _is_over(pod: dict) -> bool:
    status = pod.get("status") or {}
    if status.get("phase") in ("Failed", "Succeeded"):
        return True
    containers = status.get("containerStatuses") or []
    return bool(containers) and all(is_final(one) for one in containers)


def _answers(
    cluster: Cluster,
    pod: dict,
    asked: Sequence[Asked],
    target: Target,
    options: UpgradeOptions,
    found: list[Finding],
) -> Iterable[tuple[Asked, Answer]]:
    status = pod.get("status") or {}
    by_name = {one["name"]: one for one in status.get("containerStatuses") or []}
    if _is_over(pod) and not by_name:
        found.append(_not_asked(asked[0].question.node, reason(status, {}, "Failed")))
        return
    for one in asked:
        of_container = by_name.get(one.container, {})
        if is_final(of_container):
            log = _log(cluster, pod, one.container, of_container)
            if one.plugins:
                flags = all_of_container(dict(one.program.container))
                yield one, plugins(one.question, flags, log or "", target)
            else:
                yield one, answer(one.question, of_container, log, target)
        else:
            yield one, Answer((_late(one.question, pod, options),))


def _log(cluster: Cluster, pod: dict, container: str, status: dict) -> str | None:
    if not (status.get("state") or {}).get("terminated"):
        return ""
    try:
        return cluster.logs(pod["metadata"]["name"], container, tail=_LINES)
    except SelfhostError:
        return None


def _late(question: Question, pod: dict, options: UpgradeOptions) -> Finding:
    return Finding(
        question.component,
        f"after {options.timeout:.0f} s the node has not run the image {question.image} "
        f"({phase_and_restarts(pod)[0]})",
        blocks=True,
        remedy="If the node still pulls the image, run the command again, or add --timeout=20m.",
        node=question.node,
    )


def _not_asked(node: str, why: str) -> Finding:
    return Finding(
        "The new images",
        node=node,
        value=f"could not be asked, because their pod may not run ({why.rstrip('.')})",
        remedy="A new pod that does not get Ready is rolled back.",
    )


def _remove_leftovers(cluster: Cluster) -> None:
    """Remove the pods that a killed command has left. Another command's pods have not ended yet."""
    labels = selector(QUESTION_LABELS)
    for pod in cluster.list(PODS, NAMESPACE, labels=labels):
        if _is_over(pod):
            cluster.delete(PODS, pod["metadata"]["name"], NAMESPACE, grace_seconds=0)

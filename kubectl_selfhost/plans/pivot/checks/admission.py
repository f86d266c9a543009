"""The checks of what the cluster does with the objects that a pivot creates."""

from __future__ import annotations

import copy

from kubectl_selfhost.cluster.kinds import PODS, SECRETS
from kubectl_selfhost.controlplane.daemonset.admission import admission_changes, pulls
from kubectl_selfhost.engine.preflight import FAILED, WARNING, Finding, ok
from kubectl_selfhost.names import NAMESPACE, cut
from kubectl_selfhost.node import binaries, program
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.plans.pivot.checks.look import Look


def agent_program(look: Look) -> Finding:
    """Compare the node agent's program with the stored programs, also those of existing DaemonSets."""
    pivot = look.pivot
    why = "it would run as root on the control-plane nodes"
    try:
        program.refuse_foreign(look.cluster, (one.target.arch for one in pivot.nodes))
    except program.ForeignProgram as error:
        return Finding("AgentProgram", FAILED, error.message, why, error.hint)
    found = program.carriers(look.cluster, pivot.groups.staying())
    for one in found:
        if one.wrong:
            foreign = program.ForeignProgram(one.reference, one.wrong)
            return Finding("AgentProgram", FAILED, foreign.message, why, foreign.hint)
    missing = [one for one in found if one.missing]
    if missing:
        return Finding(
            "AgentProgram",
            FAILED,
            f"the {missing[0].reference} is gone",
            f"the pods of {', '.join(missing[0].daemonsets)} can't start without it",
            "`kubectl selfhost rollout` gives them this build's program.",
        )
    former = [one for one in found if one.former]
    if former:
        return Finding(
            "AgentProgram",
            WARNING,
            f"the pods of {', '.join(former[0].daemonsets)} start from the {former[0].reference}",
            f"whoever may write ConfigMaps in {NAMESPACE} can replace it",
            "Afterwards `kubectl selfhost rollout` gives them this build's program, in a Secret.",
        )
    return ok("AgentProgram", "no foreign program has its name")


def admission(look: Look) -> Finding:
    changes, pulled = _tried(look)
    if changes:
        return Finding(
            "Admission",
            FAILED,
            "a webhook or policy changes the pods of kubectl selfhost: " + "; ".join(changes),
            "the new pods would differ from the pods that run now",
            f"Exempt {NAMESPACE} from the webhook or policy.",
        )
    if pulled:
        return Finding(
            "Admission",
            WARNING,
            f"admission (AlwaysPullImages) makes the new pods pull {', '.join(pulled)}",
            "the node agent's pod, and the DaemonSets' pods at each start, must pull images that the "
            "node already has: so the registry must answer",
            "If the registry does not answer, the run ends before it switches a component.",
        )
    return ok("Admission", "the cluster accepts the DaemonSets and pods unchanged")


def _tried(look: Look) -> tuple[list[str], list[str]]:
    """Return what admission changes in the plan's pods, and the images that it makes them pull;
    by a dry run.
    """

    pivot = look.pivot
    tried: list[tuple[str, dict, dict]] = []
    for one in pivot.nodes:
        look.cluster.create(SECRETS, _trial(binaries.secret(one.target.arch)), dry_run=True)
        manifest = agent_pod.manifest(one.target)
        pod = look.cluster.create(PODS, _trial(manifest), dry_run=True)
        tried.append((f"the node agent on {one.node}", manifest, pod))
    for manifest in pivot.groups.made():
        look.cluster.apply(manifest, dry_run=True)
    for manifest in pivot.groups.daemonsets():
        template = manifest["spec"]["template"]
        pod = look.cluster.create(PODS, _pod_of(template, manifest), dry_run=True)
        tried.append((manifest["metadata"]["name"], template, pod))
    changes = [
        f"{what}: {change}"
        for what, wanted, pod in tried
        for change in admission_changes(wanted, pod)
    ]
    pulled = [image for _, wanted, pod in tried for image in pulls(wanted, pod)]
    return changes, list(dict.fromkeys(pulled))


def _trial(manifest: dict) -> dict:
    """Return the manifest under a name that nothing has, for a dry run beside the real object."""
    trial = copy.deepcopy(manifest)
    trial["metadata"]["generateName"] = f"{cut(trial['metadata'].pop('name'), 40)}-trial-"
    return trial


def _pod_of(template: dict, manifest: dict) -> dict:
    """Return the pod that the DaemonSet controller would make of a template."""
    metadata = copy.deepcopy(template["metadata"])
    metadata["generateName"] = manifest["metadata"]["name"] + "-"
    metadata["namespace"] = NAMESPACE
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": copy.deepcopy(template["spec"]),
    }

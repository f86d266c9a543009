"""The changes that admission makes to a DaemonSet's pods."""

from __future__ import annotations

from copy import deepcopy

from kubectl_selfhost.controlplane.pod import profiles
from kubectl_selfhost.controlplane.pod.defaults import containers, with_defaults
from kubectl_selfhost.controlplane.pod.difference import Difference, compare

#: Fields that the DaemonSet controller, the scheduler and admission always add to a pod.
_ALWAYS_ADDED = ("nodeName", "tolerations", "affinity", "priority", "preemptionPolicy")
_SERVICE_ACCOUNT = ("serviceAccount", "serviceAccountName", "imagePullSecrets")
_API_ACCESS = "kube-api-access-"


def admission_changes(template: dict, pod: dict) -> list[str]:
    """Return the differences that admission made between ``template`` and a DaemonSet's ``pod``,
    in words.

    Leave out normal additions: defaults, the fields of the DaemonSet controller and the scheduler
    (tolerations, node affinity, the node's name), priority, and the service account. Leave out a
    pull policy that AlwaysPullImages has made Always (see ``pulls``). Report a token that is mounted
    against the template: with a token the API server can't start without an API server.
    """
    wanted, actual = (_as_it_runs(one) for one in (template, pod))
    for field in _ALWAYS_ADDED + _SERVICE_ACCOUNT:
        wanted.pop(field, None)
        actual.pop(field, None)
    if wanted.get("automountServiceAccountToken", True):
        _take_off_token(actual)
    found = compare({"spec": wanted}, {"spec": actual})
    return [str(one) for one in found if not _is_a_pull(one)]


def pulls(template: dict, pod: dict) -> list[str]:
    """Return the images that a ``pod`` of ``template`` must pull at each start because of admission."""
    wanted, actual = (_as_it_runs(one) for one in (template, pod))
    found = [one.path for one in compare({"spec": wanted}, {"spec": actual}) if _is_a_pull(one)]
    by_path = {
        f"spec.{kind}[{container['name']}].imagePullPolicy": str(container["image"])
        for kind in ("initContainers", "containers")
        for container in actual.get(kind) or []
    }
    return list(dict.fromkeys(by_path[path] for path in found))


def _is_a_pull(one: Difference) -> bool:
    return one.path.endswith("].imagePullPolicy") and one.b == "Always"


def _as_it_runs(pod: dict) -> dict:
    """Return a pod's spec with its defaults, and with its security profiles as fields."""
    whole = deepcopy({"metadata": pod.get("metadata") or {}, "spec": pod["spec"]})
    profiles.as_fields(whole)
    spec: dict = with_defaults(whole)["spec"]
    return spec


def _take_off_token(spec: dict) -> None:
    for container in containers(spec):
        mounts = container.get("volumeMounts", [])
        kept = [one for one in mounts if not one["name"].startswith(_API_ACCESS)]
        container["volumeMounts"] = kept
    volumes = spec.get("volumes", [])
    spec["volumes"] = [one for one in volumes if not one["name"].startswith(_API_ACCESS)]

"""What admission makes of a DaemonSet's pods."""

from __future__ import annotations

from copy import deepcopy

from kubectl_selfhost.controlplane.pod import profiles
from kubectl_selfhost.controlplane.pod.defaults import containers, with_defaults
from kubectl_selfhost.controlplane.pod.difference import Difference, compare

#: What the DaemonSet controller, the scheduler and admission always add to its pods.
_ALWAYS_ADDED = ("nodeName", "tolerations", "affinity", "priority", "preemptionPolicy")
_SERVICE_ACCOUNT = ("serviceAccount", "serviceAccountName", "imagePullSecrets")
_API_ACCESS = "kube-api-access-"


def admission_changes(template: dict, pod: dict) -> list[str]:
    """Return what admission made different in a DaemonSet's ``pod`` from its ``template``, in
    words.

    Leave out what belongs there: defaults, what the DaemonSet controller and the scheduler add
    (tolerations, node affinity, the node's name), priority, the service account; and a pull policy
    that AlwaysPullImages has made Always (see ``pulls``). Name a token that is mounted though the
    template asks for none: with this token the API server could not start without an API server.
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
    """Return the images that admission makes a ``pod`` of ``template`` pull at each start."""
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

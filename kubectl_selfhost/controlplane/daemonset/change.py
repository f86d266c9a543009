"""A change of a self-hosted component: the pod template of its DaemonSet after the change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset.facts import PROBE_ADDRESSES, WAIT_CONTAINER
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.defaults import actions
from kubectl_selfhost.controlplane.pod.staticpod import component_container
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.errors import SelfhostError

#: Each rollout sets a new value, so that pods are replaced even if nothing else changes. kubectl's own
#: annotation (kubectl.kubernetes.io/restartedAt) is not used: it means `kubectl rollout restart`.
ROLLED_OUT_ANNOTATION = "kubectl-selfhost/rolled-out-at"

#: Flags that must be the same in two instances side by side, and why.
_FIXED = {
    "bind-address": "the old and the new instance could not share the port",
    "secure-port": "clients that know the component's address would not find it",
    "permit-port-sharing": "the next rollout would interrupt the service",
}


@dataclass(frozen=True)
class Change:
    """A person's change: the new image (empty: no change), flags to set, flags to remove.

    Names of flags have no dashes. A flag has all its values, in order, because some flags may be
    repeated (``--service-account-issuer``).
    """

    image: str = ""
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.image or self.flags or self.without)


def changed(daemonset: dict, component: Component, change: Change, *, now: str) -> dict:
    """Return the DaemonSet with the ``change`` in its pod template; an annotation records ``now``.

    The probes' address of an API server changes, too: so probes tell the old and the new instance
    apart. Raise SelfhostError for a flag that must not change, or does not exist.
    """
    new = deepcopy(daemonset)
    template = new["spec"]["template"]
    container = component_container({**template, "metadata": template.get("metadata", {})})
    for name in (*change.flags, *change.without):
        if name in _FIXED:
            raise SelfhostError(f"A rollout can't change --{name} of {component}: {_FIXED[name]}.")
    for name in set(change.flags) & set(change.without):
        raise SelfhostError(
            f"--set-flag and --unset-flag both name --{name} of {component}.",
            "Use only one of them for this flag.",
        )
    for name, values in change.flags.items():
        component_flags.with_flag(container, name, *values)
    for name in change.without:
        if not component_flags.without_flag(container, name):
            raise SelfhostError(
                f"{component} has no flag --{name} to remove.",
                "Leave --unset-flag out for this flag.",
            )
    if change.image:
        _set_image(template["spec"], container, change.image)
    if component == APISERVER:
        _probe_elsewhere(container)
    _refuse_another_lease(component, daemonset, new)
    _refuse_another_way(component, daemonset["spec"]["template"], template)
    metadata = template.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), ROLLED_OUT_ANNOTATION: now}
    return new


def probe_address(daemonset: dict) -> str:
    """Return the loopback address at which the pods of an API server's DaemonSet are probed; empty
    for none.
    """
    container = component_container(daemonset["spec"]["template"])
    hosts = {handler.get("httpGet", {}).get("host", "") for _, handler in actions(container)}
    return next((host for host in PROBE_ADDRESSES if host in hosts), "")


def _refuse_another_lease(component: Component, before: dict, after: dict) -> None:
    """Refuse a change of the lease: the old and the new instance run side by side, and only with a
    common lease they do not both lead.
    """
    leases = [
        (led.lease, led.lease_namespace)
        for one in (before, after)
        for led in [staticpod.led_as(one["spec"]["template"], component)]
    ]
    if leases[0] != leases[1]:
        raise SelfhostError(
            f"A rollout can't change the lease of {component}: the old and the new instance would "
            "both lead.",
            f"Run `kubectl selfhost revert --component {component}`, change the manifest on the node, "
            "wait until the static pod is Ready, then run `kubectl selfhost pivot`.",
        )


def _refuse_another_way(component: Component, before: dict, after: dict) -> None:
    """Refuse a change after which two instances may no longer run side by side, or may from then on."""
    alone = beside.one_at_a_time(component, before), beside.one_at_a_time(component, after)
    shares = component_flags.of_container(component_container(before)).get("permit-port-sharing")
    if bool(alone[0]) != bool(alone[1]) or (alone[0] and shares not in (None, "false")):
        raise SelfhostError(
            f"A rollout can't make this change of {component}: {alone[1] or alone[0]}.",
            "Run `kubectl selfhost revert`, change the manifests on the nodes, then run "
            "`kubectl selfhost pivot`.",
        )


def _set_image(spec: dict, container: dict, image: str) -> None:
    """Set the image of the component, and of the container that waits for the port."""
    for waiter in spec.get("initContainers") or []:
        if waiter["name"] == WAIT_CONTAINER and waiter["image"] == container["image"]:
            waiter["image"] = image
    container["image"] = image


def _probe_elsewhere(container: dict) -> None:
    for _, handler in actions(container):
        target = handler.get("httpGet", {})
        if target.get("host") in PROBE_ADDRESSES:
            others = [one for one in PROBE_ADDRESSES if one != target["host"]]
            target["host"] = others[0]

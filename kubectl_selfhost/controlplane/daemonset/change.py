"""A change of a self-hosted component: what its DaemonSet's pods are made from after the change."""

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

#: Set anew by each roll-out, so that pods are replaced even if nothing else changes. kubectl's own
#: annotation (kubectl.kubernetes.io/restartedAt) is not used: it means `kubectl rollout restart`.
ROLLED_OUT_ANNOTATION = "kubectl-selfhost/rolled-out-at"

#: Two instances that differ in these can't share a port, or can't be told apart while they do.
_FIXED = {
    "bind-address": "the two instances would not share the port",
    "secure-port": "whoever knows the component's address would look for it in vain",
    "permit-port-sharing": "the next roll-out would break off service",
}


@dataclass(frozen=True)
class Change:
    """The change that a person wants: the image (empty: as it is), flags to set, flags to remove.

    Names of flags have no dashes. A flag has all its values, in order: some flags add up when they
    are repeated (``--service-account-issuer``).
    """

    image: str = ""
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.image or self.flags or self.without)


def changed(daemonset: dict, component: Component, change: Change, *, now: str) -> dict:
    """Return the DaemonSet with ``change`` made in its pod template; an annotation keeps ``now``.

    The address at which an apiserver is probed changes too, so that the old and the new instance
    can be told apart. Raise SelfhostError for a flag that must not be changed, or isn't there.
    """
    new = deepcopy(daemonset)
    template = new["spec"]["template"]
    container = component_container({**template, "metadata": template.get("metadata", {})})
    for name in (*change.flags, *change.without):
        if name in _FIXED:
            raise SelfhostError(
                f"--{name} of {component} can't be changed by a roll-out: {_FIXED[name]}."
            )
    for name in set(change.flags) & set(change.without):
        raise SelfhostError(
            f"--{name} of {component} is to be set and to be taken off at once.",
            "Give --set-flag or --unset-flag for it, not both.",
        )
    for name, values in change.flags.items():
        component_flags.with_flag(container, name, *values)
    for name in change.without:
        if not component_flags.without_flag(container, name):
            raise SelfhostError(f"{component} has no flag --{name} that could be taken off.")
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
    """Return the loopback address at which an apiserver's DaemonSet has its pods probed; empty for
    none.
    """
    container = component_container(daemonset["spec"]["template"])
    hosts = {handler.get("httpGet", {}).get("host", "") for _, handler in actions(container)}
    return next((host for host in PROBE_ADDRESSES if host in hosts), "")


def _refuse_another_lease(component: Component, before: dict, after: dict) -> None:
    """Refuse a change of the lease: two instances run side by side, and only a common lease keeps
    them from working at once.
    """
    leases = [
        (led.lease, led.lease_namespace)
        for one in (before, after)
        for led in [staticpod.led_as(one["spec"]["template"], component)]
    ]
    if leases[0] != leases[1]:
        raise SelfhostError(
            f"The lease by which {component} leads can't be changed by a roll-out: the old and the "
            "new instance would both lead.",
            f"`kubectl selfhost revert --component {component}`, change the manifest on the node, "
            "wait until it is Ready, then `kubectl selfhost pivot`.",
        )


def _refuse_another_way(component: Component, before: dict, after: dict) -> None:
    """Refuse a change that ends, or begins, the time in which two instances may run
    side by side.
    """
    alone = beside.one_at_a_time(component, before), beside.one_at_a_time(component, after)
    shares = component_flags.of_container(component_container(before)).get("permit-port-sharing")
    if bool(alone[0]) != bool(alone[1]) or (alone[0] and shares not in (None, "false")):
        raise SelfhostError(
            f"{component} can't be rolled out so: {alone[1] or alone[0]}.",
            "Run `kubectl selfhost revert`, change the manifests on the nodes, then run "
            "`kubectl selfhost pivot`.",
        )


def _set_image(spec: dict, container: dict, image: str) -> None:
    """Set the image of the component, and of the container that waits for its port in the same
    image.
    """
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

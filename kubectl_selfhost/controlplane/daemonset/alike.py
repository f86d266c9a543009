"""Whether the control-plane nodes are so similar that one DaemonSet can run a component on all."""

from __future__ import annotations

from copy import deepcopy

from kubectl_selfhost.controlplane.daemonset.facts import PROBE_ADDRESSES, WAIT_CONTAINER
from kubectl_selfhost.controlplane.pod.defaults import actions, containers, with_defaults
from kubectl_selfhost.controlplane.pod.difference import Difference, compare
from kubectl_selfhost.controlplane.program import AGENT_VOLUME


def differences(wanted: dict, own: dict) -> list[Difference]:
    """Return the differences between the pods of the DaemonSet ``own``, made from one node's static
    pod, and the pods of ``wanted``, which is for all nodes.

    In both DaemonSets a field reference or a loopback address replaces the node's own address. The
    comparison leaves out what kubectl selfhost adds: the loopback address at which an API server is
    probed (each rollout changes it), the object with the agent's program, and the requests of the
    container that waits (they may be another build's). It also leaves out the pull policies, which
    AlwaysPullImages changes in a mirror pod.
    """
    return compare(*({"spec": _comparable(one)} for one in (wanted, own)))


def _comparable(daemonset: dict) -> dict:
    template = daemonset["spec"]["template"]
    spec = with_defaults({"spec": deepcopy(template["spec"])})["spec"]
    spec["volumes"] = [one for one in spec.get("volumes", []) if one["name"] != AGENT_VOLUME]
    for container in containers(spec):
        container.pop("imagePullPolicy", None)
        if container["name"] == WAIT_CONTAINER:
            container.pop("resources", None)
        for _, handler in actions(container):
            target = handler.get("httpGet", {})
            if target.get("host") in PROBE_ADDRESSES:
                target["host"] = PROBE_ADDRESSES[0]
    return spec

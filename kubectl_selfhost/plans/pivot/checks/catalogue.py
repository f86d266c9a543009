"""The pre-flight checks of a pivot in their order, each with the name by which a person may ignore
it.

If an earlier check found something missing (no static pods, so no DaemonSets to try), the checks that
need it are skipped: a single cause is a single failure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kubectl_selfhost.engine.preflight import Check, Finding
from kubectl_selfhost.plans.pivot.checks import admission, control_plane, kubelets, static_pods
from kubectl_selfhost.plans.pivot.checks.look import Look

_STATIC = ("StaticPods",)
_LOOKS_AT_KUBELETS = ("Permissions", "StaticPods")
_ALIKE = ("NodesAlike",)
_PLANS = ("StaticPodPath", "Architecture")
_TRIES = ("Permissions", "NodesAlike", "AgentProgram")


#: A check's name, what it looks at, what judges it, and the checks that it needs.
_ALL: list[tuple[str, str, Callable[[Look], Finding], tuple[str, ...]]] = [
    ("Permissions", "your permissions", control_plane.allowed, ()),
    ("ServerVersion", "the server's version", control_plane.server_version, ()),
    ("ControlPlaneNodes", "the control-plane nodes", control_plane.control_plane_nodes, ()),
    ("Ownership", "who else manages the control plane", control_plane.owner, ()),
    ("StaticPods", "the static pods", static_pods.static_pods, ("ControlPlaneNodes", "Ownership")),
    ("StaticPodPath", "the kubelet's staticPodPath", kubelets.path, _LOOKS_AT_KUBELETS),
    (
        "PodCgroups",
        "whether pods have cgroups of their own",
        kubelets.pod_cgroups,
        ("StaticPodPath",),
    ),
    ("Architecture", "the node's CPU", kubelets.architecture, _STATIC),
    ("AdvertiseAddress", "the API server's address", static_pods.advertise_address, _STATIC),
    ("LeaderElection", "the leases of the leaders", static_pods.leader_election, _STATIC),
    ("NodesAlike", "whether the nodes are alike", static_pods.nodes_alike, _PLANS),
    (
        "SideBySide",
        "whether two instances can run side by side",
        static_pods.side_by_side,
        _ALIKE,
    ),
    ("HandOver", "how the ports can change hands", static_pods.handover, _ALIKE),
    ("HeadRoom", "room for the second instances", kubelets.head_room, _ALIKE),
    ("ForeignDaemonSets", "foreign DaemonSets", control_plane.foreign_daemonsets, ()),
    ("AgentProgram", "the node agent's program", admission.agent_program, _PLANS),
    ("Admission", "admission of the new pods", admission.admission, _TRIES),
]


def checks(look: Look) -> list[Check]:
    """Return all checks, in the order in which they are shown."""
    return [Check(name, what, partial(judge, look), needs) for name, what, judge, needs in _ALL]

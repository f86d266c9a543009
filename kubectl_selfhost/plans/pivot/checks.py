"""The pivot's pre-flight checks: each is one method, named as a person may ignore it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cached_property

from kubectl_selfhost.cluster import access
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import PODS, SECRETS
from kubectl_selfhost.cluster.waits import TimedOut, Waiting, wait_until
from kubectl_selfhost.controlplane import ownership
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset.daemonset import admission_changes, pulls, require_fit
from kubectl_selfhost.controlplane.instance import is_ready
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.controlplane.values import resources
from kubectl_selfhost.engine.preflight import FAILED, OK, WARNING, Check, Finding, ok
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import leadership
from kubectl_selfhost.handover.conditions import api_is_ready
from kubectl_selfhost.handover.ways import AUTO
from kubectl_selfhost.names import CONTROL_PLANE_LABEL, FIELD_MANAGER, NAMESPACE, cut
from kubectl_selfhost.node import binaries, program
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.plans.pivot.node import NodePivot
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.pivot.plan import Pivot
from kubectl_selfhost.plans.shared import nodes, permissions
from kubectl_selfhost.plans.shared.situation import (
    NO_POD_CGROUPS,
    SET_CGROUPS,
    WHY_CGROUPS,
    Kubelet,
    Situation,
    read_kubelet,
    read_situation,
)

#: DaemonSet roll-outs with maxSurge are GA since Kubernetes 1.25 (KEP-1591).
OLDEST_MINOR = 25
#: The newest minor version that the cluster tests run on.
NEWEST_TESTED_MINOR = 37


_STATIC = ("StaticPods",)
_LOOKS_AT_KUBELETS = ("Permissions", "StaticPods")
_PLANS = ("StaticPodPath", "Architecture")
_TRIES = ("Permissions", "NodesAlike", "AgentProgram")
_NOT_KUBEADMS = (
    "kubectl selfhost is for control planes that kubeadm has made: static pods of the kubelet"
)


class Preflight:
    """Gathers what a pivot needs to know, and judges it.

    A check that needs what another one found missing (no static pods, so no DaemonSets to try) is
    skipped: one cause is one failure.
    """

    def __init__(
        self, cluster: Cluster, options: PivotOptions, *, tell: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._options = options
        self.situation = wait_for_static_pods(cluster, options, tell=tell)
        self._kubelets: dict[str, Kubelet] = {}

    def checks(self) -> list[Check]:
        """All checks, in the order in which they are shown."""
        return [
            Check("Permissions", "what you may do", self.permissions),
            Check("ServerVersion", "the server's version", self.server_version),
            Check("ControlPlaneNodes", "the control-plane nodes", self.nodes),
            Check("Ownership", "who else manages the control plane", self.ownership),
            Check(
                "StaticPods",
                "the static pods",
                self.static_pods,
                ("ControlPlaneNodes", "Ownership"),
            ),
            Check("StaticPodPath", "the kubelet's staticPodPath", self.path, _LOOKS_AT_KUBELETS),
            Check(
                "PodCgroups",
                "whether pods have cgroups of their own",
                self.pod_cgroups,
                ("StaticPodPath",),
            ),
            Check("Architecture", "the node's CPU", self.architecture, ("StaticPods",)),
            Check("AdvertiseAddress", "the API server's address", self.advertise_address, _STATIC),
            Check("LeaderElection", "by what leaders are known", self.leader_election, _STATIC),
            Check("NodesAlike", "whether the nodes are alike", self.nodes_alike, _PLANS),
            Check(
                "SideBySide",
                "whether two instances can run side by side",
                self.side_by_side,
                ("NodesAlike",),
            ),
            Check("HandOver", "how the ports can change hands", self.handover, ("NodesAlike",)),
            Check("HeadRoom", "room for the second instances", self.head_room, ("NodesAlike",)),
            Check("ForeignDaemonSets", "DaemonSets of our names", self.foreign_daemonsets),
            Check("AgentProgram", "the node agent's program", self.agent_program, _PLANS),
            Check("Admission", "what admission makes of our pods", self.admission, _TRIES),
        ]

    @cached_property
    def pivot(self) -> Pivot:
        """The pivot of the nodes that are meant and not done yet."""
        meant, parts = self._nodes(), self._options.components
        left = [n for n in meant if not all(self.situation.self_hosted(c, n) for c in parts)]
        return Pivot(
            self._cluster,
            self.situation,
            kubelets={node: self._kubelet(node) for node in left or meant},
            options=self._options,
        )

    def permissions(self) -> Finding:
        names, parts = self.situation.node_names, self._options.components
        own = [self.situation.own(component, node) for node in names for component in parts]
        needed = [*permissions.for_pivot(), *permissions.for_leases(own)]
        refused = access.denied(self._cluster, needed)
        if not refused:
            return ok("Permissions", f"you may do all of the {len(needed)} things needed")
        return Finding(
            "Permissions",
            FAILED,
            "you may not " + "; ".join(str(d) for d in refused),
            "a run that is refused half-way has to be undone",
            "Ask for the roles in docs/permissions.md, or use another --user or --context.",
        )

    def server_version(self) -> Finding:
        version = self.situation.git_version
        minor = int((re.match(r"v1\.(\d+)", version) or ["", "0"])[1])
        if minor < OLDEST_MINOR:
            return Finding(
                "ServerVersion",
                FAILED,
                f"the server is {version}",
                f"DaemonSets can only be rolled out safely since Kubernetes 1.{OLDEST_MINOR}",
                "Upgrade the cluster first.",
            )
        if minor > NEWEST_TESTED_MINOR:
            return Finding(
                "ServerVersion",
                WARNING,
                f"the server is {version}",
                f"this version was tested up to Kubernetes 1.{NEWEST_TESTED_MINOR}",
                "Look for a newer kubectl-selfhost: `kubectl krew upgrade selfhost`.",
            )
        return ok("ServerVersion", f"the server is {version}")

    def nodes(self) -> Finding:
        names = [node["metadata"]["name"] for node in self.situation.nodes]
        if not names:
            return Finding(
                "ControlPlaneNodes",
                FAILED,
                f"no node has the label {CONTROL_PLANE_LABEL}",
                "the control plane doesn't run on nodes of this cluster, or isn't kubeadm's",
                "kubectl selfhost is for control planes that kubeadm has made.",
            )
        unready = [
            n["metadata"]["name"]
            for n in self.situation.nodes
            if not is_ready(n) and n["metadata"]["name"] not in self._left_alone()
        ]
        if unready:
            return Finding(
                "ControlPlaneNodes",
                FAILED,
                f"node {unready[0]} is not Ready",
                "its kubelet would not start the new pods, and no other node is to be changed "
                "while one is away",
                f"`kubectl describe node {unready[0]}` says why.",
                blocks=False,
            )
        meant = self._nodes()
        if self._left_alone():
            alone = ", ".join(self._left_alone())
            return Finding(
                "ControlPlaneNodes",
                WARNING,
                f"{alone} has the label {CONTROL_PLANE_LABEL}, and no static pods",
                "it is left alone",
                f"If it is a worker: `kubectl label node {alone} {CONTROL_PLANE_LABEL}-`.",
            )
        are = "is" if len(meant) == 1 else "are"
        return ok("ControlPlaneNodes", f"{', '.join(meant)} {are} Ready")

    def ownership(self) -> Finding:
        found = ownership.owner(
            self.situation.nodes,
            git_version=self.situation.git_version,
            api_groups=self.situation.api_groups,
        )
        rewriter = ownership.rewriter(self.situation.nodes)
        if found is None and rewriter is not None:
            name, when = rewriter
            return Finding(
                "Ownership",
                WARNING,
                f"{name} writes the static pods' manifests again",
                f"{when} puts static pods beside the self-hosted ones",
                "Before that: `kubectl selfhost revert`.",
            )
        if found is None:
            return ok("Ownership", "nothing else manages this control plane")
        return Finding(
            "Ownership",
            FAILED,
            f"this control plane belongs to {found}",
            "it would undo the pivot, or take the node for broken",
            "Change the control plane through it instead.",
        )

    def static_pods(self) -> Finding:
        names = self._nodes()
        if not any(nodes.runs(self.situation, name) for name in names):
            return Finding(
                "StaticPods",
                FAILED,
                f"no static pod of a control plane on {', '.join(names)}",
                _NOT_KUBEADMS,
                f"`kubectl -n {NAMESPACE} get pods -o wide` shows what runs there instead.",
            )
        problems = self._unhealthy()
        if problems:
            return Finding(
                "StaticPods",
                FAILED,
                "; ".join(problems),
                "only a control plane that is healthy is changed",
                f"Fix it first (waited for --timeout={self._options.timeout:g}s).",
                blocks=bool(self._missing()),
            )
        for node, component in self._cells():
            mirror = self.situation.mirror_pod(component, node)
            if mirror is not None:
                require_fit(component, staticpod.from_mirror_pod(mirror))
        if not_ready := self._api_problem():
            return not_ready
        return ok("StaticPods", "the components are Ready and the API server answers")

    def _cells(self) -> list[tuple[str, Component]]:
        return [(node, c) for node in self._nodes() for c in self._options.components]

    def _unhealthy(self) -> list[str]:
        return [p for node, c in self._cells() for p in _problems(self.situation, c, node)]

    def _missing(self) -> list[str]:
        """The nodes on which a component has neither a static pod nor a DaemonSet's that serves."""
        return [
            node
            for node, component in self._cells()
            if _problems(self.situation, component, node)
            and self.situation.mirror_pod(component, node) is None
        ]

    def _api_problem(self) -> Finding | None:
        try:
            api_is_ready(self._cluster)
        except Waiting as reason:
            return Finding(
                "StaticPods",
                FAILED,
                str(reason),
                "only a control plane that is healthy is changed",
                "Look at `kubectl get --raw='/readyz?verbose'`.",
            )
        return None

    def nodes_alike(self) -> Finding:
        if len(self._nodes()) == 1 and not nodes.are_several(self.situation):
            self.pivot.groups.daemonsets()
            return ok("NodesAlike", "there is just one")
        try:
            found, can_be_built = self.pivot.groups.differences(), True
        except SelfhostError as error:
            found, can_be_built = [error.message.rstrip(".")], False
        if found:
            return Finding(
                "NodesAlike",
                FAILED,
                "; ".join(found),
                "one DaemonSet runs a component in the same way on all nodes",
                "Make the manifests alike; or give nodes that differ DaemonSets of their own: "
                "--when-nodes-differ=separate.",
                blocks=not can_be_built,
            )
        separate = self.pivot.groups.separate()
        if separate:
            named = [", ".join(names) for names in separate.values()]
            return ok("NodesAlike", f"DaemonSets of their own get {'; and '.join(named)}")
        return ok("NodesAlike", "one DaemonSet for each component fits every node")

    def path(self) -> Finding:
        paths = [self._kubelet(node).static_pod_path for node in self._nodes()]
        return ok(
            "StaticPodPath", f"the kubelet reads static pods from {', '.join(dict.fromkeys(paths))}"
        )

    def pod_cgroups(self) -> Finding:
        without = [node for node in self._nodes() if not self._kubelet(node).pod_cgroups]
        if not without:
            return ok("PodCgroups", "the kubelet gives each pod a cgroup")
        return Finding(
            "PodCgroups",
            FAILED,
            "; ".join(NO_POD_CGROUPS.format(node=node) for node in without),
            WHY_CGROUPS,
            SET_CGROUPS,
        )

    def architecture(self) -> Finding:
        kinds = {
            n: self.situation.node(n)["status"]["nodeInfo"]["architecture"] for n in self._nodes()
        }
        unknown = [node for node, arch in kinds.items() if arch not in binaries.ARCHITECTURES]
        for arch in kinds.values() if not unknown else ():
            binaries.secret_name(arch)  # raises where this build carries none
        if not unknown:
            known = ", ".join(dict.fromkeys(kinds.values()))
            return ok("Architecture", f"there is a node agent for {known}")
        return Finding(
            "Architecture",
            FAILED,
            f"the CPU of node {unknown[0]} is {kinds[unknown[0]]}",
            f"there are node agents for {', '.join(binaries.ARCHITECTURES)} only",
            "Ask for one for this CPU.",
        )

    def leader_election(self) -> Finding:
        """See that the lease is known by which each component's leader is told."""
        by_file = [
            (component, node, staticpod.leads_by_file(mirror, component))
            for node, component in self._cells()
            if (mirror := self.situation.mirror_pod(component, node)) is not None
        ]
        for component, node, file in by_file:
            if file and not leadership.is_held(self._cluster, component):
                return Finding(
                    "LeaderElection",
                    FAILED,
                    f"{component} on {node} reads --config={file}, and nobody renews the lease "
                    f"{component.lease_namespace}/{component.lease}",
                    "the file may name another lease, or switch the election off; it can't be read "
                    "from here, and the new instance must be seen to lead",
                    "Say it in the manifest, too: --leader-elect=true and "
                    "--leader-elect-resource-name=NAME, or --leader-elect=false. Flags go before "
                    "the file.",
                )
        own = dict.fromkeys(self.situation.own(c, node) for node, c in self._cells())
        leases = [f"{c.lease_namespace}/{c.lease}" for c in own if c.lease]
        return ok("LeaderElection", f"leaders hold {', '.join(leases) or 'no lease'}")

    def advertise_address(self) -> Finding:
        found = [self._advertised(node) for node in self._nodes()]
        return ok("AdvertiseAddress", "; ".join(found))

    def _advertised(self, node: str) -> str:
        mirror = self.situation.mirror_pod(APISERVER, node)
        if mirror is None:
            return "kube-apiserver is self-hosted already"
        address = staticpod.advertise_address(mirror)
        node_address = nodes.host_ip(self.situation, node)
        if address in (None, node_address):
            return f"{address or node_address}, the node's own address"
        return f"{address} is not the node's address {node_address}: it is kept as it is"

    def side_by_side(self) -> Finding:
        pods = [(one, one.static_pod(c), c) for one in self.pivot.nodes for c in one.static]
        found = {
            problem: one.node
            for one, pod, component in pods
            if component == APISERVER
            for problem in beside.conflicts(component, pod)
        }
        if found:
            return Finding(
                "SideBySide",
                FAILED,
                f"kube-apiserver on {next(iter(found.values()))}: {'; '.join(found)}",
                "two of it run side by side after each reboot of the node (the recovery copy and the "
                "DaemonSet's pod), in a roll-out, and on the way back",
                "Run that container as a static pod of its own, then run this command again.",
            )
        alone = {c.name: why for _, pod, c in pods if (why := beside.one_at_a_time(c, pod))}
        if alone:
            said = "; ".join(f"{name}: {why}" for name, why in alone.items())
            return ok("SideBySide", f"one after the other: {said}")
        return ok("SideBySide", "nothing keeps two instances from it")

    def handover(self) -> Finding:
        try:
            by_node = [self.pivot.choices(one) for one in self.pivot.nodes]
        except SelfhostError as error:
            asked = self._options.handover != AUTO
            return Finding(
                "HandOver", FAILED, error.message, "it was asked for" if asked else "", error.hint
            )
        found = [
            ", ".join(f"{component} {choice.way}" for component, choice in choices.items())
            for choices in by_node
            if choices
        ]
        return ok("HandOver", "; ".join(dict.fromkeys(found)) or "nothing is left to change hands")

    def head_room(self) -> Finding:
        found = [self._room_on(one) for one in self.pivot.nodes]
        return next((one for one in found if one.result != OK), found[0])

    def _room_on(self, part: NodePivot) -> Finding:
        node = part.node
        pods = self._cluster.list(PODS, fields=f"spec.nodeName={node}")
        free_cpu, free_memory = resources.headroom(self.situation.node(node), pods)
        specs = [
            self.pivot.groups.daemonset(component)["spec"]["template"]["spec"]
            for component in self.pivot.groups.to_switch(part)
        ]
        needed = [
            resources.requests(one) for one in (*specs, agent_pod.manifest(part.target)["spec"])
        ]
        cpu, memory = (sum(amounts) for amounts in zip(*needed, strict=True))
        wanted = f"{cpu}m CPU and {memory // 2**20}Mi memory"
        free = f"{free_cpu}m and {free_memory // 2**20}Mi"
        if cpu <= free_cpu and memory <= free_memory:
            return ok("HeadRoom", f"the second instances request {wanted}; free are {free}")
        return Finding(
            "HeadRoom",
            FAILED,
            f"the second instances request {wanted}, but node {node} has {free} left",
            "old and new instances stand side by side for a while; the new pods would stay Pending",
            "Move pods off that node (`kubectl drain` spares DaemonSets), or lower requests.",
        )

    def foreign_daemonsets(self) -> Finding:
        foreign = [
            c.daemonset
            for one in COMPONENTS
            for c in one.groups_in(self.situation.daemonsets)
            if not _is_ours(self.situation.daemonsets[c.daemonset])
        ]
        if not foreign:
            return ok("ForeignDaemonSets", "none that isn't ours")
        return Finding(
            "ForeignDaemonSets",
            FAILED,
            f"{', '.join(foreign)} in {NAMESPACE} was not made by kubectl selfhost",
            "it would be overwritten, and somebody may need it",
            f"Look at it (`kubectl -n {NAMESPACE} get daemonset {foreign[0]} -o yaml`) and remove "
            "it if nothing runs from it.",
        )

    def agent_program(self) -> Finding:
        """Compare the program with what is stored, and what DaemonSets that stay start from."""
        pivot = self.pivot
        why = "it would run as root on the control-plane nodes"
        try:
            program.refuse_foreign(self._cluster, (one.target.arch for one in pivot.nodes))
        except program.ForeignProgram as error:
            return Finding("AgentProgram", FAILED, error.message, why, error.hint)
        found = program.carriers(self._cluster, pivot.groups.staying())
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
                "`kubectl selfhost rollout` afterwards gives them this build's program, in a Secret.",
            )
        return ok("AgentProgram", "no foreign program has its name")

    def admission(self) -> Finding:
        changes, pulled = self._tried()
        if changes:
            return Finding(
                "Admission",
                FAILED,
                "a webhook or policy changes our pods: " + "; ".join(changes),
                "what would run then is not what runs now",
                f"Exempt {NAMESPACE} from it.",
            )
        if pulled:
            return Finding(
                "Admission",
                WARNING,
                f"admission (AlwaysPullImages) makes our pods pull {', '.join(pulled)}",
                "the node agent's pod, which starts from an image that the node has, has to pull it "
                "nevertheless, and so have the DaemonSets' pods at each start: the registry must answer",
                "If it doesn't, the run ends before anything is switched.",
            )
        return ok("Admission", "our DaemonSets and pods are accepted as they are")

    def _tried(self) -> tuple[list[str], list[str]]:
        """What admission changes in our pods, and the images that it makes them pull; by a dry run."""

        pivot = self.pivot
        tried: list[tuple[str, dict, dict]] = []
        for one in pivot.nodes:
            self._cluster.create(SECRETS, _trial(binaries.secret(one.target.arch)), dry_run=True)
            manifest = agent_pod.manifest(one.target)
            pod = self._cluster.create(PODS, _trial(manifest), dry_run=True)
            tried.append((f"the node agent on {one.node}", manifest, pod))
        for manifest in pivot.groups.made():
            self._cluster.apply(manifest, dry_run=True)
        for manifest in pivot.groups.daemonsets():
            template = manifest["spec"]["template"]
            pod = self._cluster.create(PODS, _pod_of(template, manifest), dry_run=True)
            tried.append((manifest["metadata"]["name"], template, pod))
        changes = [
            f"{what}: {change}"
            for what, wanted, pod in tried
            for change in admission_changes(wanted, pod)
        ]
        pulled = [image for _, wanted, pod in tried for image in pulls(wanted, pod)]
        return changes, list(dict.fromkeys(pulled))

    def _kubelet(self, node: str) -> Kubelet:
        """Each kubelet is asked once; several checks need to know."""
        if node not in self._kubelets:
            self._kubelets[node] = read_kubelet(self._cluster, node)
        return self._kubelets[node]

    def _nodes(self) -> list[str]:
        """The nodes that are meant, in their order; raises SelfhostError where there is none."""
        found = nodes.chosen(self.situation, self._options.nodes, server=self._cluster.server)
        if not found:
            raise SelfhostError("there is no control-plane node that could be looked at")
        return found

    def _left_alone(self) -> list[str]:
        """Nodes without a component, where others have some: nobody means them."""
        alone = nodes.left_alone(self.situation)
        return alone if len(alone) < len(self.situation.nodes) else []


def wait_for_static_pods(
    cluster: Cluster, options: PivotOptions, *, tell: Callable[[str], None]
) -> Situation:
    """Reads the situation, again and again until every component is healthy or time is up.

    What is unhealthy then is left to the check ``StaticPods``, so that it is told with the rest.
    """

    latest: list[Situation] = []

    def healthy() -> Situation:
        situation = read_situation(cluster)
        latest[:] = [situation]
        for node in nodes.chosen(situation, options.nodes):
            for component in options.components:
                problems = _problems(situation, component, node)
                if problems and nodes.runs(situation, node):
                    raise Waiting(problems[0])
        return situation

    try:
        return wait_until(
            healthy,
            what="a healthy control plane",
            timeout=options.timeout,
            every=1.0,
            tell=tell,
        )
    except TimedOut:
        if not latest:
            raise
        return latest[0]


def _problems(situation: Situation, component: Component, node: str) -> list[str]:
    """Why the component is not healthy on the node; empty if it is, whichever instance serves."""
    if situation.self_hosted(component, node) or situation.stands_in(component, node):
        return []
    static = [i for i in situation.instances(component, node) if i.kind == "static"]
    if not static:
        return [f"{component} has no static pod on {node}"]
    if not static[0].ready:
        return [f"{component} on {node} is not Ready: {static[0].phase}"]
    return []


def _is_ours(daemonset: dict) -> bool:
    labels = daemonset["metadata"].get("labels") or {}
    return labels.get("app.kubernetes.io/managed-by") == FIELD_MANAGER


def _trial(manifest: dict) -> dict:
    """The manifest under a name that nothing has, for a dry run beside the real one."""
    trial = copy.deepcopy(manifest)
    trial["metadata"]["generateName"] = f"{cut(trial['metadata'].pop('name'), 40)}-trial-"
    return trial


def _pod_of(template: dict, manifest: dict) -> dict:
    """The pod that the DaemonSet controller would make of a template."""
    metadata = copy.deepcopy(template["metadata"])
    metadata["generateName"] = manifest["metadata"]["name"] + "-"
    metadata["namespace"] = NAMESPACE
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": copy.deepcopy(template["spec"]),
    }

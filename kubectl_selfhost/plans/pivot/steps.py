"""The pivot's steps: each method makes one, with its reason, its check and its undo."""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import NODES
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset.change import probe_address
from kubectl_selfhost.controlplane.daemonset.facts import PROBE_ADDRESSES
from kubectl_selfhost.controlplane.instance import DAEMONSET
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import pace
from kubectl_selfhost.engine.journal import Journal, now
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step, looks_itself
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.conditions import instances_on
from kubectl_selfhost.handover.static_to_daemonset import FromStaticPod, StaticPod
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.names import (
    CONFIG_HASH_ANNOTATION,
    CONTROL_PLANE_LABEL,
    NODE_LABEL,
    SHARED_BY_ALL,
)
from kubectl_selfhost.node import manifestfile
from kubectl_selfhost.node.orders import ManifestFile
from kubectl_selfhost.plans.pivot.ending import EndingPods
from kubectl_selfhost.plans.pivot.grouping import Groups
from kubectl_selfhost.plans.pivot.node import NodePivot
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.pivot.undo import Undo
from kubectl_selfhost.plans.shared import certificates, former_pods
from kubectl_selfhost.plans.shared.standby import wait_until_standing_by
from kubectl_selfhost.plans.shared.steps import CommonSteps
from kubectl_selfhost.reboot import on_node


class PivotSteps(CommonSteps):
    """The pivot's steps on one node; each method makes one step."""

    def __init__(
        self,
        cluster: Cluster,
        part: NodePivot,
        groups: Groups,
        options: PivotOptions,
        observer: Observer,
        journal: Journal,
    ) -> None:
        super().__init__(cluster, part, timeout=options.timeout, observer=observer)
        self._part = part
        self._groups = groups
        self._options = options
        self._journal = journal
        self._undo = Undo(cluster, part.agent, part.node)
        self._to_switch = groups.to_switch(part)
        choices = part.choices(self._to_switch, options.handover)
        self.ending = EndingPods(
            cluster,
            part.node,
            self._to_switch,
            grace_period=part.grace_period,
            stopped_at=self._stopped_at,
        )
        #: Every hand-over on the node, as it is planned.
        self.handovers = [self._handover(c, choice) for c, choice in choices.items()]

    def create_agent(self) -> Step:
        return Step(
            name=f"agent-pod/{self._node}",
            title=f"Create the node agent's pod on {self._node}",
            why="the agents of all nodes start at the same time",
            done=self._agent.runs,
            do=lambda: self._agent.create(timeout=self._timeout, tell=self._tell),
            undo=self.stop_agent,
        )

    def inspect(self) -> Step:
        return Step(
            name=f"node-agent/{self._node}",
            title=f"Start the node agent on {self._node}, find the manifests, check its disk",
            why="faults of the files and the disk must show before the run moves a manifest",
            done=lambda: all(handover.done() for handover in self.handovers),
            do=self._inspect,
            undo=self.stop_agent,
        )

    def label(self) -> Step:
        def set_label(value: str | None) -> None:
            labels = {NODE_LABEL: value}
            if value is not None and CONTROL_PLANE_LABEL not in self.node_labels():
                # A Node object that was made anew has lost the role's label, too.
                labels[CONTROL_PLANE_LABEL] = self._groups.role(self._part)
            self._cluster.patch(NODES, self._node, {"metadata": {"labels": labels}})

        value = self._groups.of(self._node) or SHARED_BY_ALL

        def is_labelled() -> bool:
            labels = self.node_labels()
            return labels.get(NODE_LABEL) == value and CONTROL_PLANE_LABEL in labels

        return Step(
            name=f"label/{self._node}",
            title=f"Label node {self._node} with {NODE_LABEL}={value}",
            why="only labelled nodes run the DaemonSets; a node that joins later has static pods",
            done=is_labelled,
            do=lambda: set_label(value),
            undo=self._undo.unless_it_serves_here(lambda: set_label(None)),
        )

    def recovery(self) -> Step:
        def install() -> None:
            daemonsets = self._groups.hosted(self._part)
            on_node.store_copies(
                self._agent,
                daemonsets,
                facts=self._part.facts(),
                journal=self._journal,
                observer=self._observer,
            )
            on_node.install_guardian(self._agent, daemonsets, facts=self._part.facts())

        return Step(
            name=f"guardian/{self._node}",
            title=f"Install the guardian on {self._node}, and recovery copies of the components",
            why="after a reboot the kubelet knows only static pods; normally no copy runs",
            # Before the DaemonSets: a power cut at any later moment finds it in place, and the undo of
            # this step finds them gone.
            done=lambda: all(handover.done() for handover in self.handovers),
            do=install,
            undo=self._undo.unless_it_serves_here(self._agent.clear_recovery),
        )

    def daemonset(self, component: Component) -> Step:
        return Step(
            name=self.named("daemonset", component),
            title=f"Create DaemonSet {component.daemonset}",
            why="its pod waits beside the static pod until the port is free for it",
            # Applied each time: this repairs a DaemonSet that was changed since. Not if the DaemonSet
            # serves on another node: what runs there must not change here.
            done=lambda: self._groups.in_use(component),
            # As it is at that time: the manifests on the node were read by then.
            do=lambda: self._apply(component, self._groups.daemonset(component)),
            undo=lambda: self._undo.delete_daemonset(component),
        )

    def standby(self) -> Step:
        return Step(
            name=f"standby/{self._node}",
            title=f"Wait until every new pod runs or waits for its port{self._there}",
            why="so no pod must be created or scheduled during a hand-over",
            done=looks_itself,
            do=self._wait_until_all_stand_by,
        )

    def still_prepared(self) -> Step:
        def check() -> None:
            if not self._agent.runs():
                self._inspect()
            self._wait_until_all_stand_by()

        return Step(
            name=f"still-prepared/{self._node}",
            title=f"See that the node agent on {self._node} still runs, and every new pod stands by",
            why="its turn comes after that of other nodes; an agent that nobody calls ends by itself",
            done=looks_itself,
            do=check,
        )

    def _wait_until_all_stand_by(self) -> None:
        for component in self._to_switch:
            wait_until_standing_by(
                self._cluster,
                component,
                self._node,
                allow_changes=self._options.allow_admission_changes,
                timeout=self._timeout,
                tell=self._tell,
            )
        self._agent.require_same_program("the DaemonSets' pods")

    def returned(self) -> Step:
        def ready() -> bool:
            for component in self._part.to_return:
                found = instances_on(self._cluster, component, self._node)
                if not any(i.kind == DAEMONSET and i.ready for i in found):
                    raise Waiting(f"the self-hosted {component} is not Ready yet")
            return True

        return Step(
            name=f"returned/{self._node}",
            title=f"Wait until the DaemonSets' pods serve on {self._node} again",
            why="recovery copies serve now; the guardian removes them",
            done=looks_itself,
            do=lambda: self.wait(ready, "the DaemonSets' pods to serve again"),
        )

    def _handover(self, component: Component, choice: Choice) -> FromStaticPod:
        slack = pace.slack(component, self._part.static_pod(component))
        return self.handover_of(FromStaticPod, component, choice, slack=slack)

    def switch(self, handover: FromStaticPod) -> Step:
        component = handover.component

        def note() -> None:
            self._journal.component(
                self._node,
                component.name,
                switched_at=now(),
                seconds=round(handover.seconds or 0.0, 2),
                daemonset=component.daemonset,
            )

        def do() -> None:
            handover.do(self._subject(component))
            note()

        def undo() -> None:
            done = handover.seconds is not None
            handover.undo()
            if handover.seconds is not None and not done:
                note()  # the new instance served already, so the hand-over was finished

        return Step(
            name=self.named("hand-over", component),
            title=f"Hand {component} over from the static pod to the DaemonSet{self._there}",
            why="the agent moves its manifest away, and puts it back unless the run confirms in time",
            done=handover.done,
            do=do,
            undo=undo,
            unavailable=ways.unavailable(
                component, handover.choice.way, self._part.static_pod(component)
            ),
        )

    def static_end(self) -> Step:
        return Step(
            name=f"static-pods/{self._node}",
            title=f"Mark the static pods{self._there} as ending: their last requests may finish",
            why="an apiserver with open watches takes 30 s for that; nobody waits for it",
            done=self.ending.are_marked,
            do=lambda: self.wait(
                self.ending.mark, "the static pods to end", slack=self._part.grace_period()
            ),
        )

    def _stopped_at(self) -> float | None:
        """Return when this run told the former API server to end; None if it didn't."""
        return next((h.stopped_at for h in self.handovers if h.component == APISERVER), None)

    def _inspect(self) -> None:
        checked = self.start_agent()
        if not checked.get("same_filesystem", True):
            self._observer.note(
                f"{self._part.target.directory} is not on the manifests' file system: the agent copies a "
                "manifest and then removes it, instead of a rename"
            )
        if checked.get("selinux_enforces") and self._options.reboot_recovery:
            self._observer.warning(
                f"SELinux is enforcing on {self._node}: the guardian runs there with the type spc_t, "
                "which no test of this version has covered. Restart one such node, and see that its "
                "control plane comes back, before you rely on it"
            )
        files = self._agent.manifests()
        for component in self._to_switch:
            if self._part.situation.mirror_pod(component, self._node) is not None:
                self._agent.hold(component.name)
                self._note_manifest(component, self._manifest(files, component))
        for handover in self.handovers:
            self._look_at_way(handover)
        certificates.note(self._agent, self._journal)

    def _look_at_way(self, handover: FromStaticPod) -> None:
        """Use the best way that the node itself allows, if this way is worse than the planned way."""
        component = handover.component
        mirror = self._part.situation.mirror_pod(component, self._node)
        if handover.choice.way == ways.WAITING or mirror is None:
            return
        seen = self._agent.can_share(
            staticpod.secure_port(mirror, component),
            mirror["metadata"]["annotations"][CONFIG_HASH_ANNOTATION],
            [
                instance.uid
                for instance in instances_on(self._cluster, component, self._node)
                if instance.kind == DAEMONSET
            ],
        )
        possible = ways.Choice(seen.way, seen.why)
        if ways.worse(possible, handover.choice):
            handover.choice = ways.choose(component, possible, self._options.handover)
            self._observer.note(f"the way of {component}: {handover.choice}")

    def _note_manifest(self, component: Component, file: ManifestFile) -> None:
        made = self._groups.read(self._part, component, manifestfile.document(file.content or b""))
        if made:
            self._observer.note(
                f"{file.name} on {self._node} is what runs; admission changed its mirror pod: "
                f"{'; '.join(map(str, made[:3]))}"
            )
        self._journal.component(
            self._node,
            component.name,
            file=f"{self._part.target.static_pod_path}/{file.name}",
            mode=file.mode,
            sha256=file.sha256,
            manifest=(file.content or b"").decode(errors="replace"),
            backup=f"{self._part.target.directory}/{component}/{file.name}",
        )

    def _manifest(self, files: list[ManifestFile], component: Component) -> ManifestFile:
        name = manifestfile.find(
            {file.name: file.content for file in files if not file.link},
            component,
            links={file.name: file.link for file in files if file.link},
            where=f"{self._part.target.static_pod_path} on node {self._node}",
        )
        return next(file for file in files if file.name == name)

    def _subject(self, component: Component) -> StaticPod:
        file = self._manifest(self._agent.manifests(), component)
        mirror = self._part.situation.mirror_pod(component, self._node)
        if mirror is None:
            raise SelfhostError(
                f"The static pod of {component} is gone from node {self._node}.",
                "`kubectl selfhost status` shows what serves; then run the command again.",
            )
        return StaticPod(
            file=file.name,
            sha256=file.sha256,
            port=staticpod.secure_port(mirror, component),
            old_uid=mirror["metadata"]["annotations"][CONFIG_HASH_ANNOTATION],
            retry_period=staticpod.retry_period(mirror, component),
            probe_address=probe_address(self._groups.daemonset(component)) or PROBE_ADDRESSES[0],
        )

    def _apply(self, component: Component, manifest: dict) -> None:
        applied = self._cluster.apply(manifest)
        self.wait(
            lambda: former_pods.are_gone(self._cluster, applied, self._node),
            f"the pods of an earlier {component.daemonset} to end",
        )

"""The revert's steps: each method makes one, with its reason, its check and its undo."""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS, NODES
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.instance import DAEMONSET
from kubectl_selfhost.engine.journal import Journal, now
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step, needed_again, unknown
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.conditions import instances_on
from kubectl_selfhost.handover.daemonset_to_static import ToStaticPod
from kubectl_selfhost.handover.static_to_backup import ToFormerFile
from kubectl_selfhost.handover.ways import SHARED, Choice
from kubectl_selfhost.names import NAMESPACE, NODE_LABEL
from kubectl_selfhost.node import manifestfile
from kubectl_selfhost.node.orders import KeptFile
from kubectl_selfhost.plans.revert.node import NodeRevert
from kubectl_selfhost.plans.shared.steps import CommonSteps, discard
from kubectl_selfhost.reboot import on_node


class RevertSteps(CommonSteps):
    """The revert's steps on one node; each method makes one step."""

    def __init__(
        self, cluster: Cluster, part: NodeRevert, observer: Observer, journal: Journal
    ) -> None:
        super().__init__(cluster, part, timeout=part.options.timeout, observer=observer)
        self._part = part
        self._journal = journal
        self._kept: dict[Component, KeptFile] = {}
        choices = part.choices()
        #: Every hand-over on the node, as it is planned.
        self.handovers = [self._handover(c, choices.get(c)) for c in part.to_revert]

    def inspect(self) -> Step:
        return Step(
            name=f"node-agent/{self._node}",
            title=f"Start the node agent on {self._node}, and read the kept manifests",
            why="the agent places the manifests, and removes them again unless the run confirms in time",
            done=needed_again,
            do=self._inspect,
            undo=self.stop_agent,
        )

    def recovery_off(self) -> Step:
        return Step(
            name=f"guardian-off/{self._node}",
            title=f"Switch off the guardian on {self._node}",
            why="the guardian must not start a copy of a component during its hand-over",
            done=unknown,
            do=self._agent.disable_guardian,
            undo=self._guard_what_is_left,
        )

    def recovery_on(self) -> Step:
        return Step(
            name=f"guardian-on/{self._node}",
            title=f"Switch on the guardian on {self._node} again",
            why="components that stay self-hosted need the guardian after a reboot",
            done=unknown,
            do=self._guard_what_is_left,
        )

    def recovery_gone(self) -> Step:
        return Step(
            name=f"recovery-gone/{self._node}",
            title=f"Remove the guardian and the recovery copies from {self._node}",
            why="the kubelet starts static pods after a reboot without help",
            done=unknown,
            do=self._agent.clear_recovery,
        )

    def _handover(self, component: Component, choice: Choice | None) -> ToStaticPod:
        slack = self._part.slack(component)
        return self.handover_of(ToStaticPod, component, choice or Choice(SHARED), slack=slack)

    def switch(self, handover: ToStaticPod) -> Step:
        component = handover.component
        static = self._part.is_static(component)

        def do() -> None:
            if handover.stands():
                handover.remove()
            else:
                kept = self._kept.get(component)
                file = kept.name if kept else f"{component}.yaml"
                handover.do(self._part.subject(component, file=file))
            # The file is no backup any more: what is on the node is what runs.
            self._journal.component(self._node, component.name, switched_at=None, reverted_at=now())

        return Step(
            name=self.named("hand-over", component),
            title=self._title(component),
            why=(
                "the DaemonSet's pod stays until the node's label goes"
                if self._hosts
                else "the run deletes the DaemonSet only when the static pod serves"
            ),
            done=handover.done,
            do=do,
            undo=handover.undo,
            unavailable="" if static else self._part.unavailable(component, handover.choice),
        )

    def _title(self, component: Component) -> str:
        if not self._part.is_static(component):
            return f"Hand {component} over from the DaemonSet to a static pod{self._there}"
        if self._hosts:
            return f"Check that the static {component} serves{self._there}: its pod exists already"
        return f"Delete DaemonSet {component.daemonset}: {component} is static already"

    def exchange(self, component: Component) -> Step:
        handover = ToFormerFile(
            self._cluster,
            self._agent,
            self._part.own(component),
            kept=lambda: self._kept[component],
            timeout=self._timeout,
            tell=self._tell,
            hosts=self._hosts,
            slack=self._part.slack(component),
        )
        port = self._part.port(component)
        return Step(
            name=self.named("exchange", component),
            title=f"Restore the manifest of {component} from before the pivot{self._there}",
            why="--from-backup; the agent takes the manifest back unless the run confirms in time",
            done=lambda: component not in self._kept or handover.done(),
            do=lambda: handover.do(port),
            undo=handover.undo,
            unavailable=self._part.unavailable(component, Choice(ways.WAITING)),
        )

    def pods_ended(self) -> Step:
        def left() -> list[str]:
            return [
                instance.pod
                for component in self._part.to_revert
                for instance in instances_on(self._cluster, component, self._node)
                if instance.kind == DAEMONSET
            ]

        return self.ended(
            left,
            name="former-pods",
            whose="the DaemonSets' pods",
            grace_period=self._part.grace_period,
        )

    def unlabel(self) -> Step:
        return Step(
            name=f"unlabel/{self._node}",
            title=f"Remove the label {NODE_LABEL} from node {self._node}",
            why=(
                "with the label the DaemonSets' pods leave this node, where static pods serve"
                if self._hosts
                else "no self-hosted DaemonSet is left that needs the label"
            ),
            done=lambda: NODE_LABEL not in self.node_labels(),
            do=lambda: discard(
                self._cluster.patch(NODES, self._node, {"metadata": {"labels": {NODE_LABEL: None}}})
            ),
        )

    def tidy(self) -> Step:
        directory, keep = self._part.target.directory, self._part.options.keep_backups

        def tidy() -> None:
            if not self._agent.tidy(keep_backups=keep) and not keep:
                self._observer.warning(
                    f"{directory} on {self._node} has files that kubectl selfhost did not make; they stay"
                )

        return Step(
            name=f"tidy/{self._node}",
            title=(
                f"Remove everything but the kept manifests from {directory}"
                if keep
                else f"Remove {directory} from {self._node}"
            ),
            why="the static pods' manifests are in the kubelet's directory again",
            done=unknown,
            do=tidy,
        )

    def _guard_what_is_left(self) -> None:
        left = {
            component: daemonset
            for component in map(self._part.own, COMPONENTS)
            if (daemonset := self._cluster.find(DAEMONSETS, component.daemonset, NAMESPACE))
        }
        on_node.install_guardian(self._agent, left, facts=self._part.facts())

    def _inspect(self) -> None:
        self.start_agent()
        kept = self._agent.kept()
        for component in {*self._part.to_revert, *self._part.to_exchange}:
            self._take_backup(component, [k for k in kept if k.component == component.name])
        for handover in self.handovers:
            if not self._part.is_static(handover.component):
                self._look_at_way(handover)

    def _take_backup(self, component: Component, kept: list[KeptFile]) -> None:
        """Render the manifest with what is kept on the node: the node has the truth."""
        contents = {file.name: file.content for file in kept}
        names = [
            n for n in manifestfile.files_of(contents, component) if not manifestfile.is_older(n)
        ]
        if len(names) != 1:
            self._observer.note(
                f"{component}: {self._node} has no manifest from before the pivot"
                if not names
                else f"{component}: {self._node} has several old manifests, so the run uses none: "
                f"{', '.join(names)}"
            )
            # The plan used the journal's facts; the step uses the node's.
            self._part.backups.pop(component, None)
            if self._part.options.from_backup and component in self._part.to_revert:
                raise SelfhostError(
                    f"The manifest of {component} from before the pivot is not on {self._node}.",
                    "Run the command without --from-backup: then the DaemonSet makes the manifest.",
                )
            return
        self._kept[component] = next(file for file in kept if file.name == names[0])
        if component not in self._part.to_revert or self._part.is_static(component):
            return
        before = self._part.manifest(component)
        self._part.backups[component] = manifestfile.document(contents[names[0]] or b"")
        if self._part.manifest(component) != before:
            self._observer.note(f"{component}: {self._part.differences(component)}")

    def _look_at_way(self, handover: ToStaticPod) -> None:
        """Use the best way that the node itself allows, if this way is worse than the planned way."""
        component = handover.component
        subject = self._part.subject(component, file="")
        seen = self._agent.can_share(subject.port, subject.old_uid, ())
        possible = Choice(seen.way, seen.why)
        if not ways.worse(possible, handover.choice):
            return
        if possible.way == ways.WAITING:
            raise SelfhostError(
                f"The port of {component} can't be shared on node {self._node}: {seen.why}.",
                "Fix the cause, or restore the static pods by hand (see docs/failures.md).",
            )
        handover.choice = ways.choose(component, possible, self._part.options.handover)
        self._observer.note(f"the way of {component}: {handover.choice}")

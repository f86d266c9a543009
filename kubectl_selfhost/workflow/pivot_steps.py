"""The pivot's steps: each method makes one, with its reason, its check and its undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane import difference, staticpod
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import CONFIG_HASH_ANNOTATION, NAMESPACE, NODE_LABEL
from kubectl_selfhost.node import binaries, manifestfile
from kubectl_selfhost.node.agent import AgentGone, ManifestFile
from kubectl_selfhost.workflow.handover import HandOver, Subject, instances_on
from kubectl_selfhost.workflow.journal import Journal, now
from kubectl_selfhost.workflow.runner import Observer
from kubectl_selfhost.workflow.standby import wait_until_standing_by
from kubectl_selfhost.workflow.step import Step

if TYPE_CHECKING:
    from kubectl_selfhost.workflow.pivot import Pivot


class PivotSteps:
    """Makes the pivot's steps; each method is one step."""

    def __init__(self, pivot: Pivot, observer: Observer, journal: Journal) -> None:
        self._pivot = pivot
        self._cluster = pivot.cluster
        self._agent = pivot.agent
        self._node = pivot.node
        self._observer = observer
        self._journal = journal
        self._timeout = pivot.options.timeout
        self._tell = observer.step_waiting

    def program(self) -> Step:
        from kubectl_selfhost.cluster.kinds import CONFIGMAPS

        arch = self._pivot.target.arch
        name = binaries.config_map_name(arch)
        return Step(
            name="agent-program",
            title=f"Store the node agent's program in ConfigMap {name}",
            why="it runs in an image that the node has: nothing is pulled",
            done=lambda: self._cluster.find(CONFIGMAPS, name, NAMESPACE) is not None,
            do=lambda: _discard(self._cluster.apply(binaries.config_map(arch))),
            undo=self._unless_self_hosted(
                lambda: _discard(self._cluster.delete(CONFIGMAPS, name, NAMESPACE))
            ),
        )

    def inspect(self) -> Step:
        return Step(
            name=f"node-agent/{self._node}",
            title=f"Start the node agent on {self._node}, find the manifests, check its disk",
            why="what can't be moved or kept must be known before anything is",
            done=lambda: all(handover.done() for handover in self._pivot.handovers),
            do=self._start_agent,
            undo=self._stop_agent,
        )

    def label(self) -> Step:
        from kubectl_selfhost.cluster.kinds import NODES

        def set_label(value: str | None) -> None:
            self._cluster.patch(NODES, self._node, {"metadata": {"labels": {NODE_LABEL: value}}})

        return Step(
            name=f"label/{self._node}",
            title=f"Label node {self._node} with {NODE_LABEL}=true",
            why="only pivoted nodes run the DaemonSets: one that joins later brings static pods",
            done=lambda: (
                self._cluster.get(NODES, self._node)["metadata"].get("labels", {}).get(NODE_LABEL)
                == "true"
            ),
            do=lambda: set_label("true"),
            undo=self._unless_self_hosted(lambda: set_label(None)),
        )

    def daemonset(self, component: Component, manifest: dict) -> Step:
        return Step(
            name=f"daemonset/{component}",
            title=f"Create DaemonSet {component.daemonset}",
            why="its pod waits beside the static one until it gets the port",
            # Applied each time: it is what repairs a DaemonSet that was changed since.
            done=lambda: False,
            do=lambda: _discard(self._cluster.apply(manifest)),
            undo=lambda: self._delete_daemonset(component),
        )

    def standby(self) -> Step:
        def wait() -> None:
            for component in self._pivot.to_switch:
                wait_until_standing_by(
                    self._cluster,
                    component,
                    self._node,
                    allow_changes=self._pivot.options.allow_admission_changes,
                    timeout=self._timeout,
                    tell=self._tell,
                )

        return Step(
            name=f"standby/{self._node}",
            title="Wait until every new pod stands by",
            why="no pod need be made or scheduled while a component changes hands",
            done=lambda: False,
            do=wait,
        )

    def handover(self, component: Component) -> HandOver:
        return HandOver(
            self._cluster,
            self._agent,
            component,
            timeout=self._timeout,
            tell=self._tell,
        )

    def switch(self, handover: HandOver) -> Step:
        component = handover.component

        def do() -> None:
            handover.do(self._subject(component))
            self._journal.component(
                self._node,
                component.name,
                switched_at=now(),
                seconds=round(handover.seconds or 0.0, 2),
            )

        return Step(
            name=f"hand-over/{component}",
            title=f"Hand {component} over from the static pod to the DaemonSet",
            why="its manifest is moved away; the agent puts it back unless told in time",
            done=handover.done,
            do=do,
            undo=handover.undo,
            unavailable=_UNAVAILABLE[component.name],
        )

    def end_agent(self) -> Step:
        return Step(
            name=f"end-agent/{self._node}",
            title=f"Remove the node agent's pod from {self._node}",
            why="nothing privileged of ours stays",
            done=lambda: self._agent.find() is None,
            do=self._stop_agent,
        )

    def _start_agent(self) -> None:
        if not self._agent.runs():
            self._agent.start(timeout=self._timeout, tell=self._tell)
        checked = self._agent.check()
        if not checked.get("same_filesystem", True):
            self._observer.note(
                f"{self._pivot.target.directory} is not on the manifests' file system: "
                "manifests are copied and then removed, instead of renamed"
            )
        files = self._agent.manifests()
        for component in self._pivot.to_switch:
            if self._pivot.situation.mirror_pod(component, self._node) is not None:
                self._agent.hold(component.name)
                self._note_manifest(component, self._manifest(files, component))

    def _note_manifest(self, component: Component, file: ManifestFile) -> None:
        differences = difference.meaning(
            manifestfile.document(file.content or b""), self._pivot.static_pod(component)
        )
        if differences:
            self._observer.warning(
                f"{file.name} on the node says something else than the {component} that runs: "
                + "; ".join(str(d) for d in differences[:3])
            )
        self._journal.component(
            self._node,
            component.name,
            file=f"{self._pivot.target.static_pod_path}/{file.name}",
            mode=file.mode,
            sha256=file.sha256,
            backup=f"{self._pivot.target.directory}/{component}/{file.name}",
        )

    def _manifest(self, files: list[ManifestFile], component: Component) -> ManifestFile:
        name = manifestfile.find(
            {file.name: file.content for file in files},
            component,
            where=f"{self._pivot.target.static_pod_path} on node {self._node}",
        )
        return next(file for file in files if file.name == name)

    def _subject(self, component: Component) -> Subject:
        file = self._manifest(self._agent.manifests(), component)
        mirror = self._pivot.situation.mirror_pod(component, self._node)
        if mirror is None:
            raise SelfhostError(f"The static pod of {component} is gone from node {self._node}.")
        return Subject(
            file=file.name,
            sha256=file.sha256,
            port=staticpod.secure_port(mirror, component),
            static_uid=mirror["metadata"]["annotations"][CONFIG_HASH_ANNOTATION],
            elects=component.lease is not None and staticpod.leader_elects(mirror),
        )

    def _stop_agent(self) -> None:
        self._agent.stop(timeout=self._timeout, tell=self._tell)

    def _delete_daemonset(self, component: Component) -> None:
        from kubectl_selfhost.cluster.kinds import DAEMONSETS

        instances = instances_on(self._cluster, component, self._node)
        serves = any(i.kind == DAEMONSET and i.ready for i in instances)
        static = any(i.kind == STATIC and i.ready for i in instances)
        # A static pod that was switched is called Ready until it has let its last request finish:
        # only one whose manifest is in its place stays. Where in doubt, the DaemonSet stays.
        if serves or not static or not self._is_in_place(component):
            return
        self._cluster.delete(DAEMONSETS, component.daemonset, NAMESPACE)

    def _is_in_place(self, component: Component) -> bool:
        """Whether the component's manifest is in the kubelet's directory, or nobody can look."""
        try:
            files = self._agent.manifests()
        except AgentGone:
            return True
        return bool(manifestfile.files_of({f.name: f.content for f in files}, component))

    def _unless_self_hosted(self, undo: Callable[[], None]) -> Callable[[], None]:
        """``undo``, but only where no DaemonSet of ours is left that needs what it takes away."""

        def run() -> None:
            from kubectl_selfhost.cluster.kinds import DAEMONSETS

            for component in COMPONENTS:
                if self._cluster.find(DAEMONSETS, component.daemonset, NAMESPACE) is not None:
                    return
            undo()

        return run


_UNAVAILABLE = {
    "kube-apiserver": "the API, for one start of the apiserver (1 to 2 s on a fast machine)",
    "kube-controller-manager": "controllers, until the old one's lease has run out (up to 17 s)",
    "kube-scheduler": "scheduling, for a few seconds",
}


def _discard(_: object) -> None:
    """For a lambda whose result is of no interest."""

"""What a pivot knows of one node: its static pods, as mirror pods or the node itself show them."""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.pod import staticpod, truth
from kubectl_selfhost.controlplane.pod.difference import Difference
from kubectl_selfhost.controlplane.side_by_side import pace
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.plans.shared.node_part import NodePart
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation


class NodePivot(NodePart):
    """A node whose ``components`` are to go from static pods to the DaemonSets' pods."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        node: str,
        kubelet: Kubelet,
        *,
        components: Iterable[Component],
    ) -> None:
        super().__init__(cluster, situation, node, kubelet)
        unhosted = [c for c in components if not situation.self_hosted(c, node)]
        #: The components that were self-hosted, and whose pods the node gets back.
        self.to_return = tuple(c for c in unhosted if situation.stands_in(c, node))
        self.static = tuple(c for c in unhosted if c not in self.to_return)
        self._read: dict[Component, dict] = {}

    def static_pod(self, component: Component) -> dict:
        """Return the static pod: from its manifest, if it was read, else from the mirror pod."""
        if component in self._read:
            return staticpod.from_mirror_pod(self._read[component])
        mirror = self.situation.mirror_pod(component, self.node)
        if mirror is None:
            raise SelfhostError(
                f"There is no static pod of {component} on node {self.node}.",
                "See `kubectl selfhost status`.",
            )
        return staticpod.from_mirror_pod(mirror)

    def read(self, component: Component, manifest: dict) -> list[Difference]:
        """Replace the mirror pod by ``manifest``, which is on the node; return what admission made
        of the mirror pod.

        Raise SelfhostError if the mirror shows that something else runs.
        """
        mirror = self.situation.mirror_pod(component, self.node) or manifest
        found = truth.unexplained(manifest, mirror)
        if found:
            raise SelfhostError(
                f"The manifest of {component} on node {self.node} differs from the pod that runs: "
                f"{'; '.join(map(str, found))}.",
                "The kubelet has not read the file yet, or a webhook changed the mirror pod. Wait until "
                f"the file runs. `kubectl -n {NAMESPACE} delete pod {component.mirror_pod(self.node)}` "
                "makes the kubelet create the mirror pod again, and restarts nothing.",
            )
        self._read[component] = manifest
        return truth.admissions(manifest, mirror)

    def choices(self, components: Iterable[Component], wanted: str) -> dict[Component, Choice]:
        """Return the way in which each of ``components`` will change hands, as far as the API
        tells.

        Raise SelfhostError if the ``wanted`` way is not possible.
        """
        return {
            component: ways.choose(
                component,
                ways.best(component, self.static_pod(component), kernel=self.kernel),
                wanted,
            )
            for component in components
        }

    def grace_period(self) -> float:
        """Return for how many seconds the static pods may go on after the kubelet tells them to
        end.
        """
        return max((pace.grace_period(self.static_pod(c)) for c in self.static), default=0.0)

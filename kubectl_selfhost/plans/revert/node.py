"""What a revert knows of one node: what serves there, and the manifests that replace it."""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset import to_static_pod
from kubectl_selfhost.controlplane.instance import STATIC
from kubectl_selfhost.controlplane.pod import difference, staticpod
from kubectl_selfhost.controlplane.side_by_side import pace, readiness
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.daemonset_to_static import Hosted
from kubectl_selfhost.handover.ways import AUTO, WAITING, Choice
from kubectl_selfhost.node import manifestfile
from kubectl_selfhost.plans.revert.options import RevertOptions
from kubectl_selfhost.plans.shared.node_part import HostedPart
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation


class NodeRevert(HostedPart):
    """The part of a revert that is on ``node``.

    ``backups`` are the manifests as they were before the pivot, by the journal; what is on the node
    itself replaces them as soon as it is read.
    """

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        node: str,
        kubelet: Kubelet,
        *,
        options: RevertOptions,
        backups: dict[Component, dict],
    ) -> None:
        super().__init__(cluster, situation, node, kubelet)
        self.options = options
        self.backups = backups
        self.to_revert = tuple(self._hosted_here(self.options.components))
        #: Including a component that an earlier run made static without giving its former file back.
        self.to_exchange = self.options.components if self.options.from_backup else ()
        self._forget_nonsense()

    def _forget_nonsense(self) -> None:
        """Drop backups from which no manifest can be made: a stranger may have written them."""
        for component in self.to_revert:
            if component in self.backups:
                try:
                    self.differences(component)
                except Exception:  # any error that a wrong type leads to
                    del self.backups[component]

    @property
    def whole(self) -> bool:
        """Return whether no component stays self-hosted here, so that the node needs nothing of
        kubectl selfhost any more.
        """
        return set(self._hosted_here(COMPONENTS)) <= set(self.to_revert)

    def _hosted_here(self, components: Iterable[Component]) -> list[Component]:
        """Return the components that have a DaemonSet, as this node's group has them."""
        own = [self.own(component) for component in components]
        return [c for c in own if c.daemonset in self.situation.daemonsets]

    def is_static(self, component: Component) -> bool:
        """Return whether a static pod of the component is there already (half a pivot, half a
        revert).
        """
        return any(i.kind == STATIC for i in self.situation.instances(component, self.node))

    def manifest(self, component: Component) -> dict:
        """Return the static pod's manifest that the component gets."""
        return to_static_pod.from_daemonset(
            component,
            self._daemonset(component),
            self.backups.get(component),
            address=self.advertise_address(),
            probe_host=self.probe_host(component),
        )

    def manifests(self) -> list[dict]:
        """Return the manifests of all components that change hands."""
        return [self.manifest(c) for c in self.to_revert if not self.is_static(c)]

    def probe_host(self, component: Component) -> str:
        """Return where the static apiserver is probed; empty: where it was probed before the pivot."""
        template = self._daemonset(component)["spec"]["template"]
        if component != APISERVER or not staticpod.is_wildcard(
            staticpod.bind_address(template, component)
        ):
            return ""
        return to_static_pod.other_probe_address(self._daemonset(component))

    def differences(self, component: Component) -> str:
        """Return what will differ from the manifest before the pivot, in words."""
        backup = self.backups.get(component)
        if backup is None:
            return (
                "no manifest from before the pivot is known; the DaemonSet makes the new manifest"
            )
        found = [str(one) for one in difference.meaning(backup, self.manifest(component))]
        return "; ".join(found) or "as before the pivot"

    def choices(self) -> dict[Component, Choice]:
        """Return the way in which each component will change hands, as far as the API tells."""
        wanted = self.options.handover
        found = {c: self.choose(c, AUTO) for c in self.to_revert if not self.is_static(c)}
        beside = [c.name for c, choice in found.items() if choice.way != WAITING]
        if wanted == WAITING and beside:
            raise SelfhostError(
                f"In a revert {', '.join(beside)} can't wait for its port: the DaemonSet's pod serves "
                "until the static pod serves.",
                "Leave --handover out: the default, auto, chooses a possible way.",
            )
        return {c: ways.choose(c, choice, wanted) for c, choice in found.items()}

    def unavailable(self, component: Component, choice: Choice) -> str:
        """Return what clients miss while the component changes hands in that way."""
        pod = self._running(component)
        return ways.unavailable(component, choice.way, pod) if pod else ""

    def slack(self, component: Component) -> float:
        """Return what the component's own flags add to a switch, in seconds."""
        pod = self._running(component)
        return pace.slack(component, pod) if pod else 0.0

    def grace_period(self) -> float:
        """Return for how many seconds the pods may go on after the kubelet tells them to end."""
        found = [self._running(component) for component in self.to_revert]
        return max((pace.grace_period(pod) for pod in found if pod), default=0.0)

    def subject(self, component: Component, *, file: str) -> Hosted:
        """Return what the hand-over needs to know of the component; ``file`` is its manifest's
        name.
        """
        pod = self.pod(component)
        return Hosted(
            port=staticpod.secure_port(pod, component),
            old_uid=self.instance(component).uid,
            retry_period=staticpod.retry_period(pod, component),
            doubt=readiness.doubt(pod) if component == APISERVER else "",
            probe_address=self.probe_host(component) or "127.0.0.1",
            file=file,
            content=manifestfile.content(self.manifest(component)),
        )

    def port(self, component: Component) -> int:
        """Return the port on which the component serves."""
        pod = self._running(component)
        return staticpod.secure_port(pod, component) if pod else component.default_port

    def _running(self, component: Component) -> dict | None:
        """Return the pod that runs the component, as its DaemonSet or its static pod's mirror
        describes it.
        """
        found = self.situation.daemonsets.get(self.own(component).daemonset)
        pod = found["spec"]["template"] if found else None
        return pod or self.situation.mirror_pod(component, self.node)

    def _daemonset(self, component: Component) -> dict:
        return self.situation.daemonsets[self.own(component).daemonset]

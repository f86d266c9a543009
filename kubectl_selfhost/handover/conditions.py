"""The conditions of a hand-over: each is true, says why not yet, or ends the hand-over."""

from __future__ import annotations

from collections.abc import Collection

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import ApiError
from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC, Instance, instances_of
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.leadership import Leadership
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node.agent import NodeAgent

#: Up to this many restarts the port may not have been free; after more, the component can't run.
RESTARTS_THAT_FAIL = 2
#: The label by which the DaemonSet controller tells the pods of two revisions apart.
REVISION_LABEL = "controller-revision-hash"

#: The name of a new instance in messages, by its kind.
NEW = {DAEMONSET: "self-hosted", STATIC: "static"}

AGAIN = "Fix the cause, then run the same command again."


class HandOverFailed(SelfhostError):
    """The new instance does not serve, or the agent took the switch back."""


class Conditions:
    """The conditions of ``component`` on the agent's node. All raise Waiting with the reason for
    "not yet", and HandOverFailed if waiting is of no use.
    """

    def __init__(self, cluster: Cluster, agent: NodeAgent, component: Component) -> None:
        self._cluster = cluster
        self._agent = agent
        self._component = component
        self._node = agent.target.node
        #: The UID of the old instance, a DaemonSet's pod; empty if the old instance is a static pod.
        self.old_pod = ""
        #: The kind of the new instance.
        self.new_kind = DAEMONSET
        self._restarts: dict[str, int] = {}

    def instances(self) -> list[Instance]:
        """Return the component's instances on this node, as the API shows them."""
        return instances_on(self._cluster, self._component, self._node)

    def new_instances(self) -> list[Instance]:
        """Return the instances of the new instance's kind that are not the old one."""
        return [i for i in self.instances() if i.kind == self.new_kind and i.uid != self.old_pod]

    def delete_pods(self, uids: Collection[str]) -> None:
        """Delete the component's pods on this node that have these UIDs."""

        for instance in self.instances():
            if instance.uid in uids:
                self._cluster.delete(PODS, instance.pod, NAMESPACE, uid=instance.uid)

    def revision_of(self, uid: str) -> str:
        """Return the DaemonSet's revision of the pod with this UID; empty if there is none."""

        labels = f"k8s-app={self._component.daemonset}"
        for pod in self._cluster.list(PODS, NAMESPACE, labels=labels):
            if pod["metadata"].get("uid") == uid:
                return str(pod["metadata"]["labels"].get(REVISION_LABEL, ""))
        return ""

    def alone(self) -> bool:
        """Return whether the DaemonSet's instance serves, and there is no other; never raise."""
        found = self.instances()
        return bool(found) and all(i.kind == DAEMONSET for i in found) and _ready(found)

    def is_ready_beside(self, *, steered: bool) -> bool:
        """Return True when the new instance is Ready while the old one serves; ``steered``: the
        agent makes sure that it is the new instance's own readiness.
        """
        state = self._agent.status() if steered else {}
        if state.get("steward") == "none":
            raise HandOverFailed(
                f"The agent on node {self._node} stopped steering the connections of "
                f"{self._component}: {state['steward_reason'] or 'no reason given'}.",
                AGAIN,
            )
        return self.is_ready()

    def serves(self) -> bool:
        """Return True when the new instance is Ready, and the old one has let go of the port."""

        state = self._switch()
        self.is_ready()
        if state["old_listens"]:
            raise Waiting(f"the old {self._component} has not released the port yet")
        return self._component != APISERVER or self.answers()

    def answers(self) -> bool:
        """Return True when the API server that gets new connections is ready."""
        self._cluster.transport.forget()  # a kept connection is the old instance's
        return api_is_ready(self._cluster)

    def is_ready(self) -> bool:
        """Return True when the new instance is Ready."""

        found = self.new_instances()
        for instance in found:
            restarts = self._new_restarts(instance)
            if restarts >= RESTARTS_THAT_FAIL and not instance.ready:
                raise HandOverFailed(
                    f"The {NEW[self.new_kind]} {self._component} on node {self._node} can't run "
                    f"({restarts} restarts): "
                    f"{instance.last_exit or instance.reason or instance.phase}.",
                    AGAIN,
                )
        if not _ready(found):
            phases = ", ".join(_words(i) for i in found) or "no pod"
            raise Waiting(f"{NEW[self.new_kind]} {self._component}: {phases}")
        return True

    def _new_restarts(self, instance: Instance) -> int:
        """Return how often the new instance was restarted: the kubelet continues the count of an
        earlier, equal static pod.
        """
        if instance.kind == STATIC and instance.phase == "Pending":
            return 0  # a mirror pod that is new itself: the kubelet hasn't told its restarts yet
        before = instance.restarts if instance.kind == STATIC else 0
        return instance.restarts - self._restarts.setdefault(instance.uid, before)

    def old_process_gone(self) -> bool:
        """Return True when no process of the old instance is left that could hold the lease."""

        if self._switch()["static_servers"]:
            raise Waiting(f"the old {self._component} is ending")
        return True

    def old_pod_ends(self) -> bool:
        """Return True when the old instance's pod is gone, or on its way out."""

        if not self.old_pod_is_gone():
            raise Waiting(f"the former {self._component} is not being deleted yet")
        return True

    def old_pod_is_gone(self) -> bool:
        """Return whether the old instance's pod isn't there any more, or is on its way out; never
        raise.
        """
        return all(i.uid != self.old_pod or i.terminating for i in self.instances())

    def old_serves_alone(self) -> bool:
        """Return True when the old instance is Ready, or a successor like it, and the static one is
        gone.
        """

        if any(i.kind == STATIC for i in self.instances()):
            raise Waiting(f"the static {self._component} is ending")
        return self.old_serves()

    def old_serves(self) -> bool:
        """Return True when the old instance is Ready, or a successor like it, and no new one is
        beside it.
        """
        return _is_one([i for i in self.instances() if i.kind == DAEMONSET])

    def one_serves(self) -> bool:
        """Return True when one DaemonSet's instance is Ready, and every other one is on its way
        out.
        """
        return _is_one([i for i in self.instances() if i.kind == DAEMONSET and not i.terminating])

    def static_serves(self) -> bool:
        """Return True when the static instance is Ready."""

        found = [i for i in self.instances() if i.kind == STATIC]
        if not _ready(found):
            phases = ", ".join(_words(i) for i in found) or "not started yet"
            raise Waiting(f"static {self._component}: {phases}")
        return True

    def leads(self, leadership: Leadership) -> bool:
        """Return True when the new instance holds the lease."""

        self._switch()
        if not leadership.is_new():
            raise Waiting(f"the {NEW[self.new_kind]} {self._component} doesn't lead yet")
        return True

    def _switch(self) -> dict:
        """Return the agent's state; raise if the agent has put the static instance back."""
        state = self._agent.status()
        if state["state"] == "put-back":
            raise HandOverFailed(
                f"The agent on node {self._node} put the static {self._component} back: "
                f"{state['reason']}.",
                AGAIN,
            )
        if state["state"] == "taken-away":
            raise HandOverFailed(
                f"The agent on node {self._node} removed the manifest of {self._component} again: "
                f"{state['reason']}.",
                AGAIN,
            )
        return state


def api_is_ready(cluster: Cluster) -> bool:
    """Return True when /readyz says so; raise Waiting with the checks that fail, in a few words."""

    try:
        cluster.with_patience(0.0).raw("GET", "/readyz")
    except ApiError as error:
        raise Waiting(f"the API server is not ready: {error.detail or error.message}") from error
    return True


def instances_on(cluster: Cluster, component: Component, node: str) -> list[Instance]:
    """Return the instances of ``component`` on ``node``, by one request."""

    # Not by kubeadm's labels: the pods of kubeadm's own pivot (until 1.20) had none of them.
    return instances_of(cluster.list(PODS, NAMESPACE, fields=f"spec.nodeName={node}"), component)


def _ready(instances: list[Instance]) -> bool:
    return any(instance.ready for instance in instances)


def _is_one(found: list[Instance]) -> bool:
    """Return True for one instance that is Ready; raise Waiting with all that there are."""

    if len(found) != 1 or not _ready(found):
        phases = ", ".join(f"{i.pod} {_words(i)}" for i in found) or "no pod"
        raise Waiting(phases)
    return True


def _words(instance: Instance) -> str:
    return f"{instance.phase} ({instance.reason})" if instance.reason else instance.phase

"""A component's roll-out on all its nodes: one change of the DaemonSet, one hand-over on each node.

The DaemonSet controller chooses the next node (maxSurge 1, and it goes through its nodes in no
order). So the run keeps clients away from new instances on every node before it changes the
DaemonSet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.daemonset import change
from kubectl_selfhost.controlplane.daemonset.progress import is_rolled_out
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.revision_to_revision import BetweenRevisions, Revision, put_back
from kubectl_selfhost.handover.ways import SHARED, Choice
from kubectl_selfhost.names import NAMESPACE


class AcrossNodes:
    """The roll-out of one component; ``handovers`` has one hand-over for each node."""

    def __init__(
        self,
        cluster: Cluster,
        handovers: Sequence[BetweenRevisions],
        *,
        timeout: float,
        tell: Callable[[str], None],
    ) -> None:
        """Prepare the roll-out. ``timeout`` is the limit of each wait in seconds; ``tell`` is
        called with what is waited for.
        """
        self._cluster = cluster
        self._handovers = handovers
        self._timeout = timeout
        self._tell = tell
        self._subjects: Mapping[str, Revision] = {}

    @property
    def component(self) -> str:
        return self._handovers[0].component.name

    @property
    def has_begun(self) -> bool:
        """Return whether this run has begun to change the DaemonSet."""
        return bool(self._subjects)

    def do(self, subjects: Mapping[str, Revision]) -> None:
        """Change the DaemonSet as the ``subjects`` say, by node, and hand over on each node.

        Raise HandOverFailed with the reason; the caller then calls ``undo``.
        """
        self._subjects = subjects
        for handover in self._handovers:
            handover.expect(subjects[handover.node])
        self._change(next(iter(subjects.values())))
        self._hand_over(self._handovers, subjects)

    def _change(self, subject: Revision) -> None:
        """Change the DaemonSet, unless somebody else has changed it since the plan was made.

        The DaemonSet's controller writes its status now and then, so its resourceVersion may have
        changed.
        """

        name = subject.before["metadata"]["name"]
        current = self._cluster.get(DAEMONSETS, name, NAMESPACE)
        if current["spec"] != subject.before["spec"]:
            raise SelfhostError(
                f"Somebody else changed DaemonSet {name} after the plan was made.",
                "Check the change, then run `kubectl selfhost rollout` again.",
            )
        self._cluster.replace(DAEMONSETS, {**current, "spec": subject.after["spec"]})

    def undo(self) -> None:
        """Restore the DaemonSet, unless the new instances serve everywhere."""
        if not all(one.seconds is not None for one in self._handovers):
            self.go_back()

    def go_back(self) -> None:
        """Restore the DaemonSet, also if the new instances serve everywhere; do nothing if this run
        has not changed the DaemonSet.
        """
        if not self._subjects:
            return
        begun = [one for one in self._handovers if one.seconds is None]
        back: dict[str, Revision] = {}
        ways_back, ceased = [], []
        for done in self._handovers:
            serving = done.serving() if done not in begun else ""
            if serving:
                back[done.node] = self._reversed(done.node, serving)
                ways_back.append(done.again())
            elif done not in begun:
                ceased.append(done)
        for handover in ways_back:
            self._expect(handover, back[handover.node])
        put_back(self._cluster, next(iter(self._subjects.values())).before)
        for handover in [*begun, *ceased]:
            handover.stay()
        self._hand_over(ways_back, back)
        for handover in self._handovers:
            handover.wait_until_one_serves()
        self._wait_until_rolled_out()

    def _wait_until_rolled_out(self) -> None:
        """Wait until the DaemonSet is rolled out, so that the next command finds it settled."""

        name = self._handovers[0].component.daemonset

        def check() -> bool:
            if not is_rolled_out(self._cluster.get(DAEMONSETS, name, NAMESPACE)):
                raise Waiting(f"not all pods of DaemonSet {name} have their former revision yet")
            return True

        with self._cluster.waiting(self._timeout):
            wait_until(
                check,
                what=f"DaemonSet {name} to return to its former revision",
                timeout=self._timeout,
                tell=self._tell,
            )

    def _expect(self, handover: BetweenRevisions, subject: Revision) -> None:
        """Expect the new instance. Nothing must prevent the DaemonSet's restoration: without a
        steward, clients may meet an apiserver a moment too early, and this is all.
        """
        try:
            handover.expect(subject)
        except SelfhostError as error:
            self._tell(
                f"the connections of {handover.component} on {handover.node} are not steered: "
                f"{error.message}"
            )
            handover.choice = Choice(SHARED)

    def _reversed(self, node: str, serving: str) -> Revision:
        """Return what goes back on a node where the new instance serves, in the pod with this UID."""
        subject = self._subjects[node]
        return replace(
            subject,
            old_uid=serving,
            probe_address=change.probe_address(subject.before) or subject.probe_address,
            before=subject.after,
            after=subject.before,
        )

    def _hand_over(
        self, handovers: Sequence[BetweenRevisions], subjects: Mapping[str, Revision]
    ) -> None:
        left = list(handovers)
        while left:
            handover = self._next(left)
            handover.do(subjects[handover.node])
            left.remove(handover)

    def _next(self, left: Sequence[BetweenRevisions]) -> BetweenRevisions:
        """Return the hand-over on whose node a new pod has come."""

        return wait_until(
            lambda: next((one for one in left if one.has_come()), None),
            what=f"a new pod of {self.component} to be made",
            timeout=self._timeout,
            tell=self._tell,
        )

"""The last hand-over of ``revert --from-backup``: from a static pod to the static pod of before the
pivot.

The manifest of before the pivot replaces the manifest that a revert has made. It doesn't share its
port, and the kubelet runs one static pod of a name at a time: so there is a gap of one start of the
component. If the pod doesn't come to serve, the agent puts the manifest that ran back.

The exchange is no ``HandOver``: nothing starts beside the old pod, so there is no way to choose, no
port to share or hold, and no other instance to tell apart. The kubelet ends the old pod and starts
the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.instance import STATIC, Instance
from kubectl_selfhost.controlplane.values.hosts import ONLY_HOST, Hosts
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.conditions import Conditions
from kubectl_selfhost.handover.handover import SWITCH_LIMIT
from kubectl_selfhost.handover.leadership import Leadership
from kubectl_selfhost.node import manifestfile
from kubectl_selfhost.node.agent import AgentGone, NodeAgent
from kubectl_selfhost.node.orders import Exchange, KeptFile, ManifestFile


class ToFormerFile:
    """The hand-over of one component on one node. ``kept`` gives its manifest as it was before the
    pivot.
    """

    def __init__(
        self,
        cluster: Cluster,
        agent: NodeAgent,
        component: Component,
        *,
        kept: Callable[[], KeptFile],
        timeout: float,
        tell: Callable[[str], None],
        hosts: Hosts = ONLY_HOST,
        slack: float = 0.0,
    ) -> None:
        """Prepare the hand-over. ``slack`` is what the component's own flags add to a switch
        (``pace.slack``). ``timeout`` is the limit of each wait in seconds; ``tell`` is called with
        what is waited for; ``hosts`` tells the node's host from the others', if the leader may be
        on another.
        """
        self._cluster = cluster
        self._agent = agent
        self.component = component
        self._kept = kept
        self._conditions = Conditions(cluster, agent, component)
        self._conditions.new_kind = STATIC
        self._timeout = timeout + slack
        self._limit = min(timeout, SWITCH_LIMIT) + slack
        self._tell = tell
        self._hosts = hosts
        self._begun = False

    def done(self) -> bool:
        """Return whether the file that runs is the kept file."""
        return self._current().sha256 == self._kept().sha256

    def do(self, port: int) -> None:
        """Exchange the files, and wait until the pod serves. Raise SelfhostError."""
        kept, current = self._kept(), self._current()
        leadership = None
        if self.component.lease:
            leadership = Leadership(self._cluster, self.component, hosts=self._hosts)
            if not leadership.is_here():
                leadership = None  # another node's instance leads, and goes on to lead
        old = self._conditions.new_instances()[0]
        self._begun = True
        with self._cluster.waiting(self._limit):
            self._agent.exchange(
                Exchange(
                    component=self.component.name,
                    file=kept.name,
                    sha256=kept.sha256,
                    former=current.sha256,
                    port=port,
                    static_uid=old.node_uid,
                    limit=int(3 * self._limit) or 1,
                )
            )
            self._wait(
                lambda: self._serves_anew(old),
                f"the {self.component} from before the pivot to serve",
            )
            if leadership is not None:
                # The kubelet has started the new instance after the old one's end.
                leadership.release()
                self._wait(
                    lambda: self._conditions.leads(leadership),
                    f"the {self.component} from before the pivot to lead",
                )
            self._agent.confirm(self.component.name)
        self._begun = False

    def undo(self) -> None:
        """Put the manifest back that ran, unless the former manifest was confirmed."""
        if not self._begun:
            return
        with self._cluster.waiting(self._timeout):
            with suppress(AgentGone):  # an agent that ends puts back what wasn't confirmed
                if self._agent.status()["state"] == "placed":
                    self._agent.put_back(
                        self.component.name, "the run that placed the manifest has ended"
                    )
            time.sleep(1)  # the kubelet looks at once; until then the pod is called Ready
            self._wait(
                self._conditions.static_serves, f"the static {self.component} to serve again"
            )

    def _current(self) -> ManifestFile:
        files = self._agent.manifests()
        name = manifestfile.find(
            {file.name: file.content for file in files if not file.link},
            self.component,
            links={file.name: file.link for file in files if file.link},
            where=f"{self._agent.target.static_pod_path} on node {self._agent.target.node}",
        )
        if name != self._kept().name:
            raise SelfhostError(
                f"The manifest of {self.component} has the name {name}, and had the name "
                f"{self._kept().name} before the pivot.",
                f"Rename it to {self._kept().name}, then run the command again.",
            )
        return next(file for file in files if file.name == name)

    def _serves_anew(self, old: Instance) -> bool:
        found = self._conditions.new_instances()
        if any(one.node_uid == old.node_uid for one in found):
            raise Waiting(f"the {self.component} that ran is ending")
        return self._conditions.is_ready()

    def _wait(self, check: Callable[[], bool], what: str) -> None:
        wait_until(check, what=what, timeout=self._timeout, tell=self._tell)

"""Talks to the agent on a node: starts its pod, gives it orders, reads its answers, ends it.

Orders are given by running the agent's program a second time in its container (``pods/exec``). An
order's effect is in a state file on the node before the answer is sent, and every order may be
given twice: an answer that is lost because the API server is just being replaced costs nothing.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node.pod import NodeTarget

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.cluster.exec import ExecResult


class AgentError(SelfhostError):
    """The agent refused an order. ``code`` is its own word for the kind of reason."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class AgentGone(AgentError):
    """The agent's pod is gone, or about to go."""

    def __init__(self, pod: str) -> None:
        super().__init__(
            f"The agent pod {pod} was deleted by somebody; before it ends it puts back a manifest "
            "whose component was not confirmed.",
            _RUN_AGAIN,
        )


@dataclass(frozen=True)
class ManifestFile:
    """A file in the kubelet's directory; ``content`` is None where it is too large for one."""

    name: str
    mode: str
    sha256: str
    content: bytes | None


@dataclass(frozen=True)
class Order:
    """What the agent needs to know to give one component away, and to take it back by itself.

    ``limit`` and ``listen_limit`` are in seconds: how long the new instance has until it must be
    confirmed, and how long nothing may listen on ``port``.
    """

    component: str
    file: str
    sha256: str
    port: int
    static_uid: str
    instance_uids: tuple[str, ...]
    limit: int
    listen_limit: int


class NodeAgent:
    """The agent of one node."""

    def __init__(self, cluster: Cluster, target: NodeTarget) -> None:
        self.cluster = cluster
        self.target = target
        self.pod = agent_pod.pod_name(target.node)

    def find(self) -> dict | None:
        """The agent's pod, or None."""
        from kubectl_selfhost.cluster.kinds import PODS

        return self.cluster.find(PODS, self.pod, NAMESPACE)

    def runs(self) -> bool:
        """Whether the pod of this very agent runs and isn't being deleted."""
        pod = self.find()
        return pod is not None and _is_running(pod) and self._is_ours(pod)

    def start(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        """Makes the pod and waits until it takes orders; a pod left by a former run is replaced.

        Raises SelfhostError when the pod can't be made, or doesn't run within ``timeout`` seconds.
        """
        from kubectl_selfhost.cluster.kinds import PODS
        from kubectl_selfhost.cluster.waits import wait_until

        if self.find() is not None:
            self.stop(timeout=timeout, tell=tell)
        self.cluster.create(PODS, agent_pod.manifest(self.target))
        wait_until(self._ready, what=f"the agent pod {self.pod} to run", timeout=timeout, tell=tell)

    def stop(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        """Deletes the pod and waits until it is gone; if armed, it puts its manifest back first."""
        from kubectl_selfhost.cluster.kinds import PODS
        from kubectl_selfhost.cluster.waits import Waiting, wait_until

        self.cluster.delete(PODS, self.pod, NAMESPACE)

        def gone() -> bool:
            if self.find() is None:
                return True
            raise Waiting(f"pod {self.pod} is being deleted")

        wait_until(gone, what=f"the agent pod {self.pod} to go", timeout=timeout, tell=tell)

    def check(self) -> dict:
        """Whether our directory can be written; raises AgentError (code ``disk-full``, ``io``)."""
        return self._order("check", *self.target.arguments)

    def manifests(self) -> list[ManifestFile]:
        """The files that the kubelet reads its static pods from."""
        answer = self._order("list", "--manifests", agent_pod.HOST + self.target.static_pod_path)
        return [_manifest_file(entry) for entry in answer["files"]]

    def hold(self, component: str) -> None:
        """Has the component's new instance wait until ``arm``, also while the port is free.

        A static controller-manager that loses its lease exits and is started again; a new instance
        that took the port meanwhile would keep it from coming back, with nobody watching.
        """
        self._order("hold", *self.target.directory_arguments, "--component", component)

    def arm(self, order: Order) -> None:
        """Takes the manifest away and starts the dead man's switch."""
        uids = [word for uid in order.instance_uids for word in ("--instance-uid", uid)]
        self._order(
            "arm",
            *self.target.arguments,
            *("--component", order.component, "--container", order.component),
            *("--file", order.file, "--sha256", order.sha256, "--port", str(order.port)),
            *("--static-uid", order.static_uid, *uids),
            *("--limit", str(order.limit), "--listen-limit", str(order.listen_limit)),
            *("--log-dir", agent_pod.HOST + "/var/log/pods"),
        )

    def confirm(self, component: str) -> None:
        """Tells the agent that the new instance serves: the switch is off."""
        self._order("confirm", *self.target.directory_arguments, "--component", component)

    def put_back(self, component: str, reason: str) -> None:
        """Has the manifest put back and the new instance stopped, at once."""
        self._order(
            "put-back", *self.target.arguments, "--component", component, "--reason", reason
        )

    def status(self) -> dict:
        """The agent's state, as its ``status`` command gives it."""
        return self._order("status", *self.target.directory_arguments)

    def _order(self, command: str, *arguments: str) -> dict:
        words = [self.target.program, command, *arguments]
        result = self._exec(words)
        try:
            answer = json.loads(result.stdout)
        except ValueError:
            if self._is_leaving():  # what runs in its container is killed with it
                raise AgentGone(self.pod) from None
            said = (result.stderr or result.stdout).strip()[:200] or "nothing"
            raise AgentError(
                f"The agent on node {self.target.node} gave no answer to '{command}' "
                f"(exit code {result.exit_code}, it said: {said})."
            ) from None
        if "error" in answer:
            raise AgentError(
                f"The agent on node {self.target.node} refused '{command}': {answer['error']}",
                _HINTS.get(answer.get("code", ""), ""),
                code=answer.get("code", ""),
            )
        return answer

    def _exec(self, words: list[str]) -> ExecResult:
        """Gives the order again where its answer was lost, for as long as the cluster is patient."""
        from kubectl_selfhost.cluster.errors import ApiError, Unreachable

        deadline = time.monotonic() + self.cluster.patience
        while True:
            try:
                return self.cluster.exec(self.pod, agent_pod.CONTAINER, words, timeout=15.0)
            except Unreachable:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.25)
            except ApiError as error:
                if not self._is_leaving():
                    raise
                raise AgentGone(self.pod) from error

    def _is_leaving(self) -> bool:
        pod = self.find()
        return pod is None or "deletionTimestamp" in pod["metadata"]

    def _ready(self) -> bool:
        from kubectl_selfhost.cluster.waits import Waiting

        pod = self.find()
        if pod is None:
            raise SelfhostError(f"The agent pod {self.pod} was deleted by somebody.", _RUN_AGAIN)
        if pod["status"].get("phase") in ("Failed", "Succeeded"):
            raise SelfhostError(f"The agent pod {self.pod} ended: {_why(pod)}.", _RUN_AGAIN)
        if not _is_running(pod):
            raise Waiting(f"pod {self.pod}: {_why(pod)}")
        self.status()
        return True

    def _is_ours(self, pod: dict) -> bool:
        wanted = agent_pod.manifest(self.target)["spec"]["containers"][0]
        has = pod["spec"]["containers"][0]
        return all(has.get(key) == wanted[key] for key in ("image", "command"))


_RUN_AGAIN = "Run the same command again: it goes on where this one stopped."
_HINTS = {
    "disk-full": "Make room on that file system of the node, then run the same command again.",
    "changed": "Somebody changed the manifest meanwhile. Look at it, then run the command again.",
    "not-found": "Look at the kubelet's staticPodPath on the node, then run the command again.",
    "busy": "Another agent is at work on the node. Wait until it has ended, then run again.",
}


def _is_running(pod: dict) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all("running" in status.get("state", {}) for status in statuses)


def _why(pod: dict) -> str:
    """One phrase that says what the pod is doing or why it isn't."""
    for status in pod["status"].get("containerStatuses", []):
        for state in status.get("state", {}).values():
            words = [state.get("reason", ""), (state.get("message") or "").strip()[-300:]]
            if any(words):
                return ": ".join(word for word in words if word)
    reason = pod["status"].get("reason") or pod["status"].get("phase") or "Pending"
    message = pod["status"].get("message", "")
    return f"{reason}: {message}" if message else reason


def _manifest_file(entry: dict) -> ManifestFile:
    content = entry.get("content")
    return ManifestFile(
        name=entry["name"],
        mode=entry["mode"],
        sha256=entry["sha256"],
        content=None if content is None else base64.b64decode(content),
    )

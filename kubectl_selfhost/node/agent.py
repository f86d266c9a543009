"""The node agent: this module starts its pod, carries orders and answers, and ends the pod.

For an order the run starts the agent's program once more in the agent's container (``pods/exec``), with
the same words each time. The order itself is lines of key=value on stdin, so no part of the order is in
a URL. The answer is a JSON object. The agent writes an order's effect into a state
file on the node before it answers, and a run may give every order twice. So an answer that is lost
while the API server changes hands costs nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import NoReturn

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection.exec import ExecResult
from kubectl_selfhost.cluster.errors import ApiError, Unreachable
from kubectl_selfhost.cluster.kinds import PODS, SECRETS
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.program import SECRET, Reference
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE, PROGRAM_UID_ANNOTATION
from kubectl_selfhost.node import binaries, program
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node.orders import Orders, as_lines
from kubectl_selfhost.node.pod import NodeTarget
from kubectl_selfhost.node.sealed import SealKey

#: Seconds until the kubelet restarts a container: at once the first time, after 10 s the next time (its
#: back-off).
_RESTARTED = 15.0
_AGAIN = 0.25
#: "container not found" is an InternalError.
_NOT_NOW = 500


class AgentError(SelfhostError):
    """The agent refused an order. ``code`` is the agent's word for the kind of reason."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class AgentGone(AgentError):
    """The agent's pod is gone, or is being deleted."""

    def __init__(self, pod: str) -> None:
        super().__init__(
            f"Somebody deleted the agent pod {pod}. Before the agent ends, it puts back the manifest of "
            "a component that was not confirmed.",
            _RUN_AGAIN,
        )


class NodeAgent(Orders):
    """The agent of a node: its pod, and the way to give orders."""

    def __init__(self, cluster: Cluster, target: NodeTarget) -> None:
        self.cluster = cluster
        self.target = target
        self.pod = agent_pod.pod_name(target.node)
        self._former_pod = agent_pod.former_pod_name(target.node)
        #: The UID of the pod that ``create`` has made, and its key if its target seals.
        self._created = ""
        self.key: SealKey | None = None

    def find(self) -> dict | None:
        """Return the agent's pod, or the pod that an earlier build has left; None without a pod."""

        own = self._own_pod()
        return own if own is not None else self.cluster.find(PODS, self._former_pod, NAMESPACE)

    def runs(self) -> bool:
        """Return whether the agent's pod runs this build's program and isn't being deleted."""
        pod = self._own_pod()
        return (
            pod is not None
            and _is_running(pod)
            and self._is_ours(pod)
            and _program_uid(pod) == program.require(self.cluster, self.target.arch)
            and self._runs_own_program()
        )

    def _runs_own_program(self) -> bool:
        """Return whether the agent answers that it is this build's program.

        A foreign program can give the same answer. So this check finds only an old object that the
        kubelet has kept, and a damaged file.
        """
        return self.status().get("program") == binaries.digest(self.target.arch)

    def _own_pod(self) -> dict | None:
        return self.cluster.find(PODS, self.pod, NAMESPACE)

    def create(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        """Create the pod, for ``start``; replace a pod that an earlier run left.

        Raise ForeignProgram if the program is not the plugin's.
        """
        if self.find() is not None:
            self.stop(timeout=timeout, tell=tell)
        uid = program.require(self.cluster, self.target.arch)
        key = SealKey.new(self.target.node) if self.target.seals else None
        named = key.name if key else ""
        made = self.cluster.create(
            PODS, agent_pod.manifest(self.target, program_uid=uid, key=named)
        )
        self._created, self.key = made["metadata"]["uid"], key
        if key:
            self.cluster.create(SECRETS, key.manifest(made))

    def start(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        """Create the pod, unless ``create`` has made it, and wait until it takes orders.

        Compare the program before the pod is created, and again before the first order. Raise
        ForeignProgram or SwappedProgram if the program is not this build's. Raise SelfhostError if
        the pod can't be created or doesn't run within ``timeout`` seconds.
        """
        pod = self._own_pod()
        if pod is None or pod["metadata"].get("uid") != self._created or _is_over(pod):
            self.create(timeout=timeout, tell=tell)
        wait_until(self._ready, what=f"the agent pod {self.pod} to run", timeout=timeout, tell=tell)

    def stop(self, *, timeout: float, tell: Callable[[str], None]) -> None:
        """Delete the pod and wait until it is gone; an armed agent first puts its manifest back."""

        for name in (self.pod, self._former_pod):
            self.cluster.delete(PODS, name, NAMESPACE)

        def gone() -> bool:
            if self.find() is None:
                return True
            raise Waiting(f"pod {self.pod} is being deleted")

        wait_until(gone, what=f"the agent pod {self.pod} to go", timeout=timeout, tell=tell)
        if self.key:  # the garbage collector would delete it, too, if somebody leads
            self.cluster.delete(SECRETS, self.key.name, NAMESPACE)
            self.key = None

    def order(self, name: str, **fields: object) -> dict:
        """Return the agent's answer to an order. Raise AgentError with the agent's reason."""
        directory = agent_pod.HOST + self.target.directory
        answer = self._answer(name, as_lines(order=name, dir=directory, **fields))
        if "error" in answer:
            raise AgentError(
                f"The agent on node {self.target.node} refused '{name}': {answer['error']}",
                _HINTS.get(answer.get("code", ""), ""),
                code=answer.get("code", ""),
            )
        return answer

    def _answer(self, name: str, lines: bytes) -> dict:
        """Return the answer to an order.

        If the answer was lost, give the order again, for as long as the cluster is patient. If the
        container is away, wait until the kubelet has restarted it.
        """

        began = time.monotonic()
        words = [self.target.program, "order"]

        def waited(seconds: float) -> bool:
            return time.monotonic() - began >= seconds

        while True:
            try:
                result = self.cluster.exec(
                    self.pod, agent_pod.CONTAINER, words, stdin=lines, timeout=15.0
                )
                answer: dict = json.loads(result.stdout)
                return answer
            except Unreachable:
                if waited(max(self.cluster.patience, _RESTARTED)):
                    raise
            except ApiError as error:
                if self._is_leaving():
                    raise AgentGone(self.pod) from error
                if error.status < _NOT_NOW or waited(_RESTARTED):
                    raise
            except ValueError:  # the deletion of the pod kills the processes in its container
                if self._is_leaving():
                    raise AgentGone(self.pod) from None
                if waited(_RESTARTED):
                    raise self._silent(name, result) from None
            time.sleep(_AGAIN)

    def _silent(self, name: str, result: ExecResult) -> AgentError:
        said = (result.stderr or result.stdout).strip()[:200] or "nothing"
        return AgentError(
            f"The agent on node {self.target.node} gave no answer to '{name}' "
            f"(exit code {result.exit_code}, output: {said})."
        )

    def _is_leaving(self) -> bool:
        pod = self.find()
        return pod is None or "deletionTimestamp" in pod["metadata"]

    def _ready(self) -> bool:
        pod = self._own_pod()
        if pod is None:
            raise SelfhostError(f"Somebody deleted the agent pod {self.pod}.", _RUN_AGAIN)
        if _has_started(pod):
            self._require_same_program(pod)
        if pod["status"].get("phase") in ("Failed", "Succeeded"):
            raise SelfhostError(f"The agent pod {self.pod} ended: {_why(pod)}.", _RUN_AGAIN)
        if not _is_running(pod):
            raise Waiting(f"pod {self.pod}: {_why(pod)}")
        if not self._runs_own_program():
            self._refuse_program("the kubelet started the pod with another program")
        return True

    def _is_ours(self, pod: dict) -> bool:
        wanted = agent_pod.manifest(self.target)["spec"]["containers"][0]
        has = pod["spec"]["containers"][0]
        return all(has.get(key) == wanted[key] for key in ("image", "command"))

    def _require_same_program(self, pod: dict) -> None:
        """Delete the pod and raise SwappedProgram unless the Secret is the one that was compared before.

        The kubelet reads the Secret after the pod was created and before the program starts. A uid is
        never used twice, and an immutable Secret keeps its content. So if the uid is the same before
        and after, the kubelet had no other object to read. One gap remains: a kubelet caches an
        immutable Secret as long as a pod on its node mounts it (watch_based_manager.go, Get), so the
        pod may get a deleted object of the same name; see ``_runs_own_program``.
        """
        wrong = self._since(pod)
        if wrong:
            self._refuse_program(wrong)

    def _since(self, pod: dict) -> str:
        """Return how the Secret changed since the pod was created; empty if it is the same."""
        try:
            now = program.uid(self.cluster, self.target.arch)
        except program.ForeignProgram as error:
            return error.wrong
        if not now:
            return "it is gone"
        return "" if now == _program_uid(pod) else "it is another object now"

    def require_same_program(self, started: str) -> None:
        """Raise SwappedProgram unless the Secret is still the object that this agent started from.

        ``started`` names other pods that have mounted the Secret since then.
        """
        pod = self._own_pod()
        wrong = self._since(pod) if pod is not None else ""
        if wrong:
            raise program.SwappedProgram(
                self._secret, started=started, node=self.target.node, wrong=wrong
            )

    def _refuse_program(self, wrong: str) -> NoReturn:
        """Delete the pod at once, and raise SwappedProgram."""

        self.cluster.delete(PODS, self.pod, NAMESPACE, grace_seconds=0)
        raise program.SwappedProgram(
            self._secret,
            started=f"the pod {self.pod}",
            node=self.target.node,
            wrong=wrong,
            then="The run deleted the pod before it gave an order.",
        )

    @property
    def _secret(self) -> Reference:
        return Reference(SECRET, binaries.secret_name(self.target.arch))


_RUN_AGAIN = "Run the same command again: it continues this run."
_HINTS = {
    "disk-full": "Free disk space on that file system of the node, then run the same command again.",
    "changed": "Somebody changed the manifest meanwhile. Check the file, then run the command again.",
    "not-found": "Check the kubelet's staticPodPath on the node, then run the command again.",
    "busy": "Another agent works on the node. Wait until it has ended, then run the command again.",
}


def _is_running(pod: dict) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all("running" in status.get("state", {}) for status in statuses)


def _is_over(pod: dict) -> bool:
    """Return whether the pod has ended, or is being deleted."""
    ended = pod["status"].get("phase") in ("Failed", "Succeeded")
    return ended or "deletionTimestamp" in pod["metadata"]


def _has_started(pod: dict) -> bool:
    """Return whether the pod's program runs or ran."""
    statuses = pod["status"].get("containerStatuses", [])
    return any({"running", "terminated"} & set(one.get("state") or {}) for one in statuses) or any(
        one.get("lastState") for one in statuses
    )


def _program_uid(pod: dict) -> str:
    return (pod["metadata"].get("annotations") or {}).get(PROGRAM_UID_ANNOTATION, "")


def _why(pod: dict) -> str:
    """Return the pod's state, or why it doesn't run, in a phrase."""
    for status in pod["status"].get("containerStatuses", []):
        for state in status.get("state", {}).values():
            words = [state.get("reason", ""), (state.get("message") or "").strip()[-300:]]
            if any(words):
                return ": ".join(word for word in words if word)
    reason = pod["status"].get("reason") or pod["status"].get("phase") or "Pending"
    message = pod["status"].get("message", "")
    return f"{reason}: {message}" if message else reason

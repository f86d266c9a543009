"""What can be asked of the agent on a node; each method is one of its commands."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from kubectl_selfhost.node import binaries
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node.pod import NodeTarget

#: Bytes of a manifest that go with one command: words of a command are part of a URL, and there are
#: proxies that take no more than 8 KiB of it.
_PART = 3072

#: The commands that only look. Every other one changes something on the node.
LOOKS = frozenset({"status", "list", "can-share"})

_LOGS = agent_pod.HOST + "/var/log/pods"


@dataclass(frozen=True)
class ManifestFile:
    """A file in the kubelet's directory; ``content`` is None where it is too large for one."""

    name: str
    mode: str
    sha256: str
    content: bytes | None


@dataclass(frozen=True)
class KeptFile(ManifestFile):
    """A manifest that is kept in our directory on the node, and of which component."""

    component: str


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


@dataclass(frozen=True)
class Placement:
    """A manifest that is to be put into the kubelet's directory, as the file ``file``.

    ``limit`` is in seconds: if it isn't confirmed in time, the agent takes it away again.
    """

    component: str
    file: str
    content: bytes
    port: int
    limit: int


@dataclass(frozen=True)
class Exchange:
    """A kept manifest that is to take the place of the one that runs; the agent puts that back unless
    told in time (``limit`` seconds).

    ``file`` is the name of both, ``sha256`` the kept one's, ``former`` the other one's digest;
    ``static_uid`` is the static pod that runs.
    """

    component: str
    file: str
    sha256: str
    former: str
    port: int
    static_uid: str
    limit: int


@dataclass(frozen=True)
class ShareOrder:
    """What the agent needs to know to share the port of a server that runs.

    ``way`` is "seamless" or "shared". ``pod_uid`` is the pod whose server has ``port`` now,
    ``instance_uids`` those of the pods that are to share it. ``probe_address`` is the loopback
    address at which the new instance is probed.
    """

    component: str
    port: int
    pod_uid: str
    instance_uids: tuple[str, ...]
    way: str
    probe_address: str


@dataclass(frozen=True)
class Possible:
    """The best way to share a port that the agent sees on its node, and why not a better one."""

    way: str
    why: str


class Orders:
    """The agent's commands. All raise AgentError with the agent's reason."""

    target: NodeTarget

    def order(self, command: str, *arguments: str) -> dict:
        """Carries an order to the agent, and its answer back."""
        raise NotImplementedError

    def check(self) -> dict:
        """Whether our directory can be written; raises AgentError (code ``disk-full``, ``io``)."""
        return self.order("check", *self.target.arguments)

    def manifests(self) -> list[ManifestFile]:
        """The files that the kubelet reads its static pods from."""
        answer = self.order("list", "--manifests", agent_pod.HOST + self.target.static_pod_path)
        return [_manifest_file(entry) for entry in answer["files"]]

    def hold(self, component: str) -> None:
        """Has the component's new instance wait until ``arm``, also while the port is free.

        A static controller-manager that loses its lease exits and is started again; a new instance
        that took the port meanwhile would keep it from coming back, with nobody watching.
        """
        self.order("hold", *self.target.directory_arguments, "--component", component)

    def arm(self, order: Order) -> None:
        """Takes the manifest away and starts the dead man's switch."""
        self.order(
            "arm",
            *self.target.arguments,
            *("--component", order.component, "--container", order.component),
            *("--file", order.file, "--sha256", order.sha256, "--port", str(order.port)),
            *("--static-uid", order.static_uid, *_uids(order.instance_uids)),
            *("--limit", str(order.limit), "--listen-limit", str(order.listen_limit)),
            *("--log-dir", _LOGS),
        )

    def kept(self) -> list[KeptFile]:
        """The manifests that are kept on the node, older ones of the same name among them."""
        answer = self.order("list", *self.target.directory_arguments)
        return [
            KeptFile(**vars(_manifest_file(entry)), component=entry["component"])
            for entry in answer["files"]
        ]

    def place(self, placement: Placement) -> None:
        """Puts a manifest into the kubelet's directory and starts the dead man's switch."""
        of_file = (*self._of(placement.component), "--file", placement.file)
        for offset in range(0, len(placement.content), _PART):
            part = base64.b64encode(placement.content[offset : offset + _PART]).decode()
            self.order("write", *of_file, "--offset", str(offset), "--content", part)
        self.order(
            "place",
            *(*of_file, "--manifests", agent_pod.HOST + self.target.static_pod_path),
            *("--sha256", hashlib.sha256(placement.content).hexdigest()),
            *("--port", str(placement.port), "--limit", str(placement.limit)),
        )

    def exchange(self, exchange: Exchange) -> None:
        """Has a kept manifest take the place of the one that runs, byte for byte."""
        self.order(
            "exchange",
            *self._of(exchange.component),
            *("--manifests", agent_pod.HOST + self.target.static_pod_path),
            *("--file", exchange.file, "--sha256", exchange.sha256, "--former", exchange.former),
            *("--port", str(exchange.port), "--static-uid", exchange.static_uid),
            *("--limit", str(exchange.limit)),
        )

    def confirm(self, component: str) -> None:
        """Tells the agent that the new instance serves: the switch is off."""
        self.order("confirm", *self.target.directory_arguments, "--component", component)

    def put_back(self, component: str, reason: str) -> None:
        """Has the manifest put back and the new instance stopped, at once; or taken away again,
        if it is one that was placed."""
        self.order("put-back", *self.target.arguments, "--component", component, "--reason", reason)

    def status(self) -> dict:
        """The agent's state, as its ``status`` command gives it."""
        return self.order("status", *self.target.directory_arguments)

    def can_share(self, port: int, pod_uid: str, instance_uids: Sequence[str]) -> Possible:
        """In which way the pod's server, which has ``port``, could give it to another; looks only."""
        answer = self.order(
            "can-share", "--port", str(port), "--pod-uid", pod_uid, *_uids(instance_uids)
        )
        return Possible(answer["way"], answer["reason"])

    def share(self, order: ShareOrder) -> None:
        """Has the server that runs share its port; in the way seamless, steers it from then on."""
        self.order(
            "share",
            *self._of(order.component),
            *("--port", str(order.port), "--pod-uid", order.pod_uid, "--way", order.way),
            *("--probe-address", order.probe_address),
            *_uids(order.instance_uids),
        )

    def release(self, component: str) -> None:
        """Lets the new instance start, which ``hold`` has had wait."""
        self.order("release", *self._of(component))

    def steer(self, component: str) -> None:
        """Gives all new connections to the new instance, and ends the steering."""
        self.order("steer", *self._of(component))

    def unshare(self, component: str, instance_uids: Sequence[str]) -> None:
        """Undoes ``share`` and ``release``: the new instance is stopped, and waits again."""
        self.order("unshare", *self._of(component), *_uids(instance_uids), "--log-dir", _LOGS)

    def pause(self, component: str, instance_uids: Sequence[str]) -> None:
        """Stops the new instance's processes until ``resume``, for 15 s at most."""
        self.order("pause", *self._of(component), *_uids(instance_uids))

    def resume(self, component: str) -> None:
        """Lets processes go on that ``pause`` has stopped."""
        self.order("resume", *self._of(component))

    def kill(self, pod_uid: str) -> None:
        """Kills the pod's processes, and comes back when they are gone. The kubelet starts them
        again."""
        self.order("kill", *self.target.directory_arguments, "--pod-uid", pod_uid)

    def store_recovery(self, name: str, content: str) -> None:
        """Keeps a file on the node for the time after a reboot."""
        self.order(
            "store", *self.target.directory_arguments, "--file", name, "--content", _base64(content)
        )

    def install_guardian(self, manifest: str) -> None:
        """Puts the guardian's program and its static pod's ``manifest`` on the node.

        The agent copies its own program, and refuses (code ``changed``) if that is not this build's.
        """
        self.order(
            "install",
            *self.target.arguments,
            *("--content", _base64(manifest), "--sha256", binaries.digest(self.target.arch)),
        )

    def disable_guardian(self) -> None:
        """Ends the guardian at once; a recovery copy that is in place stays."""
        self.order("disable", *self.target.arguments)

    def clear_recovery(self) -> None:
        """Takes the guardian and all recovery copies off the node, those in place too."""
        self.order("clear", *self.target.arguments)

    def tidy(self, *, keep_backups: bool) -> bool:
        """Removes our directory from the node; False if something is left of it, as it may be."""
        words = ("--keep", "backups") if keep_backups else ()
        return not self.order("tidy", *self.target.directory_arguments, *words)["left"]

    def _of(self, component: str) -> list[str]:
        return [*self.target.directory_arguments, "--component", component]


def _uids(uids: Sequence[str]) -> list[str]:
    return [word for uid in uids for word in ("--instance-uid", uid)]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _manifest_file(entry: dict) -> ManifestFile:
    content = entry.get("content")
    return ManifestFile(
        name=entry["name"],
        mode=entry["mode"],
        sha256=entry["sha256"],
        content=None if content is None else base64.b64decode(content),
    )

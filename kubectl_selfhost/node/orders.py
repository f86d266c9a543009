"""The orders to a node agent; each method is an order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from kubectl_selfhost.node import binaries
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node.pod import NodeTarget


@dataclass(frozen=True)
class ManifestFile:
    """A file in the kubelet's directory; ``content`` is None if it is too large for a manifest.

    ``link`` is the target if the file is a symbolic link; then only the name is known.
    """

    name: str
    mode: str
    sha256: str
    content: bytes | None
    link: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class KeptFile(ManifestFile):
    """A manifest that the node keeps in the directory of kubectl selfhost, and its component."""

    component: str


@dataclass(frozen=True)
class Order:
    """The facts with which the agent takes a component's manifest away, and puts it back alone.

    ``limit`` and ``listen_limit`` are in seconds: within ``limit`` a run must confirm the new
    instance, and for at most ``listen_limit`` nothing may listen on ``port``.
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
    """A manifest to put into the kubelet's directory, as the file ``file``.

    ``limit`` is in seconds: if no run confirms the manifest in time, the agent removes it again.
    """

    component: str
    file: str
    content: bytes
    port: int
    limit: int


@dataclass(frozen=True)
class Exchange:
    """A kept manifest that replaces the running manifest. If no run confirms it within ``limit``
    seconds, the agent puts the former manifest back.

    ``file`` is the name of both manifests, ``sha256`` is the kept manifest's digest, and ``former``
    is the digest of the running manifest. ``static_uid`` is the static pod that runs.
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
    """The facts with which the agent shares the port of a running server.

    ``way`` is "seamless", "steered" or "shared". ``pod_uid`` is the pod whose server has ``port``
    now, ``instance_uids`` are the pods that share the port from then on. ``probe_address`` is the
    loopback address at which the new instance is probed.
    """

    component: str
    port: int
    pod_uid: str
    instance_uids: tuple[str, ...]
    way: str
    probe_address: str


@dataclass(frozen=True)
class Possible:
    """The best way to share a port on the agent's node, and why a better way is not possible."""

    way: str
    why: str


class Orders:
    """The orders to an agent. All raise AgentError with the agent's reason."""

    target: NodeTarget

    def order(self, name: str, **fields: object) -> dict:
        """Carry an order to the agent, and return its answer."""
        raise NotImplementedError

    def check(self) -> dict:
        """Check that the agent can write its directory; raise AgentError (``disk-full``, ``io``)."""
        return self.order("check", manifests=self._manifests)

    def manifests(self) -> list[ManifestFile]:
        """Return the files from which the kubelet reads its static pods."""
        answer = self.order("list", manifests=self._manifests)
        links = [
            ManifestFile(one["name"], "", "", None, link=one["target"])
            for one in answer.get("links", [])
        ]
        return [*map(_manifest_file, answer["files"]), *links]

    def hold(self, component: str) -> None:
        """Make the component's new instance wait until ``arm``, even while the port is free.

        A static controller-manager that loses its lease exits, and the kubelet restarts it. If a new
        instance took the port in between, the static pod could not come back, and nobody would
        notice.
        """
        self.order("hold", component=component)

    def arm(self, order: Order) -> None:
        """Take the manifest away and start the dead man's switch."""
        self.order(
            "arm",
            manifests=self._manifests,
            component=order.component,
            container=order.component,
            file=order.file,
            sha256=order.sha256,
            port=order.port,
            static_uid=order.static_uid,
            instance_uids=list(order.instance_uids),
            limit=order.limit,
            listen_limit=order.listen_limit,
            log_dir=self._logs,
        )

    def kept(self) -> list[KeptFile]:
        """Return the manifests that the node keeps, including older manifests of the same name."""
        return [
            KeptFile(**vars(_manifest_file(entry)), component=entry["component"])
            for entry in self.order("list")["files"]
        ]

    def place(self, placement: Placement) -> None:
        """Put a manifest into the kubelet's directory and start the dead man's switch."""
        self.order(
            "place",
            manifests=self._manifests,
            component=placement.component,
            file=placement.file,
            content=placement.content,
            sha256=hashlib.sha256(placement.content).hexdigest(),
            port=placement.port,
            limit=placement.limit,
        )

    def exchange(self, exchange: Exchange) -> None:
        """Replace the running manifest with a kept manifest, byte for byte."""
        self.order("exchange", manifests=self._manifests, **vars(exchange))

    def confirm(self, component: str) -> None:
        """Confirm to the agent that the new instance serves: the dead man's switch is off."""
        self.order("confirm", component=component)

    def put_back(self, component: str, reason: str) -> None:
        """Put the manifest back and stop the new instance; remove the manifest if it was placed."""
        self.order("put-back", manifests=self._manifests, component=component, reason=reason)

    def status(self) -> dict:
        """Return the agent's state, as the order ``status`` reports it."""
        return self.order("status")

    def can_share(self, port: int, pod_uid: str, instance_uids: Sequence[str]) -> Possible:
        """Return how the pod's server can share its ``port`` with another; change nothing."""
        answer = self.order(
            "can-share", port=port, pod_uid=pod_uid, instance_uids=list(instance_uids)
        )
        return Possible(answer["way"], answer["reason"])

    def share(self, order: ShareOrder) -> None:
        """Share the running server's port; seamless and steered: steer its connections from then on."""
        self.order(
            "share",
            component=order.component,
            port=order.port,
            pod_uid=order.pod_uid,
            way=order.way,
            probe_address=order.probe_address,
            instance_uids=list(order.instance_uids),
        )

    def release(self, component: str) -> None:
        """Let the new instance start that waits because of ``hold``."""
        self.order("release", component=component)

    def steer(self, component: str) -> None:
        """Give all new connections to the new instance, and stop steering."""
        self.order("steer", component=component)

    def unshare(self, component: str, instance_uids: Sequence[str]) -> None:
        """Undo ``share`` and ``release``: stop the new instance, and make it wait again."""
        self.order(
            "unshare", component=component, instance_uids=list(instance_uids), log_dir=self._logs
        )

    def kill(self, pod_uid: str, *, by_name: bool = False) -> int:
        """Kill the pod's server, and return how many processes it was when they are gone. The
        kubelet starts the server again.

        ``by_name``: kill only what runs under the name of a component's program; a server that is
        just starting does not yet, and a sidecar never does.
        """
        return int(self.order("kill", pod_uid=pod_uid, by_name=by_name)["killed"])

    def store_recovery(self, name: str, content: str) -> None:
        """Keep a file on the node for the time after a reboot."""
        self.order("store", file=name, content=content.encode())

    def install_guardian(self, manifest: str) -> None:
        """Put the guardian's program and its static pod's ``manifest`` on the node.

        The agent copies its own program, and refuses (code ``changed``) if it is not this build's.
        """
        self.order(
            "install",
            manifests=self._manifests,
            content=manifest.encode(),
            sha256=binaries.digest(self.target.arch),
        )

    def disable_guardian(self) -> None:
        """End the guardian at once; a recovery copy that is in place stays."""
        self.order("disable", manifests=self._manifests)

    def clear_recovery(self) -> None:
        """Remove the guardian and all recovery copies from the node, including copies in place."""
        self.order("clear", manifests=self._manifests)

    def tidy(self, *, keep_backups: bool) -> bool:
        """Remove our directory from the node; return False if other files keep the directory."""
        return not self.order("tidy", keep_backups=keep_backups)["left"]

    @property
    def _manifests(self) -> str:
        """Return the kubelet's directory, as the agent's pod sees it."""
        return agent_pod.HOST + self.target.static_pod_path

    @property
    def _logs(self) -> str:
        """Return the directory where the kubelet writes pods' logs, as the agent's pod sees it."""
        return agent_pod.HOST + self.target.pod_logs_dir


def as_lines(**fields: object) -> bytes:
    """Return an order as the agent reads it: lines of key=value, the last one "end=1".

    A list is a line for each of its values; bytes are in hexadecimal, true is 1, and false is 0.
    """
    lines = [
        f"{name}={_as_word(one)}\n"
        for name, value in fields.items()
        for one in (value if isinstance(value, (list, tuple)) else [value])
    ]
    return "".join([*lines, "end=1\n"]).encode("utf-8", "replace")


def _as_word(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(int(value)) if isinstance(value, bool) else str(value).replace("\n", " ")


def _manifest_file(entry: dict) -> ManifestFile:
    content = entry.get("content")
    return ManifestFile(
        name=entry["name"],
        mode=entry["mode"],
        sha256=entry["sha256"],
        content=None if content is None else bytes.fromhex(content),
    )

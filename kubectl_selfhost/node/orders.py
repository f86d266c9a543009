"""The orders to the agent on a node; each method is one order."""

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

    ``link`` is the target of a symbolic link, of which nothing but the name is known.
    """

    name: str
    mode: str
    sha256: str
    content: bytes | None
    link: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class KeptFile(ManifestFile):
    """A manifest that is kept in our directory on the node, and its component."""

    component: str


@dataclass(frozen=True)
class Order:
    """What the agent needs to know to take one component's manifest away, and to put it back by
    itself.

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
    """A manifest to put into the kubelet's directory, as the file ``file``.

    ``limit`` is in seconds: if it isn't confirmed in time, the agent removes it again.
    """

    component: str
    file: str
    content: bytes
    port: int
    limit: int


@dataclass(frozen=True)
class Exchange:
    """A kept manifest that replaces the one that runs; unless confirmed in time (``limit``
    seconds), the agent puts the former manifest back.

    ``file`` is the name of both, ``sha256`` the kept manifest's digest, ``former`` the other one's
    digest; ``static_uid`` is the static pod that runs.
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
    """The best way to share a port that the agent sees on its node, and why not a better one."""

    way: str
    why: str


class Orders:
    """The orders to an agent. All raise AgentError with the agent's reason."""

    target: NodeTarget

    def order(self, name: str, **fields: object) -> dict:
        """Carry an order to the agent, and return its answer."""
        raise NotImplementedError

    def check(self) -> dict:
        """Check that our directory can be written; raise AgentError (code ``disk-full``, ``io``)."""
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
        """Have the component's new instance wait until ``arm``, also while the port is free.

        A static controller-manager that loses its lease exits and is started again. A new instance
        that took the port meanwhile would keep it from coming back, with nobody watching.
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
        """Return the manifests that are kept on the node, including older ones of the same name."""
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
            content=as_text(placement.content),
            sha256=hashlib.sha256(placement.content).hexdigest(),
            port=placement.port,
            limit=placement.limit,
        )

    def exchange(self, exchange: Exchange) -> None:
        """Replace the manifest that runs by a kept manifest, byte for byte."""
        self.order("exchange", manifests=self._manifests, **vars(exchange))

    def confirm(self, component: str) -> None:
        """Tell the agent that the new instance serves: the switch is off."""
        self.order("confirm", component=component)

    def put_back(self, component: str, reason: str) -> None:
        """Put the manifest back and stop the new instance, at once; or remove the manifest again,
        if it was placed.
        """
        self.order("put-back", manifests=self._manifests, component=component, reason=reason)

    def status(self) -> dict:
        """Return the agent's state, as its order ``status`` gives it."""
        return self.order("status")

    def can_share(self, port: int, pod_uid: str, instance_uids: Sequence[str]) -> Possible:
        """Return in which way the pod's server, which has ``port``, could share it with another;
        change nothing.
        """
        answer = self.order(
            "can-share", port=port, pod_uid=pod_uid, instance_uids=list(instance_uids)
        )
        return Possible(answer["way"], answer["reason"])

    def share(self, order: ShareOrder) -> None:
        """Share the port of the server that runs; seamless and steered: steer it from then on."""
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
        """Let the new instance start, which ``hold`` had made wait."""
        self.order("release", component=component)

    def steer(self, component: str) -> None:
        """Give all new connections to the new instance, and end the steering."""
        self.order("steer", component=component)

    def unshare(self, component: str, instance_uids: Sequence[str]) -> None:
        """Undo ``share`` and ``release``: stop the new instance, and make it wait again."""
        self.order(
            "unshare", component=component, instance_uids=list(instance_uids), log_dir=self._logs
        )

    def pause(self, component: str, instance_uids: Sequence[str]) -> None:
        """Stop the new instance's processes until ``resume``, for 15 s at most."""
        self.order("pause", component=component, instance_uids=list(instance_uids))

    def resume(self, component: str) -> None:
        """Let the processes go on that ``pause`` has stopped."""
        self.order("resume", component=component)

    def kill(self, pod_uid: str) -> None:
        """Kill the pod's processes, and return when they are gone. The kubelet starts them again."""
        self.order("kill", pod_uid=pod_uid)

    def store_recovery(self, name: str, content: str) -> None:
        """Keep a file on the node for the time after a reboot."""
        self.order("store", file=name, content=content)

    def install_guardian(self, manifest: str) -> None:
        """Put the guardian's program and its static pod's ``manifest`` on the node.

        The agent copies its own program, and refuses (code ``changed``) if it is not this build's.
        """
        self.order(
            "install",
            manifests=self._manifests,
            content=manifest,
            sha256=binaries.digest(self.target.arch),
        )

    def disable_guardian(self) -> None:
        """End the guardian at once; a recovery copy that is in place stays."""
        self.order("disable", manifests=self._manifests)

    def clear_recovery(self) -> None:
        """Remove the guardian and all recovery copies from the node, including copies in place."""
        self.order("clear", manifests=self._manifests)

    def tidy(self, *, keep_backups: bool) -> bool:
        """Remove our directory from the node; return False if something is left of it, which is no
        error.
        """
        return not self.order("tidy", keep_backups=keep_backups)["left"]

    @property
    def _manifests(self) -> str:
        """Return the kubelet's directory, as the agent's pod sees it."""
        return agent_pod.HOST + self.target.static_pod_path

    @property
    def _logs(self) -> str:
        """Return the directory where the kubelet writes pods' logs, as the agent's pod sees it."""
        return agent_pod.HOST + self.target.pod_logs_dir


def as_text(content: bytes) -> str:
    """Return a file's content as a string. Bytes that are not UTF-8 become lone surrogates (PEP 383);
    the agent knows them by their JSON escapes, \\udc80 to \\udcff, and uses the same ones."""
    return content.decode("utf-8", "surrogateescape")


def as_content(text: str) -> bytes:
    """Return the bytes that ``as_text`` made ``text`` of."""
    return text.encode("utf-8", "surrogateescape")


def _manifest_file(entry: dict) -> ManifestFile:
    content = entry.get("content")
    return ManifestFile(
        name=entry["name"],
        mode=entry["mode"],
        sha256=entry["sha256"],
        content=None if content is None else as_content(content),
    )

"""A scripted node agent: its orders and its dead man's switch, as ``packaging/agent`` has them.

The agent works on the directories of a fake node (``plane.Node``) and on the processes there. What
it keeps outlives its pod, as on a disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fakes.credentials import CredentialOrders, Refused

if TYPE_CHECKING:
    from fakes.plane import Node

IDLE, ARMED, CONFIRMED, PUT_BACK, PLACED, TAKEN_AWAY = (
    "idle",
    "armed",
    "confirmed",
    "put-back",
    "placed",
    "taken-away",
)
_GUARDIAN = "kubectl-selfhost-guardian.yaml"
#: A stand-in for the program: each look at its Secret would copy a real program's 100 KB.
PROGRAM = b"the node agent"
DIGEST = hashlib.sha256(PROGRAM).hexdigest()

Fields = dict[str, Any]


@dataclass
class Switch:
    """The content of the agent's state file: the hand-over that is under way, or the last one."""

    state: str = IDLE
    component: str = ""
    file: str = ""
    sha256: str = ""
    port: int = 0
    old_uid: str = ""
    new_uids: tuple[str, ...] = ()
    former: bytes = b""
    deadline: float = 0.0
    reason: str = ""

    @property
    def is_pending(self) -> bool:
        return self.state in (ARMED, PLACED)


@dataclass
class Sharing:
    """The content of the agent's steward file."""

    component: str
    old_uid: str
    new_uids: tuple[str, ...]
    seamless: bool
    steered: bool = False


@dataclass
class Disk:
    """Our directory on a node: what the agent keeps."""

    exists: bool = False
    kept: dict[str, dict[str, bytes]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    recovery: dict[str, str] = field(default_factory=dict)
    program: str = ""  # its SHA-256
    guardian_off: bool = False
    switch: Switch = field(default_factory=Switch)
    sharing: Sharing | None = None


class Agent(CredentialOrders):
    """The agent on ``node``."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def _disk(self) -> Disk:
        return self._node.disk

    def order(self, name: str, fields: Fields) -> Fields:
        """Return the answer to an order; a refusal is an answer, too."""
        carry_out: Callable[[Fields], Fields | None] = getattr(self, f"_{name.replace('-', '_')}")
        try:
            return carry_out(fields) or {"done": name}
        except Refused as refused:
            return {"error": str(refused), "code": refused.code}

    def watch(self) -> None:
        """Act as the dead man's switch does at this moment."""
        switch = self._disk.switch
        if switch.is_pending and self._node.now >= switch.deadline:
            self.fall_back("it was not confirmed in time")

    def fall_back(self, why: str) -> None:
        """Undo what was not confirmed; the agent does so before it ends."""
        switch = self._disk.switch
        if switch.state == ARMED:
            self._bring_back(why)
        elif switch.state == PLACED:
            self._take_away(why)

    # ---- looking ----

    def _status(self, fields: Fields) -> Fields:
        switch, sharing = self._disk.switch, self._disk.sharing
        old_uid = sharing.old_uid if sharing else switch.old_uid
        old = [one for one in self._node.servers() if one.uid == old_uid]
        new_uids = (*switch.new_uids, *(sharing.new_uids if sharing else ()))
        new = [one for one in self._node.servers() if one.uid in new_uids]
        steered = sharing is not None and sharing.seamless and sharing.steered
        watching = sharing is not None and sharing.seamless and not sharing.steered
        return {
            "program": DIGEST,
            "state": switch.state,
            "component": switch.component,
            "file": switch.file,
            "sha256": switch.sha256,
            "reason": switch.reason,
            "remaining": max(0, int(switch.deadline - self._node.now)) if switch.is_pending else 0,
            "static_alive": any(one.uid == switch.old_uid for one in self._node.processes),
            "static_servers": len(
                [o for o in self._node.processes if o.uid == switch.old_uid and o.runs]
            ),
            "listening": any(one.listens for one in (*old, *new)),
            "instance_processes": len(new),
            "restarts": sum(one.restarts for one in new),
            "steward": "watching" if watching else "steered" if steered else "none",
            "steward_reason": "",
            "listeners": len([one for one in (*old, *new) if one.listens]),
            "old_listens": any(one.listens for one in old),
            "new_listens": any(one.listens for one in new),
        }

    def _check(self, fields: Fields) -> Fields:
        self._disk.exists = True
        return {
            "same_filesystem": True,
            "guardian": self._disk.program,
            "selinux_enforces": False,
        }

    def _list(self, fields: Fields) -> Fields:
        if "manifests" in fields:
            return {"files": [_entry(*one) for one in sorted(self._node.manifests.items())]}
        return {
            "files": [
                {"component": component, **_entry(name, content)}
                for component, files in sorted(self._disk.kept.items())
                for name, content in sorted(files.items())
            ]
        }

    def _can_share(self, fields: Fields) -> Fields:
        way, reason = self._node.possible.get(fields["port"], ("seamless", ""))
        return {"way": way, "reason": reason}

    # ---- away, and back ----

    def _hold(self, fields: Fields) -> None:
        switch = self._disk.switch
        if switch.is_pending and switch.component == fields["component"]:
            raise Refused("state", f"a hand-over of {switch.component} is under way")
        self._disk.exists = True
        self._disk.held.add(fields["component"])

    def _release(self, fields: Fields) -> None:
        self._disk.held.discard(fields["component"])

    def _arm(self, fields: Fields) -> Fields | None:
        switch, component, file = self._disk.switch, fields["component"], fields["file"]
        if switch.is_pending:
            if switch.component == component and switch.sha256 == fields["sha256"]:
                return {"already": True}
            raise Refused("state", f"a hand-over of {switch.component} is under way already")
        content = self._content(self._node.manifests, file, fields["sha256"])
        self._disk.switch = Switch(
            state=ARMED,
            component=component,
            file=file,
            sha256=fields["sha256"],
            port=fields["port"],
            old_uid=fields["static_uid"],
            new_uids=_uids(fields),
            deadline=self._node.now + fields["limit"],
        )
        self._disk.held.discard(component)
        kept = self._disk.kept.setdefault(component, {})
        self._set_aside(kept, file, content)
        kept[file] = self._node.manifests.pop(file)
        return None

    def _confirm(self, fields: Fields) -> None:
        switch = self._disk.switch
        if switch.component != fields["component"] or switch.state not in (
            ARMED,
            PLACED,
            CONFIRMED,
        ):
            raise Refused("state", f"{fields['component']} is {switch.state}: {switch.reason}")
        switch.state = CONFIRMED

    def _put_back(self, fields: Fields) -> None:
        switch = self._disk.switch
        if switch.component != fields["component"]:
            raise Refused("state", f"no hand-over of {fields['component']} is under way")
        if switch.state in (PUT_BACK, TAKEN_AWAY):
            return
        if not switch.is_pending:
            raise Refused("state", f"{switch.component} is {switch.state}")
        self.fall_back(fields["reason"])

    def _bring_back(self, why: str) -> None:
        switch = self._disk.switch
        self._disk.held.add(switch.component)
        self._node.stop_servers(switch.new_uids)
        kept = self._disk.kept.get(switch.component, {})
        if switch.file not in self._node.manifests and switch.file in kept:
            self._node.manifests[switch.file] = kept.pop(switch.file)
        switch.state, switch.reason = PUT_BACK, why
        self._forget_sharing(switch.component)

    def _take_away(self, why: str) -> None:
        switch = self._disk.switch
        if _digest(self._node.manifests.get(switch.file, b"")) == switch.sha256:
            if switch.former:
                self._node.manifests[switch.file] = switch.former
            else:
                del self._node.manifests[switch.file]
        switch.state, switch.reason = TAKEN_AWAY, why

    # ---- placing ----

    def _place(self, fields: Fields) -> Fields | None:
        switch, component, file = self._disk.switch, fields["component"], fields["file"]
        content, digest = fields["content"], fields["sha256"]
        if switch.state == PLACED and (switch.component, switch.sha256) == (component, digest):
            return {"already": True}
        if switch.is_pending:
            raise Refused("state", f"a hand-over of {switch.component} is under way already")
        if file in self._node.manifests:
            raise Refused("state", f"{file} is in the directory already")
        self._disk.switch = Switch(
            state=PLACED,
            component=component,
            file=file,
            sha256=self._expect(content, digest),
            port=fields["port"],
            deadline=self._node.now + fields["limit"],
        )
        self._node.manifests[file] = content
        return None

    def _exchange(self, fields: Fields) -> Fields | None:
        switch, component, file = self._disk.switch, fields["component"], fields["file"]
        if switch.state == PLACED and switch.sha256 == fields["sha256"]:
            return {"already": True}
        if switch.is_pending:
            raise Refused("state", f"a hand-over of {switch.component} is under way already")
        kept = self._content(self._disk.kept.get(component, {}), file, fields["sha256"])
        self._disk.switch = Switch(
            state=PLACED,
            component=component,
            file=file,
            sha256=fields["sha256"],
            port=fields["port"],
            old_uid=fields["static_uid"],
            former=self._content(self._node.manifests, file, fields["former"]),
            deadline=self._node.now + fields["limit"],
        )
        self._node.manifests[file] = kept
        return None

    # ---- ports ----

    def _share(self, fields: Fields) -> None:
        for process in self._node.servers():
            if process.uid == fields["pod_uid"]:
                process.shares = True
        self._disk.sharing = Sharing(
            component=fields["component"],
            old_uid=fields["pod_uid"],
            new_uids=_uids(fields),
            seamless=fields["way"] == "seamless",
        )

    def _steer(self, fields: Fields) -> None:
        sharing = self._disk.sharing
        if sharing is None or sharing.component != fields["component"]:
            raise Refused("state", f"the port of {fields['component']} is not shared")
        sharing.steered = True

    def _unshare(self, fields: Fields) -> None:
        uids = _uids(fields)
        if uids:
            self._disk.held.add(fields["component"])
            self._node.stop_servers(uids)
        self._forget_sharing(fields["component"])

    def _forget_sharing(self, component: str) -> None:
        sharing = self._disk.sharing
        if sharing is None or sharing.component != component:
            return
        for process in self._node.servers():
            if process.uid == sharing.old_uid:
                process.shares = process.always_shares
        self._disk.sharing = None

    # ---- processes ----

    def _kill(self, fields: Fields) -> dict[str, Any]:
        running = [
            one for one in self._node.servers() if one.uid == fields["pod_uid"] and one.began
        ]
        for process in running:
            process.restart()
            process.kills += 1
        return {"killed": len(running)}

    # ---- after a reboot ----

    def _store(self, fields: Fields) -> None:
        self._disk.exists = True
        self._disk.recovery[fields["file"]] = fields["content"].decode()

    def _install(self, fields: Fields) -> None:
        if fields["sha256"] != DIGEST:
            raise Refused("changed", "another program runs here")
        self._disk.exists, self._disk.program = True, DIGEST
        self._disk.guardian_off = False
        self._node.manifests[_GUARDIAN] = fields["content"]

    def _disable(self, fields: Fields) -> None:
        self._disk.guardian_off = True
        self._node.manifests.pop(_GUARDIAN, None)

    def _clear(self, fields: Fields) -> None:
        self._node.manifests.pop(_GUARDIAN, None)
        for name in list(self._node.manifests):
            if name.startswith("kubectl-selfhost-recovery-"):
                del self._node.manifests[name]
        self._disk.recovery.clear()
        self._disk.program, self._disk.guardian_off = "", False

    def _tidy(self, fields: Fields) -> Fields:
        if self._disk.switch.is_pending:
            raise Refused("state", "a hand-over is under way")
        kept = self._disk.kept if fields["keep_backups"] else {}
        self._node.disk = Disk(exists=bool(kept), kept=kept)
        return {"left": bool(kept)}

    # ---- files ----

    @staticmethod
    def _set_aside(kept: dict[str, bytes], file: str, content: bytes) -> None:
        if file in kept and kept[file] != content:
            number = next(n for n in range(1, 1000) if f"{file}.{n}" not in kept)
            kept[f"{file}.{number}"] = kept.pop(file)

    def _content(self, files: dict[str, bytes], name: str, digest: str) -> bytes:
        if name not in files:
            raise Refused("not-found", f"there is no {name}")
        self._expect(files[name], digest)
        return files[name]

    @staticmethod
    def _expect(content: bytes, digest: str) -> str:
        if _digest(content) != digest:
            raise Refused("changed", f"it isn't what it was: its SHA-256 is {_digest(content)}")
        return digest


def fields_of(order: bytes) -> Fields:
    """Return the fields of an order as it is sent: lines of key=value."""
    fields: Fields = {}
    for line in order.decode().splitlines():
        key, _, value = line.partition("=")
        if key in ("instance_uids", "files", "address"):
            fields.setdefault(key, []).append(value)
        elif key == "content":
            fields[key] = bytes.fromhex(value)
        elif key in ("port", "limit", "listen_limit", "keep_backups", "by_name", "link"):
            fields[key] = int(value)
        else:
            fields[key] = value
    return fields


def _uids(fields: Fields) -> tuple[str, ...]:
    return tuple(fields.get("instance_uids", ()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entry(name: str, content: bytes) -> Fields:
    return {
        "name": name,
        "mode": "0600",
        "sha256": _digest(content),
        "content": content.hex(),
    }

"""A node as the agent sees it: directories, a /proc of the test's own, pods' processes and logs.

The processes are real; only their cgroups, which say whose they are, are made up, since a test
can't make a kubelet's cgroups everywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kubectl_selfhost.node.orders import as_lines

MANIFEST = b"apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver, namespace: kube-system}\n"
FILE = "kube-apiserver.yaml"
COMPONENT = "kube-apiserver"
STATIC_UID = "0f5c2a0e9b7d4c1e8a3b6d5f4c3b2a19"
INSTANCE_UID = "6a0e3b1c-5f0d-4f3a-9d57-0c8f8f0a4a11"
#: Where CRI-O puts the monitor of a container (conmon_cgroup = "pod").
CONMON = "0::/kubepods.slice/kubepods-pod{uid}.slice/crio-conmon-ab12.scope"
LISTEN = "   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A "


def eventually(check: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until ``check`` holds, and fail with it if it never does."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


class Node:
    """A node: ``dir`` is the agent's directory, ``manifests`` the kubelet's."""

    def __init__(self, program: Path, root: Path) -> None:
        self.program = program
        self.dir = root / "selfhost"
        self.manifests = root / "manifests"
        self.proc = root / "proc"
        self.logs = root / "logs"
        self.manifests.mkdir(exist_ok=True)
        self.logs.mkdir()
        (self.proc / "net").mkdir(parents=True)
        (self.proc / "sys/kernel/random").mkdir(parents=True)
        (self.proc / "sys/kernel/osrelease").write_text(platform.release() + "\n")
        self.boot("1e0c0a0e-0000-4000-8000-000000000001")
        self.listen(on=False)
        self._running: list[subprocess.Popen[str]] = []

    # ---- what is on the node ----

    @property
    def manifest(self) -> Path:
        return self.manifests / FILE

    @property
    def kept(self) -> Path:
        return self.dir / COMPONENT / FILE

    @property
    def hold(self) -> Path:
        return self.dir / COMPONENT / "hold"

    def put_manifest(self, content: bytes = MANIFEST) -> None:
        self.manifest.write_bytes(content)
        self.manifest.chmod(0o600)

    def boot(self, boot_id: str) -> None:
        (self.proc / "sys/kernel/random/boot_id").write_text(boot_id + "\n")

    def listen(self, *, on: bool) -> None:
        """Set whether somebody listens on port 6443 (0x192B); the agent can't see who does."""
        (self.proc / "net/tcp").write_text("  sl  local_address rem_address   st\n")
        (self.proc / "net/tcp6").write_text("  sl  local_address\n" + (LISTEN + "\n") * on)

    def listen_at(self, *addresses: str, held_by: subprocess.Popen[str] | None = None) -> None:
        """Have sockets listen on port 6443 at these addresses, and at no other."""
        lines: dict[str, list[str]] = {"tcp": [], "tcp6": []}
        for inode, address in enumerate(addresses, start=1001):
            packed = ipaddress.ip_address(address).packed
            words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
            local = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
            lines["tcp" if len(packed) == 4 else "tcp6"].append(
                f"   0: {local}:192B {'0' * 2 * len(packed)}:0000 0A 0:0 0:0 0 0 0 {inode}\n"
            )
            if held_by is not None:
                held = self.proc / str(held_by.pid) / "fd"
                held.mkdir(exist_ok=True)
                (held / str(inode)).symlink_to(f"socket:[{inode}]")
        for table, rows in lines.items():
            (self.proc / "net" / table).write_text("  sl  local_address\n" + "".join(rows))

    def journal(self) -> list[dict]:
        return [json.loads(line) for line in (self.dir / "journal").read_text().splitlines()]

    def events(self) -> list[str]:
        return [line["event"] for line in self.journal()]

    def started(self, times: int, uid: str = INSTANCE_UID) -> None:
        """Pretend that the kubelet has started the new instance's container this often."""
        folder = self.logs / f"kube-system_self-hosted-kube-apiserver-x7k2p_{uid}" / COMPONENT
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(times):
            (folder / f"{number}.log").touch()

    def process(
        self,
        uid: str,
        *,
        comm: str = "kube-apiserver",
        words: str = "",
        deaf: bool = False,
        cgroup: str = "0::/kubelet.slice/kubelet-kubepods-pod{uid}.slice/cri-containerd-1.scope",
    ) -> subprocess.Popen[str]:
        """Start a real process that seems to be of the pod, called ``comm`` and started by
        ``words`` (each ends with a zero byte); ``deaf`` to SIGTERM if wanted.
        """
        script = ["sh", "-c", f"{'trap : TERM; ' * deaf}echo up; while :; do sleep 0.05; done"]
        process = subprocess.Popen(script, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        facts = self.proc / str(process.pid)
        facts.mkdir()
        (facts / "cgroup").write_text(cgroup.format(uid=uid.replace("-", "_"), raw=uid) + "\n")
        (facts / "comm").write_text(comm + "\n")
        (facts / "cmdline").write_text(words)
        self._running.append(process)
        threading.Thread(target=self._reap, args=(process, facts), daemon=True).start()
        return process

    def adopt(self, process: subprocess.Popen[str], uid: str, *, comm: str = COMPONENT) -> None:
        """Have a process that runs already seem to be of the pod; its open files are visible."""
        facts = self.proc / str(process.pid)
        facts.mkdir()
        (facts / "cgroup").write_text(f"0::/kubepods/burstable/pod{uid}/ab\n")
        (facts / "comm").write_text(comm + "\n")
        for name in ("fd", "stat"):
            (facts / name).symlink_to(f"/proc/{process.pid}/{name}")
        self._running.append(process)
        threading.Thread(target=self._reap, args=(process, facts), daemon=True).start()

    @staticmethod
    def _reap(process: subprocess.Popen[str], facts: Path) -> None:
        process.wait()
        shutil.rmtree(facts, ignore_errors=True)

    # ---- the agent ----

    def popen(self, *words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [self.program, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"ASAN_OPTIONS": "detect_leaks=0"},
        )
        self._running.append(process)
        return process

    def newest(self) -> subprocess.Popen[str]:
        """Return the process that was started last."""
        return self._running[-1]

    def run(self, *words: object) -> dict:
        """Return the command's answer; whatever a sanitizer says fails the test."""
        return self._answer(self.popen(*words))

    def _answer(self, process: subprocess.Popen[str]) -> dict:
        # communicate() would close the input: the exec protocol v4 can't.
        stdin, process.stdin = process.stdin, None
        out, err = process.communicate(timeout=20)
        assert stdin is not None
        stdin.close()
        assert err == ""
        answer: dict = json.loads(out)
        assert out.count("\n") == 1
        assert process.returncode == ("error" in answer)
        return answer

    def send(self, line: str) -> subprocess.Popen[str]:
        """Return the command that takes orders, after ``line`` was sent to it."""
        process = self.popen("order")
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it may refuse before it has read all
            process.stdin.write(line)
            process.stdin.flush()
        return process

    def answer_to(self, line: str) -> dict:
        return self._answer(self.send(line))

    def give(self, order: str, **fields: object) -> subprocess.Popen[str]:
        """Return the command that carries out an order, in the agent's directory, with the test's
        /proc.
        """
        whole = {"order": order, "dir": self.dir, "proc": self.proc, **fields}
        return self.send(as_lines(**whole).decode())

    def order(self, order: str, **fields: object) -> dict:
        """Return the answer to an order."""
        return self._answer(self.give(order, **fields))

    def status(self) -> dict:
        return self.order("status")

    def arm_fields(self, *, limit: int = 60, **changes: object) -> dict[str, Any]:
        return {
            "manifests": self.manifests,
            "component": COMPONENT,
            "file": FILE,
            "sha256": hashlib.sha256(MANIFEST).hexdigest(),
            "port": 6443,
            "limit": limit,
            "static_uid": STATIC_UID,
            "instance_uids": [INSTANCE_UID],
            "log_dir": self.logs,
            **changes,
        }

    def arm(self, **changes: object) -> dict:
        return self.order("arm", **self.arm_fields(**changes))  # type: ignore[arg-type]

    def confirm(self) -> dict:
        return self.order("confirm", component=COMPONENT)

    def put_back(self, reason: str = "a test") -> dict:
        return self.order("put-back", manifests=self.manifests, component=COMPONENT, reason=reason)

    @property
    def placed(self) -> Path:
        """Return the path where the content to place is gathered."""
        return self.dir / COMPONENT / "placed" / FILE

    def place(
        self, content: bytes = MANIFEST, *, limit: int = 60, sha256: str | None = None
    ) -> dict:
        return self.order(
            "place",
            manifests=self.manifests,
            component=COMPONENT,
            file=FILE,
            content=content,
            sha256=sha256 or hashlib.sha256(content).hexdigest(),
            port=6443,
            limit=limit,
        )

    def exchange(self, kept: bytes, former: bytes, *, limit: int = 60) -> dict:
        """Put the kept manifest in the place of the manifest that runs."""
        return self.order(
            "exchange",
            manifests=self.manifests,
            component=COMPONENT,
            file=FILE,
            sha256=hashlib.sha256(kept).hexdigest(),
            former=hashlib.sha256(former).hexdigest(),
            port=6443,
            limit=limit,
            static_uid=STATIC_UID,
        )

    @contextlib.contextmanager
    def serving(self, *words: object) -> Iterator[subprocess.Popen[str]]:
        """Run the agent's main process while the block runs; kill it at the block's end if it
        hasn't ended.
        """
        process = self.popen(
            *("serve", "--dir", self.dir, "--manifests", self.manifests, "--proc", self.proc),
            *words,
        )
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert "watches" in first
            yield process
        finally:
            process.kill()
            out, err = process.communicate()
            assert "Sanitizer" not in err
            assert "runtime error" not in err
            self.log = first + out

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Call the agent all the time while the block runs.

        The times without a call are short in tests. A slow machine needs longer to start a process,
        so a call here is what an order does to the agent first: it touches a file.
        """
        self.dir.mkdir(mode=0o711, exist_ok=True)
        over = threading.Event()

        def call() -> None:
            while not over.wait(0.05):
                (self.dir / "contact").touch()

        thread = threading.Thread(target=call)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL) if process.returncode is None else None

"""The steps of a move of the credentials on one node: files are read, verified, or put back there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset import reads
from kubectl_selfhost.controlplane.daemonset.reads import Read
from kubectl_selfhost.controlplane.daemonset.stored import HostFile
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step, needed_again
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node.credentials import NEW
from kubectl_selfhost.plans.credentials.steps import CredentialSteps
from kubectl_selfhost.plans.secrets import verified
from kubectl_selfhost.plans.secrets.node import NodeSecrets
from kubectl_selfhost.plans.shared import stored_credentials

#: How often files are read again that change while they are read.
_TIMES = 3


class SecretsSteps(CredentialSteps):
    """The steps on one node; each method makes one step."""

    def __init__(
        self,
        cluster: Cluster,
        part: NodeSecrets,
        observer: Observer,
        journal: Journal,
        *,
        stamp: str,
    ) -> None:
        super().__init__(cluster, part, observer, journal, stamp=stamp)
        self._to_write: list[HostFile] = []
        self._replaced: list[str] = []

    def inspect(self) -> Step:
        return replace(
            super().inspect(),
            title=f"Start the node agent on {self._node}, with a key of its own",
            why="credentials travel sealed: API servers do not verify kubelets' certificates",
        )

    # ---- into Secrets ----

    def read(
        self,
        meant: Mapping[Component, Sequence[Read]],
        keep: Callable[[dict[str, HostFile]], None],
    ) -> Step:
        return Step(
            name=f"read-credentials/{self._node}",
            title=f"Read the credentials on {self._node}, and verify them",
            why="pairs, chains, names, purposes and dates are verified before anything uses them",
            done=needed_again,
            do=lambda: keep(self._read(meant)),
        )

    def _read(self, meant: Mapping[Component, Sequence[Read]]) -> dict[str, HostFile]:
        paths = list(dict.fromkeys(one.path for some in meant.values() for one in some))
        files = self._read_twice(paths)
        address = self._credentials.advertise_address()
        found = list(verified.wrong(meant, files, address))
        if found:
            raise SelfhostError(
                f"On node {self._node} credentials can't be used: {'; '.join(found)}. Nothing was "
                "changed.",
                "`kubectl selfhost credentials status --on-nodes` shows the certificates.",
            )
        return files

    def _read_twice(self, paths: Sequence[str]) -> dict[str, HostFile]:
        """Read files until they are the same afterwards: kubeadm rewrites a key, then its
        certificate.
        """
        changed: list[str] = []
        for _ in range(_TIMES):
            files = {path: self._files.read(path) for path in paths}
            after = self._files.look(paths)
            changed = [
                path
                for path, one in files.items()
                if path not in after or after[path].sha256 != _sha256(one)
            ]
            if not changed:
                return files
        raise SelfhostError(
            f"The file {reads.FOLDER}{changed[0]} of node {self._node} changes again and again.",
            "Look who renews certificates on the node, then run the command again.",
        )

    # ---- back to the host ----

    def compare(self, volumes: Sequence[dict]) -> Step:
        return Step(
            name=f"compare-credentials/{self._node}",
            title=f"Compare the files on {self._node} with what the pods read from Secrets",
            why="only a file that differs or is missing is written",
            done=needed_again,
            do=lambda: self._compare(volumes),
        )

    def _compare(self, volumes: Sequence[dict]) -> None:
        wanted: dict[str, HostFile] = {}
        public: set[str] = set()
        for kind, one in stored_credentials.files(self._cluster, volumes, self._node):
            wanted[one.path] = one
            public |= {one.path} if kind == "ConfigMap" else set()
        there = self._files.look(list(wanted))
        self._to_write = [
            one for path, one in wanted.items() if path not in there or not there[path].is_like(one)
        ]
        self._replaced = [one.path for one in self._to_write if one.path in there]
        for path in self._replaced:
            if path in public and there[path].sha256 != _sha256(wanted[path]):
                raise SelfhostError(
                    f"The authority {reads.FOLDER}{path} on node {self._node} is another one than the "
                    "pods use. Nothing was changed.",
                    "The kubelet may use this file, so put the right one in its place yourself.",
                )

    def restore(self) -> Step:
        return Step(
            name=f"place-credentials/{self._node}",
            title=f"Put back each file on {self._node} that differs or is missing",
            why="the pods mount the node's files again; what was there is kept",
            done=lambda: not self._to_write,
            do=self._restore,
            undo=self._take_back,
        )

    def _restore(self) -> None:
        paths = [one.path for one in self._to_write]
        for one in self._to_write:
            self._files.write(one, to=NEW)
        self._files.copy(self._replaced, of=None, to=self._kept)
        self._files.copy(paths, of=NEW, to=None)
        there = self._files.look(paths)
        for one in self._to_write:
            if one.path not in there or not there[one.path].is_like(one):
                raise SelfhostError(
                    f"The file {reads.FOLDER}{one.path} of node {self._node} has changed during the "
                    "run.",
                    "Look who else writes there, then run the command again.",
                )

    def _take_back(self) -> None:
        """Put back what was replaced. A file that was missing stays: it is what the pods read."""
        if not self._to_write:
            return
        self.run_agent()
        if self._kept in self._files.sets():
            self._files.copy(self._replaced, of=self._kept, to=None)
            self._files.drop(self._kept)
        self._files.drop(NEW)

    @property
    def written(self) -> list[str]:
        """Return the paths of the files that were put back."""
        return [f"{reads.FOLDER}{one.path}" for one in self._to_write]


def _sha256(file: HostFile) -> str:
    return hashlib.sha256(file.content).hexdigest()

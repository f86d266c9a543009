"""The renewal's steps on one node. New files are made beside those in use, verified there, and put
in their place together; until the run has succeeded, the former files are one step away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane import credentials as rules
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.credentials import AUTHORITIES, CREDENTIALS, Credential
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step, looks_itself, needed_again
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.conditions import instances_on
from kubectl_selfhost.node.credentials import KEEP, KEPT, NEW, CredentialFile
from kubectl_selfhost.plans.credentials.node import NodeCredentials
from kubectl_selfhost.plans.rollout.steps import RolloutSteps
from kubectl_selfhost.plans.shared import stored_credentials
from kubectl_selfhost.plans.shared.certificates import PATHS, Seen

_AUTHORITIES = [path for one in AUTHORITIES.values() for path in (one.certificate, one.key)]
#: From this file kubeadm learns the node's name.
_KUBELET = "/kubelet.conf"
_BY_DEFAULT = (
    "kubeadm on {node} could not read its configuration from the cluster: the validity and the keys "
    "of the new certificates are kubeadm's defaults"
)


class CredentialSteps(RolloutSteps):
    """The steps on one node; what the look has found is kept for the steps after it."""

    def __init__(
        self,
        cluster: Cluster,
        part: NodeCredentials,
        observer: Observer,
        journal: Journal,
        *,
        stamp: str,
    ) -> None:
        super().__init__(cluster, part, observer, journal)
        self._credentials = part
        self._files = part.files
        self._kept = KEPT + "".join(c for c in stamp.lower() if c.isalnum())
        self._before, self._made = Seen(), Seen()
        self._kubeadm = ""
        self.due: list[Credential] = []

    def inspect(self) -> Step:
        return replace(
            super().inspect(),
            why="the agent reads the certificates' public parts and runs the node's kubeadm",
            do=lambda: self._agent.start(timeout=self._timeout, tell=self._tell),
        )

    def look(self) -> Step:
        return Step(
            name=f"certificates/{self._node}",
            title=f"Look at the certificates on {self._node}",
            why="the files and the certificates in use decide which steps are needed",
            done=needed_again,
            do=self._look,
            undo=lambda: self._drop(NEW),
        )

    def _look(self) -> None:
        self._before = self._see()
        self.due = self._credentials.due(self._before, datetime.now(timezone.utc))
        self._journal.credentials(self._node, self._before.facts())
        if self.due:
            self._require_authorities()
            self._require_kubeadm()

    def _see(self) -> Seen:
        address = self._credentials.advertise_address()
        ports = {one.name: self._credentials.port(one) for one in CREDENTIALS}
        shown = {name: self._files.shown_at(address, port) for name, port in ports.items() if port}
        readers = [one.restarts for one in CREDENTIALS if one.restarts]
        return Seen(
            files=self._files.look([*PATHS, *_AUTHORITIES, _KUBELET]),
            shown={name: one for name, one in shown.items() if one is not None},
            since={one: self._since(one) for one in readers},
            stored=stored_credentials.digests(
                self._cluster, self._credentials.mounted(), self._node
            ),
        )

    def _since(self, component: Component) -> datetime | None:
        running = instances_on(self._cluster, component, self._node)
        return next((one.since for one in running if one.ready), None)

    def _require_authorities(self) -> None:
        for one in self.due:
            if one.authority.key not in self._before.files:
                raise SelfhostError(
                    f"Node {self._node} has no {one.authority.key.lstrip('/')} below "
                    f"/etc/kubernetes, so {one.name} can't be signed there. Nothing was changed.",
                    by_hand(self._node, self.due),
                )

    def _require_kubeadm(self) -> None:
        self._kubeadm = self._files.kubeadm()
        if not self._kubeadm:
            raise SelfhostError(
                f"Node {self._node} has no kubeadm in /usr/bin, /usr/local/bin or /opt/bin. Nothing "
                "was changed.",
                by_hand(self._node, self.due),
            )

    def make(self) -> Step:
        return Step(
            name=f"new-certificates/{self._node}",
            title=f"Make new certificates with kubeadm on {self._node}, beside those in use",
            why="the run verifies subject, names, purpose, dates, signature and key of each",
            done=lambda: not self.due,
            do=self._make,
            undo=lambda: self._drop(NEW),
        )

    def _make(self) -> None:
        kubelet = [_KUBELET] if _KUBELET in self._before.files else []
        self._files.copy([*_of(self._before.there()), *kubelet], of=None, to=NEW)
        authorities = [path for path in _AUTHORITIES if path in self._before.files]
        self._files.copy(authorities, of=None, to=NEW, link=True)
        as_configured = []
        for one in self.due:
            self._tell(f"kubeadm renews {one.name}")
            as_configured.append(self._files.renew(self._kubeadm, one.name))
        if not all(as_configured):
            self._observer.warning(_BY_DEFAULT.format(node=self._node))
        self._made = Seen(self._files.look(_of(self.due), of=NEW))
        for one in self.due:
            self._require_fit(one, self._made)

    def _require_fit(self, credential: Credential, made: Seen) -> None:
        """Raise SelfhostError unless the new certificate may take the old one's place."""
        new, old = made.certificate(credential), self._before.certificate(credential)
        authority = self._before.files.get(credential.authority.certificate)
        if new is None or old is None or authority is None or authority.certificate is None:
            why = "a certificate is missing"
        else:
            why = rules.wrong(
                new, old=old, authority=authority.certificate, now=datetime.now(timezone.utc)
            )
            if not why and not self._files.holds(credential.key, new.key, of=NEW):
                why = "its private key is another's"
        if why:
            raise SelfhostError(
                f"The new certificate {credential.name} of node {self._node} can't be used: {why}. "
                "The files on the node are as they were.",
                f"Run `kubeadm certs check-expiration` on the node {self._node}.",
            )

    def place(self) -> Step:
        return Step(
            name=f"place-certificates/{self._node}",
            title=f"Keep the certificates in use on {self._node}, and put the new ones in their place",
            why="kube-apiserver and etcd read new files without a restart",
            done=lambda: not self.due,
            do=self._place,
            undo=self._put_back,
        )

    def _place(self) -> None:
        paths = _of(self.due)
        self._files.copy(paths, of=None, to=self._kept)
        self._require_same(self._files.look(paths, of=self._kept), self._before, paths)
        self._files.copy(paths, of=NEW, to=None)
        self._require_same(self._files.look(paths), self._made, paths)

    def _put_back(self) -> None:
        self.run_agent()
        if self._kept not in self._files.sets():
            return
        kept, there = (
            self._files.look(_of(self.due), of=self._kept),
            self._files.look(_of(self.due)),
        )
        # What was not replaced is not touched: perhaps it can't be.
        other = [
            path for path, one in kept.items() if path not in there or not _same(one, there[path])
        ]
        self._files.copy(other, of=self._kept, to=None)
        self._require_same(self._files.look(_of(self.due)), self._before, _of(self.due))
        self._files.drop(self._kept)

    def _require_same(
        self, found: Mapping[str, CredentialFile], wanted: Seen, paths: Iterable[str]
    ) -> None:
        """Raise SelfhostError unless the files that were found are those that were seen before."""
        for path in paths:
            if path not in found or not _same(found[path], wanted.files[path]):
                raise SelfhostError(
                    f"The file {path} of node {self._node} has changed during the run.",
                    "Look who else renews certificates on the node, then run the command again.",
                )

    def served(self) -> Step:
        return Step(
            name=f"served-certificates/{self._node}",
            title=f"Check the certificates that kube-apiserver and etcd on {self._node} show",
            why="clients must get the new certificates",
            done=lambda: not self.due,
            do=lambda: self.wait(
                self._are_served, f"the new certificates to be served on {self._node}"
            ),
        )

    def _are_served(self) -> bool:
        files = self._files.look(_of(self.due))
        address = self._credentials.advertise_address()
        for one in self.due:
            # Others do not show it now either: a server that wants TLS 1.3, or has a file of its own.
            if one.name not in self._before.shown or not self._before.in_use(one):
                continue
            if one.certificate in self._before.stored:
                continue  # new pods read it from a new Secret
            shown = self._files.shown_at(address, self._credentials.port(one))
            wanted = files[one.certificate].certificate
            if shown is None or wanted is None or shown.fingerprint != wanted.fingerprint:
                raise Waiting(f"{one.used_by} still shows the former certificate {one.name}")
        return True

    def needs(self, component: Component) -> bool:
        """Return whether the component has to start anew, to read its certificate."""
        for one in CREDENTIALS:
            if one.restarts is not None and one.restarts.name == component.name:
                return one in self.due or self._before.in_use(one) is False
        return False

    def tidy(self) -> Step:
        return Step(
            name=f"old-certificates/{self._node}",
            title=f"Write the certificates on {self._node} into the journal; keep {KEEP} former sets",
            why="`kubectl selfhost credentials status` reads the journal",
            done=looks_itself,
            do=self._tidy,
        )

    def _tidy(self) -> None:
        self._journal.credentials(self._node, self._see().facts())
        former = [name for name in self._files.sets() if name.startswith(KEPT)]
        for name in [NEW, *former[:-KEEP]]:
            self._files.drop(name)

    def _drop(self, name: str) -> None:
        if self._agent.runs():
            self._files.drop(name)


def by_hand(node: str, due: Iterable[Credential]) -> str:
    """Return what a person can do where this program can't renew."""
    names = "; ".join(f"kubeadm certs renew {one.name}" for one in due)
    return (
        f"Renew the certificates of {node} where the authority's key is: {names}. Then run `kubectl "
        "selfhost rollout`: the new pods read the new files."
    )


def _same(one: CredentialFile, other: CredentialFile) -> bool:
    return one.sha256 == other.sha256


def _of(credentials: Iterable[Credential]) -> list[str]:
    return [path for one in credentials for path in one.files]

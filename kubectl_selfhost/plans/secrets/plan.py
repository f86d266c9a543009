"""The plan of a move: credentials are read, stored and verified, then each component is rolled out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset import in_secrets, reads
from kubectl_selfhost.controlplane.daemonset.reads import Read
from kubectl_selfhost.controlplane.daemonset.stored import (
    HostFile,
    Stored,
    file_name,
    named_in,
)
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod.staticpod import component_container
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Outcome, Plan, Step
from kubectl_selfhost.handover import ways
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.plans.credentials.plan import Renewal
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.secrets.node import NodeSecrets
from kubectl_selfhost.plans.secrets.options import SecretsOptions
from kubectl_selfhost.plans.secrets.steps import SecretsSteps
from kubectl_selfhost.plans.shared import stored_credentials
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words
from kubectl_selfhost.plans.shared.situation import Situation

_GAINS = (
    "What this gives: the key of the cluster's authority is no longer in kube-apiserver's pod, each "
    "component reads only its own credentials, and a change of them is a rollout, which goes back if a "
    "new pod does not serve."
)
_NO_GAIN = (
    "What this does not give: root on a control-plane node can read all credentials, as before. And "
    f"whoever may read Secrets in {NAMESPACE}, or create pods there, has them, too: such a person is "
    "cluster-admin. A backup of etcd contains them."
)
_AT_REST = {
    True: "kube-apiserver has --encryption-provider-config. Check that its first provider for secrets "
    "encrypts: the flag alone does not say this.",
    False: "kube-apiserver has no --encryption-provider-config: etcd keeps these Secrets without "
    "encryption, on the same disks as the files.",
}
_STAY = (
    "The files stay on the nodes: after a reboot a recovery copy reads them, and etcd and the kubelet "
    "use some of them."
)
_LATER = (
    "From then on: `revert` and the pivot of a node that joins need `credentials to-host` first."
)
_RENEWED = (
    "etcd reads new files without a restart. Components read new Secrets when they start: each is rolled "
    "out. If this fails, the DaemonSets and the nodes' files are what they were."
)
_UNREAD_FILES = (
    "The run does not read {files}. If this file names another file below {folder}, the new pod does "
    "not become Ready, and the run takes the change back."
)
_BACK = (
    "A file on a node that differs from what the pods read is replaced; the former one is kept in "
    "/etc/kubernetes/kubectl-selfhost/credentials. `kubectl rollout undo` to a revision with Secrets "
    "does not work afterwards: its pod does not start, and the old pod keeps serving."
)


class Move(Renewal):
    """A move of the credentials, or a renewal of those in Secrets, from a situation that was read
    before.
    """

    part = NodeSecrets
    options: SecretsOptions
    nodes: list[NodeSecrets]  # type: ignore[assignment]

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        nodes: Sequence[NodeRollout],
        options: SecretsOptions,
    ) -> None:
        super().__init__(cluster, situation, nodes=nodes, options=options)
        self._read: dict[str, dict[str, HostFile]] = {}
        self.steps: list[SecretsSteps] = []  # type: ignore[assignment]

    @cached_property
    def reads(self) -> dict[Component, list[Read]]:
        """Return what each component reads from its node, by group. Raise SelfhostError for what
        can't be moved.
        """
        found = {}
        for component in self.components():
            template = in_secrets.with_host_files(self.before(component))["spec"]["template"]
            found[component] = reads.of(component, template)
        return found

    def _nodes_of(self, component: Component) -> list[NodeSecrets]:
        return [one for one in self.nodes if one.group == component.group]

    @property
    def stored(self) -> Stored:
        """Return the objects; until the files of all nodes are read, only their shape is known."""
        nodes = {c: [one.node for one in self._nodes_of(c)] for c in self.reads}
        whole = len(self._read) == len(self.nodes)
        return Stored(self.reads, nodes, self._read if whole else None)

    def after(self, component: Component) -> dict:
        """Return the DaemonSet that mounts the credentials where they are to be."""
        changed = super().after(component)
        if self.options.to_host:
            return in_secrets.with_host_files(changed)
        meant = self._known(component)
        files = {one.volume: file_name(one.path) for one in self.reads[meant] if not one.inside}
        return in_secrets.with_secrets(changed, self.stored.volumes(meant), files)

    def _known(self, component: Component) -> Component:
        """Return the component by which its files are known, whatever lease it leads by."""
        return next(one for one in self.reads if one.daemonset == component.daemonset)

    def needs(self, component: Component) -> bool:
        """Return whether the pods of the component mount something else now."""
        if in_secrets.is_in_secrets(self.before(component)) == self.options.to_host:
            return True
        before, after = (
            named_in(one["spec"]["template"]["spec"]["volumes"])
            for one in (self.before(component), self.after(component))
        )
        return before != after

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """Return the steps that move the credentials; a step that has nothing to do is done already."""
        self.steps = [
            SecretsSteps(self.cluster, one, observer, journal, stamp=self.stamp)
            for one in self.nodes
        ]
        moved = self.changes(self.steps, observer, journal)
        renews = not self.options.looks
        return Plan(
            title=self._title(),
            steps=[
                *[own.program() for own in self.first_of_each_kind(self.steps)],
                *[own.inspect() for own in self.steps],
                *([*[own.look() for own in self.steps], *self.new_files()] if renews else []),
                *(self._from_secrets() if self.options.to_host else self._to_secrets(journal)),
                *moved,
                self._remove_unused(journal),
                *[own.tidy() for own in self.steps],
                *[own.end_agent() for own in self.steps],
            ],
            facts={
                **as_fact(self.nodes),
                **(self.wanted() if renews else {}),
                **ways.told(self.choices),
            },
            know=[
                *([_RENEWED] if renews else [_BACK] if self.options.to_host else self._there()),
                *self.how_it_goes(),
            ],
        )

    def _title(self) -> str:
        of = f"of the control plane on {in_words(self.nodes)}"
        if not self.options.looks:
            return f"Renew certificates {of}, which are in Secrets"
        where = "files on the nodes" if self.options.to_host else f"Secrets in {NAMESPACE}"
        return f"Move the credentials {of} to {where}"

    def _to_secrets(self, journal: Journal) -> list[Step]:
        return [
            *[
                own.read(self._meant(one), partial(self._read.__setitem__, one.node))
                for own, one in zip(self.steps, self.nodes, strict=True)
            ],
            self._store(journal),
        ]

    def _meant(self, one: NodeSecrets) -> dict[Component, list[Read]]:
        return {c: some for c, some in self.reads.items() if c.group == one.group}

    def _from_secrets(self) -> list[Step]:
        found = []
        for own, one in zip(self.steps, self.nodes, strict=True):
            mounted = [
                volume
                for component in self.components()
                if component.group == one.group
                for volume in self.before(component)["spec"]["template"]["spec"]["volumes"]
            ]
            found += [own.compare(mounted), own.restore()]
        return found

    def _store(self, journal: Journal) -> Step:
        def do() -> None:
            stored_credentials.store(self.cluster, self.stored.objects())
            for one in self.nodes:
                for component in one.components():
                    volumes = self.stored.volumes(self._known(component)).values()
                    mounted = sorted(name for _, name in named_in(volumes))
                    journal.component(one.node, component.name, credentials=mounted)

        return Step(
            name="store-credentials",
            title=f"Store the credentials in immutable Secrets in {NAMESPACE}",
            why="a Secret's name has the digest of its content, so a DaemonSet says what its pods read",
            done=lambda: stored_credentials.are_stored(self.cluster, self.stored.names()),
            do=do,
            undo=lambda: stored_credentials.remove_unused(self.cluster),
        )

    def _remove_unused(self, journal: Journal) -> Step:
        def do() -> None:
            stored_credentials.remove_unused(self.cluster)
            for one in self.nodes if self.options.to_host else ():
                for component in one.components():
                    journal.component(one.node, component.name, credentials=None)

        return Step(
            name="remove-credentials",
            title="Delete the Secrets with credentials that no DaemonSet and no pod uses",
            why="a Secret that nothing reads must not keep keys",
            done=lambda: not stored_credentials.unused(self.cluster),
            do=do,
        )

    def _there(self) -> list[str]:
        folders = {read.volume for some in self.reads.values() for read in some if read.inside}
        files = [
            f"{file} of {component}"
            for component in self.reads
            for file in reads.configurations(self.before(component)["spec"]["template"])
        ]
        return [
            _GAINS,
            _NO_GAIN,
            *self._at_rest(),
            _STAY,
            *(
                [_UNREAD_FILES.format(files=", ".join(files), folder=f"{reads.FOLDER}/pki")]
                if files and folders
                else []
            ),
            _LATER,
        ]

    def _at_rest(self) -> list[str]:
        said = [
            "encryption-provider-config"
            in component_flags.of_container(
                component_container(self.before(component)["spec"]["template"])
            )
            for component in self.components()
            if component.name == APISERVER.name
        ]
        return [_AT_REST[all(said)]]

    def outcome(self) -> Outcome:
        """Return what a person reads at the end."""
        if not self.options.looks:
            return super().outcome()
        if self.options.to_host:
            written = [
                f"{one.node}: {', '.join(own.written)}"
                for own, one in zip(self.steps, self.nodes, strict=True)
                if own.written
            ]
            return Outcome(
                "The control plane reads its credentials from the nodes' files.",
                [f"These files were put back. {said}" for said in written],
            )
        return Outcome(
            "The control plane reads its credentials from Secrets.",
            [f"{kind} {name}" for kind, name in self.stored.names()],
        )

"""The plan of a renewal: new files on each node, and new pods of what reads them only at its start."""

from __future__ import annotations

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Outcome, Plan, Step
from kubectl_selfhost.handover import ways
from kubectl_selfhost.plans.credentials.node import NodeCredentials
from kubectl_selfhost.plans.credentials.options import RenewalOptions
from kubectl_selfhost.plans.credentials.steps import CredentialSteps
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.rollout.plan import Rollout
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words

_BY_ITSELF = (
    "kube-apiserver and etcd read new certificates without a restart. Within 5 minutes kube-apiserver "
    "closes its connections to kubelets and opens new ones."
)
_ROLLED_OUT = (
    "If a kubeconfig of {components} is new, a new pod takes over: these components read their "
    "kubeconfig only when they start."
)
_NOT_RENEWED = "The run does not renew the authorities, the kubelets' own certificates and sa.key."


class Renewal(Rollout):
    """A renewal of certificates, from a situation that was read before."""

    part: type[NodeRollout] = NodeCredentials
    options: RenewalOptions
    nodes: list[NodeCredentials]  # type: ignore[assignment]

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """Return the steps that renew what is due; a step that has nothing to do is done already."""
        self.steps = self._steps(observer, journal)
        return Plan(
            title=f"Renew certificates of the control plane on {in_words(self.nodes)}",
            steps=[
                *self._begin(),
                *self.new_files(),
                *(self.changes(self.steps, observer, journal) if self.options.components else []),
                *[own.tidy() for own in self.steps],
                *[own.end_agent() for own in self.steps],
            ],
            facts={
                **as_fact(self.nodes),
                **self.wanted(),
                **ways.told(self.choices),
            },
            know=[
                _BY_ITSELF,
                *self._restarted(),
                *(self.how_it_goes() if self.options.components else []),
                _NOT_RENEWED,
            ],
        )

    def new_files(self) -> list[Step]:
        """Return the steps that make new files, verify them, and put them in their place."""
        chosen = [own for own, one in zip(self.steps, self.nodes, strict=True) if one.wanted()]
        return [step for own in chosen for step in (own.make(), own.place(), own.served())]

    def wanted(self) -> dict[str, str]:
        """Return which certificates a person wants to be new, as facts of the plan."""
        limit = self.options.less_than
        ending = {} if limit is None else {"Which end": f"in less than {limit / 86400:g} days"}
        return {"Certificates": ", ".join(self.options.only), **ending}

    def look(self, *, observer: Observer, journal: Journal) -> Plan:
        """Return the steps that only look at the certificates on the nodes."""
        self.steps = self._steps(observer, journal)
        return Plan(
            title=f"Look at the certificates on {in_words(self.nodes)}",
            steps=[*self._begin(), *[own.end_agent() for own in self.steps]],
            facts=as_fact(self.nodes),
            know=["The run changes no file, and restarts no component."],
        )

    def _steps(self, observer: Observer, journal: Journal) -> list[CredentialSteps]:
        return [
            CredentialSteps(self.cluster, one, observer, journal, stamp=self.stamp)
            for one in self.nodes
        ]

    def _begin(self) -> list[Step]:
        return [
            *[own.program() for own in self.first_of_each_kind(self.steps)],
            *[own.inspect() for own in self.steps],
            *[own.look() for own in self.steps],
        ]

    def _restarted(self) -> list[str]:
        names = " and ".join(one.name for one in self.options.components)
        return [_ROLLED_OUT.format(components=names)] if names else []

    def needs(self, component: Component) -> bool:
        """Return whether a node's pod of the component must read a new kubeconfig."""
        return any(
            own.needs(component)
            for own, one in zip(self.steps, self.nodes, strict=True)
            if one.group == component.group
        )

    def outcome(self) -> Outcome:
        """Return what a person reads at the end: which certificates are new on which node."""
        renewed = [
            f"{one.node}: {', '.join(credential.name for credential in own.due)}"
            for own, one in zip(self.steps, self.nodes, strict=True)
            if own.due
        ]
        if not renewed:
            return Outcome("No certificate was due: none was renewed.")
        people = any(one.name == "admin.conf" for own in self.steps for one in own.due)
        return Outcome("The certificates are renewed.", [*renewed, *([_PEOPLE] if people else [])])


_PEOPLE = (
    "Copies of admin.conf keep the former certificate, which stays valid until its end. Copy the new "
    "admin.conf."
)

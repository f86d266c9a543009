"""The groups of nodes that share DaemonSets, and these DaemonSets.

A group is named after its first node; the static pods of that node make the group's DaemonSets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from kubectl_selfhost.controlplane.component import COMPONENTS, Component, group_named_after
from kubectl_selfhost.controlplane.daemonset import alike
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.daemonset.fit import is_each_nodes_own
from kubectl_selfhost.controlplane.pod.difference import Difference
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import CONTROL_PLANE_LABEL, NODE_LABEL, SHARED_BY_ALL
from kubectl_selfhost.node import binaries
from kubectl_selfhost.plans.pivot.node import NodePivot
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import Situation


class Groups:
    """The groups of the nodes ``these``, in the order in which the nodes are done.

    ``separate``: nodes that differ get DaemonSets of their own.
    """

    def __init__(self, situation: Situation, these: Sequence[NodePivot], *, separate: bool) -> None:
        self._situation = situation
        self._nodes = these
        self._separate = separate

    def daemonset(self, component: Component) -> dict:
        """Return the DaemonSet that runs ``component`` in its group."""
        return self._daemonsets[component.daemonset]

    def daemonsets(self) -> list[dict]:
        """Return the DaemonSets of the components that are still to be switched on some node."""
        return list(self._daemonsets.values())

    def made(self) -> list[dict]:
        """Return the DaemonSets that don't serve anywhere yet; the pivot leaves the others as they
        are.
        """
        return [one for name, one in self._daemonsets.items() if name not in self._in_use]

    def staying(self) -> list[dict]:
        """Return the DaemonSets that serve on some node, and that the pivot leaves as they are."""
        return list(self._in_use.values())

    def in_use(self, component: Component) -> bool:
        """Return whether the component's DaemonSet in its group serves on some node: then the pivot
        leaves it as it is.
        """
        situation = self._situation
        return any(
            situation.self_hosted(component, name) and situation.group(name) == component.group
            for name in situation.node_names
        )

    def differences(self) -> list[str]:
        """Return where nodes differ from those with which they share a DaemonSet, in words."""
        return [said for one in self._nodes for said in self.differences_on(one)]

    def differences_on(self, one: NodePivot) -> list[str]:
        """Return where ``one`` differs from the nodes with which it shares a DaemonSet, in words."""
        return self._differences(one, self.of(one.node), self._daemonsets)

    def read(self, one: NodePivot, component: Component, manifest: dict) -> list[Difference]:
        """Build the DaemonSets from ``manifest``, which is on the node; return what admission made
        of its mirror pod.

        Raise SelfhostError if the mirror shows that something else runs, or if a DaemonSet that the
        node shares would run something else.
        """
        made = one.read(component, manifest)
        self.__dict__.pop("_daemonsets", None)
        differences = self.differences_on(one)
        if differences:
            raise SelfhostError(
                f"Node {one.node} differs from the nodes whose DaemonSets it should share: "
                f"{'; '.join(differences)}.",
                "Make the manifests alike, or run the command with --when-nodes-differ=separate.",
            )
        return made

    def separate(self) -> dict[str, list[str]]:
        """Return the nodes that have DaemonSets of their own, by the name of their group."""
        found: dict[str, list[str]] = {}
        for one in self._nodes:
            if self.of(one.node):
                found.setdefault(self.of(one.node), []).append(one.node)
        return found

    def own(self, one: NodePivot, component: Component) -> Component:
        """Return the component as the group of ``one`` has it, with the lease by which it leads."""
        return self._situation.led(component.of(self.of(one.node)), one.node)

    def to_switch(self, one: NodePivot) -> tuple[Component, ...]:
        """Return the components of ``one`` that are to change hands."""
        return tuple(self.own(one, component) for component in one.static)

    def hosted(self, one: NodePivot) -> dict[Component, dict]:
        """Return the DaemonSets of all components that are or will be self-hosted on ``one``."""
        existing, own = self._situation.daemonsets, [self.own(one, c) for c in COMPONENTS]
        found = {c: existing[c.daemonset] for c in own if c.daemonset in existing}
        return found | {c: self.daemonset(c) for c in self.to_switch(one)}

    def role(self, one: NodePivot) -> str:
        """Return the value of the control-plane label by which the DaemonSets select ``one``."""
        existing = self._situation.daemonsets
        known = [existing.get(self.own(one, c).daemonset, {}) for c in COMPONENTS]
        selectors = [
            one["spec"]["template"]["spec"].get("nodeSelector", {}) for one in known if one
        ]
        return next(
            (one[CONTROL_PLANE_LABEL] for one in selectors if CONTROL_PLANE_LABEL in one), ""
        )

    def of(self, node: str) -> str:
        """Return the group of nodes (see ``Component.group``) that ``node`` is in, or will be."""
        return self._grouped[0][node]

    @cached_property
    def _grouped(self) -> tuple[dict[str, str], dict[str, tuple[Component, NodePivot]]]:
        """Return the nodes' groups; and by the name of each DaemonSet that is to be made, the
        component as its group has it, and the first node of the group, whose static pod makes the
        DaemonSet.
        """
        groups: dict[str, str] = {}
        makers: dict[str, tuple[Component, NodePivot]] = {}
        known = dict(self._in_use)
        for one in self._nodes:
            groups[one.node] = self._group_of(one, known)
            for component in one.static:
                own = component.of(groups[one.node])
                if own.daemonset not in known:
                    makers[own.daemonset] = (own, one)
                    known[own.daemonset] = self._built(own, one)
        return groups, makers

    def _group_of(self, one: NodePivot, known: Mapping[str, dict]) -> str:
        if self._situation.is_labelled(one.node):
            return self._situation.group(one.node)
        if one.to_return:  # the Node object is new, and its label is lost
            return self._group_before(one)
        if not self._separate:
            return ""
        groups = sorted({own.group for c in COMPONENTS for own in c.groups_in(known)} - {""})
        for group in ("", *groups):
            if not self._differences(one, group, known):
                return group
        return group_named_after(one.node)

    def _group_before(self, one: NodePivot) -> str:
        """Return the group that a node was in whose recovery copies stand in for DaemonSets' pods."""
        groups = self._situation.groups_before(one.to_return[0], one.node)
        if len(groups) != 1:
            values = " or ".join(sorted(group or SHARED_BY_ALL for group in groups))
            raise SelfhostError(
                f"Node {one.node} has lost its label {NODE_LABEL}, and nothing on the node shows which "
                f"DaemonSets it shared ({values}).",
                f"Restore the former label: `kubectl label node {one.node} {NODE_LABEL}=VALUE`.",
            )
        return groups.pop()

    def _differences(self, one: NodePivot, group: str, daemonsets: Mapping[str, dict]) -> list[str]:
        """Return where a node differs from the ``daemonsets`` (by name) of a group, as far as they
        exist.
        """
        return [
            f"{component} on {one.node}: {difference}"
            for component in (each.of(group) for each in one.static)
            if component.daemonset in daemonsets
            for difference in alike.differences(
                daemonsets[component.daemonset], self._built(component, one)
            )
        ]

    @cached_property
    def _in_use(self) -> dict[str, dict]:
        """Return the DaemonSets that serve on some node, by name."""
        return {
            component.daemonset: self._situation.daemonset(component)
            for each in COMPONENTS
            for component in each.groups_in(self._situation.daemonsets)
            if self.in_use(component)
        }

    @cached_property
    def _daemonsets(self) -> dict[str, dict]:
        """Return the DaemonSets of the components that are still to be switched on some node, by
        name.
        """
        _, makers = self._grouped
        names = [component.daemonset for one in self._nodes for component in self.to_switch(one)]
        return {
            name: self._built(*makers[name]) if name in makers else self._in_use[name]
            for name in dict.fromkeys(names)
        }

    def _built(self, component: Component, node: NodePivot) -> dict:
        """Return the DaemonSet as the static pod of ``node`` makes it, for every node like it."""
        return build(
            component,
            node.static_pod(component),
            nodes=[node.facts(), *self._facts_beside(component, node)],
            agent=AgentFacts(
                arch=node.target.arch,
                secret=binaries.secret_name(node.target.arch),
                node_directory=node.target.directory,
            ),
        )

    def _facts_beside(self, component: Component, node: NodePivot) -> list[NodeFacts]:
        """Return the facts of the other nodes that could share its DaemonSet, including nodes that
        are not meant now: they may come later.
        """
        situation = self._situation
        others = [
            nodes.facts(situation, name)
            for name in situation.node_names
            if name != node.node and nodes.runs(situation, name)
        ]
        of_its_kind = [one for one in others if one.arch == node.target.arch]
        if not self._separate:
            return of_its_kind

        def alone(facts: NodeFacts) -> bool:
            pod = situation.mirror_pod(component, facts.name)
            return pod is not None and is_each_nodes_own(component, pod, facts)

        return [] if alone(node.facts()) else [one for one in of_its_kind if not alone(one)]

"""The journal: what was done to this cluster, when, by whom, and where the manifests are kept.

It lives in a ConfigMap in kube-system (the agent keeps one of its own beside the backup on the
node, for the time when there is no API). It explains; it never decides: whether a step is done is
read from the cluster itself. So a journal that somebody deleted costs history, and nothing else.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import AGENT_LABELS, JOURNAL, NAMESPACE
from kubectl_selfhost.version import __version__

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

KEY = "journal.json"

#: A ConfigMap holds at most 1 MiB; a run takes some 4 KiB.
RUNS_KEPT = 20


def now() -> str:
    """The time as Kubernetes writes it (RFC 3339, UTC, whole seconds)."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Journal:
    """The journal of one cluster, with the run that is going on.

    ``node`` facts (file, digest, backup, time and length of each switch) are kept across runs: they
    are what a person needs who must put things back by hand.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._content: dict = {"version": 1, "runs": [], "nodes": {}}
        self._run: dict = {}

    def open(self, *, verb: str, by: str) -> None:
        """Reads what earlier runs wrote and begins a run of ``verb``."""
        self._content = {**self._content, **read(self._cluster)}
        for run in self._content["runs"]:
            if run["ended"] is None:
                run.update(ended=now(), outcome="interrupted")
        self._run = {
            "id": f"{verb}-{now()}",
            "verb": verb,
            "started": now(),
            "ended": None,
            "outcome": None,
            "message": "",
            "by": by,
            "plugin": __version__,
            "steps": [],
        }
        self._content["runs"] = [*self._content["runs"], self._run][-RUNS_KEPT:]
        self._write()

    def step_began(self, name: str) -> None:
        self._run["steps"].append(
            {"name": name, "started": now(), "ended": None, "outcome": None, "message": ""}
        )
        self._write()

    def step_ended(self, name: str, outcome: str, message: str = "") -> None:
        for step in reversed(self._run["steps"]):
            if step["name"] == name:
                step.update(ended=now(), outcome=outcome, message=message)
                break
        self._write()

    def component(self, node: str, component: str, **facts: object) -> None:
        """Keeps ``facts`` of a component on a node (digest of its manifest, where it is kept …)."""
        nodes = self._content["nodes"]
        nodes.setdefault(node, {}).setdefault(component, {}).update(facts)
        self._write()

    def component_facts(self, node: str, component: str) -> dict:
        """What is kept of a component on a node; empty where nothing is."""
        return dict(self._content["nodes"].get(node, {}).get(component, {}))

    def remove(self) -> None:
        """Deletes it: there is nothing left that it could explain."""
        from kubectl_selfhost.cluster.kinds import CONFIGMAPS

        self._cluster.delete(CONFIGMAPS, JOURNAL, NAMESPACE)

    def close(self, outcome: str, *, message: str = "", probe: dict | None = None) -> None:
        """Ends the run: ``outcome`` is done, failed or stopped."""
        self._run.update(ended=now(), outcome=outcome, message=message)
        if probe is not None:
            self._run["probe"] = probe
        self._write()

    def _write(self) -> None:
        self._cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": JOURNAL, "namespace": NAMESPACE, "labels": AGENT_LABELS},
                "data": {KEY: json.dumps(self._content, indent=1)},
            }
        )


def read(cluster: Cluster) -> dict:
    """The journal's content; empty where there is none or it can't be understood."""
    from kubectl_selfhost.cluster.kinds import CONFIGMAPS

    found = cluster.find(CONFIGMAPS, JOURNAL, NAMESPACE)
    with suppress(ValueError, SelfhostError):
        content = json.loads((found or {}).get("data", {}).get(KEY, ""))
        if isinstance(content, dict) and isinstance(content.get("runs"), list):
            return content
    return {}

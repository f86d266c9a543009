"""The journal: what was done to this cluster, when, by whom, and where the manifests are kept.

The journal is a ConfigMap in kube-system. (On the node, the agent keeps a journal of its own beside
the backup, for the time without an API.) The journal explains and never decides: a run reads from the
cluster itself whether a step is done. So a deleted journal costs only history. If the journal can't be
written, the run warns once and continues. Everybody who may write ConfigMaps may have written the
journal: a run treats its content as a stranger's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import ApiError
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.names import AGENT_LABELS, BEFORE_LABELS, JOURNAL, NAMESPACE, selector
from kubectl_selfhost.version import __version__

KEY = "journal.json"

#: A ConfigMap holds at most 1 MiB; a run takes some 4 KiB.
RUNS_KEPT = 20


def now() -> str:
    """Return the time as Kubernetes writes it (RFC 3339, UTC, whole seconds)."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Journal:
    """The journal of a cluster, with the run that is in progress.

    ``node`` facts (file, digest, backup, time and length of each switch) are kept across runs: a
    person who must put things back by hand needs them. ``warn`` is called once if the journal can't
    be written.
    """

    def __init__(self, cluster: Cluster, *, warn: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._warn = warn
        self._warned = False
        #: Whether the entries of earlier runs were read. If not, the journal is not overwritten.
        self._known = False
        self._content: dict = {"version": 1, "runs": [], "nodes": {}}
        self._run: dict = {"steps": []}

    def open(self, *, verb: str, by: str) -> None:
        """Read the entries of earlier runs, and begin a run of ``verb``."""
        with self._tolerant():
            self._content = {"version": 1, **read(self._cluster)}
            self._known = True
        for run in self._content["runs"]:
            if run.get("ended") is None:
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
        """Keep ``facts`` of a component on a node (digest of its manifest, where it is kept …)."""
        nodes = self._content["nodes"]
        nodes.setdefault(node, {}).setdefault(component, {}).update(facts)
        self._write()

    def credentials(self, node: str, facts: dict) -> None:
        """Keep what was seen of a node's certificates: dates, numbers and digests.

        A certificate that was seen in use stays in use if this look could not tell.
        """
        seen = self._content.setdefault("credentials", {})
        former = mapping(mapping(seen.get(node)).get("certificates"))
        for name, one in facts.items():
            was = mapping(former.get(name))
            if one["inUse"] is None and was.get("sha256") == one["sha256"]:
                one["inUse"] = was.get("inUse") or None
        seen[node] = {"seen": now(), "certificates": facts}
        self._write()

    def remove(self) -> None:
        """Delete the journal, and what upgrades have kept: nothing is left for them to explain."""
        labels = selector(BEFORE_LABELS)
        for kept in self._cluster.list(CONFIGMAPS, NAMESPACE, labels=labels):
            self._cluster.delete(CONFIGMAPS, kept["metadata"]["name"], NAMESPACE)
        self._cluster.delete(CONFIGMAPS, JOURNAL, NAMESPACE)

    def close(self, outcome: str, *, message: str = "", probe: dict | None = None) -> None:
        """End the run: ``outcome`` is done, failed or stopped."""
        self._run.update(ended=now(), outcome=outcome, message=message)
        if probe is not None:
            self._run["probe"] = probe
        self._write()

    def _write(self) -> None:
        if not self._known:
            return
        with self._tolerant():
            self._cluster.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": JOURNAL, "namespace": NAMESPACE, "labels": AGENT_LABELS},
                    "data": {KEY: json.dumps(self._content, indent=1)},
                }
            )

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """Warn once if the journal can't be read or written, and continue without the journal."""
        try:
            yield
        except ApiError as error:
            if not self._warned:
                self._warned = True
                self._warn(
                    f"The journal (ConfigMap {JOURNAL} in {NAMESPACE}) can't be written: "
                    f"{error.message} This run continues without it."
                )


def read(cluster: Cluster) -> dict:
    """Return the journal's ``runs``, ``nodes`` and ``credentials``; leave out invalid entries.

    ``runs`` is a list of mappings whose ``steps`` are mappings, ``nodes`` the facts of each
    component by node, ``credentials`` what was seen of each node's certificates. The content of
    these entries is not checked.
    """

    found = cluster.find(CONFIGMAPS, JOURNAL, NAMESPACE)
    content: object = None
    with suppress(ValueError, TypeError, RecursionError):
        content = json.loads(mapping(mapping(found).get("data")).get(KEY, ""))
    said = mapping(content)
    runs = said.get("runs")
    return {
        "runs": [{**run, "steps": _mappings(run.get("steps"))} for run in _mappings(runs)],
        "nodes": {
            node: {
                name: facts for name, facts in mapping(of_node).items() if isinstance(facts, dict)
            }
            for node, of_node in mapping(said.get("nodes")).items()
        },
        "credentials": {
            node: seen
            for node, seen in mapping(said.get("credentials")).items()
            if isinstance(seen, dict)
        },
    }


def mapping(thing: object) -> dict:
    """Return ``thing``, a part of a journal, if it is a mapping; else an empty mapping."""
    return thing if isinstance(thing, dict) else {}


def _mappings(things: object) -> list[dict]:
    return [one for one in things if isinstance(one, dict)] if isinstance(things, list) else []

"""What the API server's audit log shows of the orders to the agent: which order, and no content."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from bed.harness import Bed
from cluster import looks
from cluster.runs import PIVOT

#: Bytes of a URL that each proxy lets through: nginx has 8 KiB for a line, and the URL is no line alone.
LONGEST_URL = 2048

KIND_CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - hostPath: {folder}
    containerPath: /etc/kubernetes/audit
    readOnly: true
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer:
    extraArgs:
    - name: audit-policy-file
      value: /etc/kubernetes/audit/policy.yaml
    - name: audit-log-path
      value: /var/log/kubernetes/audit.log
    extraVolumes:
    - name: audit
      hostPath: /etc/kubernetes/audit
      mountPath: /etc/kubernetes/audit
      readOnly: true
      pathType: Directory
    - name: audit-logs
      hostPath: /var/log/kubernetes
      mountPath: /var/log/kubernetes
      pathType: DirectoryOrCreate
"""
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  resources:
  - group: ""
    resources: [pods, pods/exec, pods/log, configmaps, secrets, events]
  - group: apps
    resources: [daemonsets]
- level: None
"""


@pytest.fixture
def bed(fresh_cluster, tmp_path) -> Bed:
    tmp_path.chmod(0o755)
    (tmp_path / "policy.yaml").write_text(POLICY)
    return fresh_cluster(KIND_CONFIG.format(folder=tmp_path))


def test_orders_carry_nothing_that_an_audit_log_or_a_proxy_sees(bed: Bed):
    manifest = bed.node_file(f"{looks.MANIFESTS}/kube-apiserver.yaml").decode()
    bed.selfhost(*PIVOT)
    bed.selfhost("revert", "--yes", "--timeout=90s")
    events = audited(bed)
    orders = [one for one in events if is_order(one)]
    said = [parse_qs(urlsplit(one["requestURI"]).query).get("command", []) for one in orders]
    assert len(said) > 20, said
    assert max(len(one["requestURI"]) for one in orders) < LONGEST_URL
    assert all(len(word) < 256 for words in said for word in words)
    flag = next(line.strip() for line in manifest.splitlines() if "--etcd-servers" in line)
    for text in (flag, base64.b64encode(manifest.encode())[:60].decode()):
        assert not [words for words in said if text in json.dumps(words)]
    keys = [
        line
        for path in ("ca.key", "apiserver.key", "sa.key", "etcd/ca.key")
        for line in bed.node_file(f"/etc/kubernetes/pki/{path}").decode().splitlines()[1:3]
    ]
    ours = json.dumps([one for one in events if "selfhost" in json.dumps(one)])
    assert not [number for number, line in enumerate(keys) if line in ours]


def audited(bed: Bed) -> list[dict[str, Any]]:
    """Return the audit log's entries, of all its files (a restarted API server appends to the same
    file).
    """
    text = bed.node_exec("cat", "/var/log/kubernetes/audit.log")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def is_order(event: dict[str, Any]) -> bool:
    """Return whether somebody ran a command in a pod of the agent."""
    about = event.get("objectRef", {})
    name = str(about.get("name", ""))
    return about.get("subresource") == "exec" and name.startswith("kubectl-selfhost-agent")

"""Certificates are renewed on a real node while clients ask, and a renewal that fails leaves no trace."""

from __future__ import annotations

import json
import re
import ssl
from typing import Any

import pytest
from bed.harness import Bed
from bed.versions import KUBERNETES
from cluster import looks

pytestmark = pytest.mark.alone

FOLDER = "/etc/kubernetes"
#: kubeadm's names, and the files that hold the certificates.
CERTIFICATES = {
    "apiserver": "pki/apiserver.crt",
    "apiserver-kubelet-client": "pki/apiserver-kubelet-client.crt",
    "apiserver-etcd-client": "pki/apiserver-etcd-client.crt",
    "front-proxy-client": "pki/front-proxy-client.crt",
    "etcd-server": "pki/etcd/server.crt",
    "etcd-peer": "pki/etcd/peer.crt",
    "etcd-healthcheck-client": "pki/etcd/healthcheck-client.crt",
    "controller-manager.conf": "controller-manager.conf",
    "scheduler.conf": "scheduler.conf",
    "admin.conf": "admin.conf",
    "super-admin.conf": "super-admin.conf",
}
SHOWN = {"apiserver": 6443, "etcd-server": 2379, "etcd-peer": 2380}


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    cluster.selfhost("pivot", "--yes")
    return cluster


def files(bed: Bed) -> dict[str, str]:
    """Return owner, mode, time and digest of every file with a certificate or a key."""
    script = (
        f"find {FOLDER}/pki {FOLDER}/*.conf -type f | sort | while read f; do "
        'stat -c "%n %u:%g %a %Y" "$f"; sha256sum < "$f"; done'
    )
    lines = bed.node_exec("sh", "-c", script).splitlines()
    return {lines[n].split()[0]: lines[n] + lines[n + 1] for n in range(0, len(lines), 2)}


def sets(bed: Bed) -> list[str]:
    return bed.node_exec("sh", "-c", f"ls -A {looks.KEPT}/credentials || true").split()


def known(bed: Bed) -> dict[str, dict[str, Any]]:
    """Return what `credentials status` tells of each certificate on the node."""
    run = bed.selfhost("credentials", "status", "-o", "json", check=False)
    return {one["name"]: one for one in json.loads(run.stdout)["onNodes"]}


def shown_at(bed: Bed, port: int) -> bytes:
    """Return the certificate that a server on the node shows."""
    (address,) = [
        one["address"]
        for one in bed.get("node", bed.node)["status"]["addresses"]
        if one["type"] == "InternalIP"
    ]
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((address, port), timeout=10))


def in_file(bed: Bed, path: str) -> bytes:
    text = bed.node_file(f"{FOLDER}/{path}").decode()
    found = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", text, re.DOTALL)
    assert found is not None
    return ssl.PEM_cert_to_DER_cert(found[0])


def pods(bed: Bed) -> dict[str, str]:
    """Return the UID of each component's pod."""
    found = looks.objects(bed, "pods", "-l", "tier=control-plane")
    return {
        one["metadata"]["labels"]["component"]: one["metadata"]["uid"]
        for one in found
        if one["metadata"]["labels"].get("component") in looks.COMPONENTS
    }


def test_a_look_at_the_node_tells_of_each_certificate_and_changes_none(bed):
    before = files(bed)
    run = bed.selfhost("credentials", "status", "--on-nodes", "--yes")
    assert set(known(bed)) == set(CERTIFICATES)
    assert {one["inUse"] for one in known(bed).values()} == {True, None}
    assert "Each certificate is valid for 60 days at least." in run.stdout
    assert files(bed) == before
    assert looks.agent_pods(bed) == []


def test_what_does_not_end_soon_is_not_renewed(bed):
    before, uids = files(bed), pods(bed)
    run = bed.selfhost("credentials", "renew", "--if-less-than=60d", "--yes")
    assert "No certificate was due" in run.stdout
    assert (files(bed), pods(bed), sets(bed)) == (before, uids, [])


def test_without_the_authority_s_key_nothing_changes(bed):
    bed.node_exec("mv", f"{FOLDER}/pki/etcd/ca.key", "/root/etcd-ca.key")
    before, uids = files(bed), pods(bed)
    run = bed.selfhost("credentials", "renew", "--yes", check=False)
    bed.node_exec("mv", "/root/etcd-ca.key", f"{FOLDER}/pki/etcd/ca.key")
    assert run.returncode == 1, str(run)
    assert "has no pki/etcd/ca.key" in run.stderr
    assert "kubeadm certs renew etcd-server" in run.stderr
    assert files(bed).items() >= before.items()
    assert (pods(bed), sets(bed), looks.agent_pods(bed)) == (uids, [], [])


def test_a_file_that_cannot_be_replaced_leaves_all_as_they_were(bed):
    """The last of the files is a mount: the files before it have their new content by then."""
    last = f"{FOLDER}/super-admin.conf"
    bed.node_exec("mount", "--bind", last, last)
    before, uids = files(bed), pods(bed)
    run = bed.selfhost("credentials", "renew", "--yes", check=False)
    bed.node_exec("umount", last)
    assert run.returncode == 1, str(run)
    assert "super-admin.conf" in run.stderr
    assert files(bed) == before
    assert (pods(bed), sets(bed), looks.agent_pods(bed)) == (uids, [], [])
    assert looks.works(bed)


def test_all_are_renewed_and_in_use_and_no_request_is_lost(bed):
    before, uids, was = files(bed), pods(bed), known(bed)
    run = bed.selfhost("credentials", "renew", "--yes")
    assert "The certificates are renewed." in run.stdout
    assert "none failed" in run.stdout, run.stdout
    changed = {path for path, facts in files(bed).items() if facts != before[path]}
    pairs = [f"{FOLDER}/{path}" for path in CERTIFICATES.values()]
    assert changed == {*pairs, *(path.replace(".crt", ".key") for path in pairs)}
    kinds = {path: facts.split()[1:3] for path, facts in files(bed).items()}
    assert kinds == {path: facts.split()[1:3] for path, facts in before.items()}
    for name, port in SHOWN.items():
        assert shown_at(bed, port) == in_file(bed, CERTIFICATES[name])
    now = known(bed)
    assert all(now[name]["serial"] != was[name]["serial"] for name in CERTIFICATES)
    assert {one["inUse"] for one in now.values()} == {True, None}
    assert now["scheduler.conf"]["inUse"] is now["controller-manager.conf"]["inUse"] is True
    assert {name for name, uid in pods(bed).items() if uid != uids[name]} == {
        *("kube-controller-manager", "kube-scheduler")
    }
    assert len(sets(bed)) == 1
    assert looks.works(bed)


def test_the_api_server_reaches_kubelets_with_its_new_certificate(bed):
    (pod, *_) = looks.ready_pods(bed, "self-hosted-kube-scheduler")
    assert bed.kubectl("-n", "kube-system", "logs", pod, "--tail=1")


def test_no_private_key_left_the_node(bed):
    listed = ("configmaps", "pods", "events", "daemonsets")
    text = "".join(bed.kubectl("get", kind, "-A", "-o", "json") for kind in listed)
    assert "PRIVATE KEY" not in text
    assert "client-key-data" not in text


def test_the_status_is_healthy(bed):
    assert "healthy" in bed.selfhost("status").stdout
    bed.selfhost("credentials", "status")


SHORT = f"""\
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: {KUBERNETES}
certificateValidityPeriod: 90s
"""


@pytest.mark.soak
def test_certificates_that_have_expired_are_renewed_by_the_printed_commands(bed):
    bed.node_exec("sh", "-c", "cat > /root/short.yaml", stdin=SHORT)
    bed.node_exec("kubeadm", "certs", "renew", "all", "--config=/root/short.yaml")
    for name in ("kube-controller", "kube-scheduler"):  # they read theirs when they start
        bed.node_exec("pkill", "-x", name)
    looks.eventually(lambda: refused(bed), seconds=180, what="the certificate expires")
    assert "recover --print --expired" in refused(bed)
    lines = bed.selfhost("recover", "--print", "--expired").stdout
    bed.node_exec("sh", "-s", stdin=lines)
    looks.eventually(lambda: looks.answers(bed), seconds=120, what="the new certificate is shown")
    bed.selfhost("credentials", "status", "--on-nodes", "--yes")
    assert all(one["inUse"] is not False for one in known(bed).values())
    looks.eventually(lambda: looks.works(bed), seconds=300, what="all three components work")


def refused(bed: Bed) -> str:
    """Return what ``status`` says when the API server's certificate has expired; empty before."""
    run = bed.selfhost("status", check=False)
    return run.stderr if "its certificate has expired" in run.stderr else ""

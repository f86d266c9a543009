"""On a real node the components read credentials from Secrets, without the node's files, after a renewal
and after a reboot, and go back.
"""

from __future__ import annotations

import base64
import json
import subprocess

import pytest
from bed.harness import Bed
from cluster import looks, probes

# Some ten minutes on one cluster.
pytestmark = pytest.mark.soak

FOLDER = "/etc/kubernetes"
LABEL = "kubectl-selfhost/credentials"
#: What neither the kubelet nor etcd reads. The last two are in no Secret: nobody reads them.
OF_COMPONENTS = (
    *("pki/apiserver.crt", "pki/apiserver.key", "pki/sa.key", "pki/sa.pub", "pki/ca.key"),
    *("pki/apiserver-etcd-client.crt", "pki/apiserver-etcd-client.key"),
    *("pki/apiserver-kubelet-client.crt", "pki/apiserver-kubelet-client.key"),
    *("pki/front-proxy-client.crt", "pki/front-proxy-client.key", "pki/front-proxy-ca.crt"),
    *("controller-manager.conf", "scheduler.conf"),
)
OF_NOBODY = ("pki/front-proxy-ca.key", "pki/etcd/ca.key")
AWAY = "/root/away"


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    cluster.selfhost("pivot", "--yes")
    return cluster


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Return everything that the runs of this module have said, for the last look."""
    return []


def run(bed: Bed, said: list[str], *words: str) -> str:
    """Run the plugin, and check that clients lose nothing meanwhile; return what it said."""
    with probes.probed(bed) as seen:
        done = bed.selfhost(*words)
    probes.nothing_is_lost(seen)
    said.append(done.stdout + done.stderr)
    return done.stdout


def files(bed: Bed) -> dict[str, str]:
    """Return owner, mode and digest of every file with a certificate or a key."""
    script = (
        f"find {FOLDER}/pki {FOLDER}/*.conf -type f | sort | while read f; do "
        'stat -c "%n %u:%g %a" "$f"; sha256sum < "$f"; done'
    )
    lines = bed.node_exec("sh", "-c", script).splitlines()
    return {lines[n].split()[0]: lines[n] + lines[n + 1] for n in range(0, len(lines), 2)}


def seen_by(bed: Bed, component: str) -> set[str]:
    """Return the files below /etc/kubernetes that the component's process sees."""
    script = (
        f"cd /proc/$(pgrep -o -x {component[:15]})/root{FOLDER} && "
        "find -L . -type f -not -path './*/..*' | sort"
    )
    return {one.removeprefix("./") for one in bed.node_exec("sh", "-c", script).split()}


def stored(bed: Bed) -> set[str]:
    found = [*looks.objects(bed, "secrets", "-l", LABEL), *looks.objects(bed, "cm", "-l", LABEL)]
    return {one["metadata"]["name"] for one in found}


def keys(bed: Bed) -> list[str]:
    """Return a line of each private key on the node, as PEM has it, and as a kubeconfig hides it."""
    found = []
    for path in sorted(files(bed)):
        content = bed.node_file(path)
        if path.endswith(".key"):
            found.append(content.decode().splitlines()[2])
            found.append(base64.b64encode(content).decode()[60:120])
        if path.endswith(".conf"):
            words = content.decode().split("client-key-data: ")
            found += [one[60:120] for one in words[1:]]
    return found


def test_the_components_read_secrets_and_no_request_is_lost(bed, said):
    before = files(bed)
    out = run(bed, said, "pivot", "--store-certs-in-secrets", "--yes")
    assert "The control plane reads its credentials from Secrets." in out
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.agent_pods(bed) == []
    assert len(stored(bed)) == 6
    assert files(bed) == before
    assert looks.works(bed)


def test_each_component_sees_what_it_reads_and_no_more(bed):
    apiserver = seen_by(bed, "kube-apiserver")
    assert "pki/apiserver.key" in apiserver
    assert not {"pki/ca.key", "pki/etcd/ca.key", "pki/front-proxy-ca.key"} & apiserver
    manager = {one for one in seen_by(bed, "kube-controller-manager") if one.endswith(".key")}
    assert manager == {"pki/ca.key", "pki/sa.key"}
    assert seen_by(bed, "kube-scheduler") == {"scheduler.conf"}


def test_a_revert_says_what_to_do_first(bed):
    refused = bed.selfhost("revert", "--yes", check=False)
    assert refused.returncode == 1, str(refused)
    assert "kubectl selfhost credentials to-host" in refused.stderr


def test_without_the_files_new_pods_serve_and_the_way_back_restores_them(bed, said):
    before = files(bed)
    moved = " ".join((*OF_COMPONENTS, *OF_NOBODY))
    bed.node_exec(
        "sh", "-c", f"mkdir -p {AWAY}; cd {FOLDER}; cp -a --parents {moved} {AWAY}; rm {moved}"
    )
    run(bed, said, "rollout", "--yes")
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.works(bed)
    assert bed.kubectl("-n", "kube-system", "logs", "-l", "component=etcd", "--tail=1")
    assert not {f"{FOLDER}/{path}" for path in OF_COMPONENTS} & set(files(bed))
    # What is in no Secret comes back by hand.
    bed.node_exec("sh", "-c", f"cd {AWAY}; cp -a --parents {' '.join(OF_NOBODY)} {FOLDER}")
    out = run(bed, said, "credentials", "to-host", "--yes")
    assert "These files were put back" in out
    assert files(bed) == before
    assert stored(bed) == set()
    assert looks.agent_pods(bed) == []
    assert "pki/ca.key" in seen_by(bed, "kube-apiserver")
    assert looks.works(bed)


def test_a_renewal_makes_new_secrets_and_no_request_is_lost(bed, said):
    run(bed, said, "credentials", "to-secrets", "--yes")
    before, secrets = files(bed), stored(bed)
    out = run(bed, said, "credentials", "renew", "--yes")
    assert "The certificates are renewed." in out
    changed = {path for path, facts in files(bed).items() if facts != before[path]}
    assert f"{FOLDER}/pki/apiserver.crt" in changed
    assert f"{FOLDER}/pki/etcd/server.crt" in changed
    assert len(secrets & stored(bed)) == len(secrets - stored(bed)) == 3
    known = json.loads(bed.selfhost("credentials", "status", "-o", "json").stdout)["onNodes"]
    assert {one["inUse"] for one in known} == {True, None}
    assert {one["readFrom"] for one in known if one["usedBy"] == "kube-apiserver"} == {"Secret"}
    assert looks.works(bed)


def test_a_restart_of_the_node(bed):
    subprocess.run(["docker", "restart", bed.node], check=True, capture_output=True)

    def healed() -> bool:
        return (
            looks.self_hosted(bed) == set(looks.COMPONENTS)
            and looks.recovery_pods(bed) == {looks.GUARDIAN}
            and "pki/ca.key" not in seen_by(bed, "kube-apiserver")
        )

    looks.eventually(lambda: looks.answers(bed), seconds=120, what="no API")
    looks.eventually(healed, seconds=300, what="not healed")
    assert looks.works(bed)


def test_no_private_key_is_told(bed, said):
    listed = ("configmaps", "pods", "events", "daemonsets", "controllerrevisions")
    texts = [bed.kubectl("get", kind, "-A", "-o", "json") for kind in listed]
    texts += [
        bed.kubectl("-n", "kube-system", "logs", pod["metadata"]["name"])
        for pod in looks.objects(bed, "pods", "-l", "tier=control-plane")
    ]
    texts.append(bed.node_exec("cat", f"{looks.KEPT}/journal"))
    whole = "\n".join([*texts, *said])
    found = keys(bed)
    assert len(found) > 15
    assert not [one for one in found if one in whole]
    assert "PRIVATE KEY" not in whole


def test_after_a_revert_nothing_is_left(bed, said):
    before = files(bed)
    run(bed, said, "credentials", "to-host", "--yes")
    run(bed, said, "revert", "--yes")
    assert files(bed) == before
    assert stored(bed) == set()
    assert looks.static_pods(bed) == {"etcd", *looks.COMPONENTS}

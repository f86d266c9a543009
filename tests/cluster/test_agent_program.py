"""The attack: somebody puts a program of their own in the place of the node agent's.

If anything of the plugin starts the foreign program, it runs as root on the node: then it leaves a
file on the node, and a line in its container's log. Neither may ever be there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from bed.harness import REPOSITORY, Bed
from cluster import looks

#: May write ConfigMaps in kube-system, or Secrets: nothing else.
MALLORY = "system:serviceaccount:kube-system:mallory"
EVE = "system:serviceaccount:kube-system:eve"
TRACE = "/root/foreign-program-was-here"
WORDS = "a foreign program runs"
FOREIGN_PROGRAM = f"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {{
    /* With the host's processes in view, as the agent has them, this is the node's own disk. */
    int fd = open("/proc/1/root{TRACE}", O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) {{
        close(fd);
    }}
    puts("{WORDS}");
    fflush(stdout);
    sleep(3600);
    return 0;
}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("foreign")
    (folder / "foreign.c").write_text(FOREIGN_PROGRAM)
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "x86_64-linux-musl",
        "-static",
        "-s",
    ]
    subprocess.run([*command, "foreign.c", "-o", "foreign"], cwd=folder, check=True)
    return (folder / "foreign").read_bytes()


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    """Return one cluster for all tests, in this order."""
    for name, resource in (("mallory", "configmaps"), ("eve", "secrets")):
        cluster.kubectl("-n", "kube-system", "create", "serviceaccount", name)
        verbs = ("--verb=create,delete", f"--resource={resource}")
        cluster.kubectl("-n", "kube-system", "create", "role", name, *verbs)
        to = (f"--role={name}", f"--serviceaccount=kube-system:{name}")
        cluster.kubectl("-n", "kube-system", "create", "rolebinding", name, *to)
    return cluster


def names() -> list[str]:
    """Return the name that this build gives the object with the program, and an earlier build's
    name.
    """
    name = f"kubectl-selfhost-agent-amd64-{hashlib.sha256(shipped()).hexdigest()}"
    return [name, name[: -(64 - 10)]]


def shipped() -> bytes:
    return (REPOSITORY / "kubectl_selfhost" / "node" / "binaries" / "agent-amd64").read_bytes()


def disguised(kind: str, name: str, program: bytes) -> dict:
    """Return an object that looks like the plugin's in everything but the program."""
    encoded = {"agent-amd64": base64.b64encode(program).decode()}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {
                "app.kubernetes.io/name": "kubectl-selfhost-agent",
                "app.kubernetes.io/managed-by": "kubectl-selfhost",
            },
        },
        "immutable": True,
        **({"data": encoded} if kind == "Secret" else {"binaryData": encoded}),
    }


def attack(bed: Bed, kind: str, who: str, program: bytes, *which: str) -> None:
    """Replace the objects by foreign ones, with no right but to create and delete their kind."""
    for name in which or names():
        target = ("-n", "kube-system", kind.lower(), name, "--ignore-not-found", "--wait=false")
        bed.kubectl("delete", *target, f"--as={who}")
        bed.kubectl(
            "create", "-f", "-", f"--as={who}", stdin=json.dumps(disguised(kind, name, program))
        )


def never_ran(bed: Bed) -> None:
    logs = f"grep -rlF '{WORDS}' /var/log/pods || true"
    assert bed.node_exec("sh", "-c", f"ls {TRACE} 2>/dev/null; {logs}") == ""


def refused(bed: Bed, *arguments: str, kind: str) -> None:
    """Check that the run ends with a sentence about the object, and that the object is still there."""
    before = bed.get(kind.lower(), names()[0], "-n", "kube-system")["metadata"]["uid"]
    run = bed.selfhost(*arguments, check=False)
    assert run.returncode == 1, str(run)
    said = " ".join((run.stdout + run.stderr).split())
    assert f"The {kind} {names()[0]} in kube-system does not hold the node agent's program" in said
    assert f"kubectl -n kube-system delete {kind.lower()} {names()[0]}" in said
    assert bed.get(kind.lower(), names()[0], "-n", "kube-system")["metadata"]["uid"] == before
    never_ran(bed)


def test_the_program_would_leave_its_traces(bed, program):
    """What the other tests look for is there where the program does run."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "control", "namespace": "kube-system"},
        "spec": {
            "nodeName": bed.node,
            "hostPID": True,
            "containers": [
                {
                    "name": "agent",
                    "image": bed.get("pods", "-n", "kube-system", "-l", "component=kube-apiserver")[
                        "items"
                    ][0]["spec"]["containers"][0]["image"],
                    "command": ["/selfhost/agent-amd64"],
                    "securityContext": {"privileged": True},
                    "volumeMounts": [{"name": "program", "mountPath": "/selfhost"}],
                }
            ],
            "volumes": [
                {"name": "program", "configMap": {"name": "control", "defaultMode": 0o755}}
            ],
        },
    }
    for made in (disguised("ConfigMap", "control", program), manifest):
        bed.kubectl("create", "-f", "-", stdin=json.dumps(made))
    traces = f"ls {TRACE} && grep -rlF '{WORDS}' /var/log/pods"
    looks.eventually(lambda: bed.node_exec("sh", "-c", traces), what="the program left no trace")
    bed.kubectl("-n", "kube-system", "delete", "pod/control", "configmap/control", "--now")
    bed.node_exec("sh", "-c", f"rm -r {TRACE} /var/log/pods/kube-system_control_*")
    never_ran(bed)


def test_who_may_write_secrets_stops_a_pivot_and_no_more(bed, program):
    attack(bed, "Secret", EVE, program, names()[0])
    manifests = looks.manifest_files(bed)
    refused(bed, "pivot", "--yes", kind="Secret")
    refused(bed, "pivot", "--yes", "--ignore-preflight-errors=AgentProgram", kind="Secret")
    assert looks.manifest_files(bed) == manifests
    assert looks.agent_pods(bed) == []
    bed.kubectl("-n", "kube-system", "delete", "secret", names()[0], f"--as={EVE}")


def test_who_may_write_configmaps_gains_nothing_from_a_pivot(bed, program):
    attack(bed, "ConfigMap", MALLORY, program)
    run = bed.selfhost("pivot", "--yes", check=False)
    never_ran(bed)
    assert run.returncode == 0, str(run)
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


@pytest.mark.parametrize("verb", [("sync",), ("rollout", "kube-scheduler")])
def test_nor_from_what_comes_later(bed, program, verb):
    attack(bed, "ConfigMap", MALLORY, program)
    run = bed.selfhost(*verb, "--yes", check=False)
    assert run.returncode == 0, str(run)
    never_ran(bed)


@pytest.mark.parametrize("verb", [("sync",), ("rollout", "kube-scheduler"), ("revert",)])
def test_who_may_write_secrets_stops_what_comes_later(bed, program, verb):
    attack(bed, "Secret", EVE, program, names()[0])
    refused(bed, *verb, "--yes", kind="Secret")


def test_status_tells(bed):
    status = bed.selfhost("status", check=False)
    assert status.returncode == 1
    said = " ".join(status.stdout.split())
    assert f"the Secret {names()[0]} does not hold the node agent's program" in said
    bed.kubectl("-n", "kube-system", "delete", "secret", names()[0])
    gone = bed.selfhost("status", check=False)
    assert "is gone; without it the pods of" in " ".join(gone.stdout.split())
    assert gone.stdout.rstrip().endswith("kubectl selfhost sync")
    bed.selfhost("sync", "--yes")
    assert bed.selfhost("status").returncode == 0


def test_a_daemonset_of_an_earlier_build_is_moved_by_a_rollout(bed):
    former = names()[1]
    content = shipped()
    bed.kubectl("-n", "kube-system", "delete", "configmap", former)
    bed.kubectl("create", "-f", "-", stdin=json.dumps(disguised("ConfigMap", former, content)))
    point_at_config_map(bed, former)
    assert f"from the ConfigMap {former}" in " ".join(bed.selfhost("status").stdout.split())
    bed.selfhost("rollout", "kube-scheduler", "--yes")
    assert "from the ConfigMap" not in bed.selfhost("status").stdout
    (volume,) = agent_volumes(bed)
    assert volume["secret"]["secretName"] == names()[0]


def test_a_revert_removes_every_build_and_leaves_what_is_foreign(bed, program):
    """The ConfigMap under the new name is still mallory's: it is evidence."""
    run = bed.selfhost("revert", "--yes", check=False)
    assert run.returncode == 0, str(run)
    never_ran(bed)
    said = " ".join(run.stderr.split())
    assert f"The ConfigMap {names()[0]} in kube-system does not hold" in said
    assert "kubectl-selfhost-journal" not in said
    ours = looks.objects(
        bed, "configmaps,secrets", "-l", "app.kubernetes.io/managed-by=kubectl-selfhost"
    )
    assert [one["metadata"]["name"] for one in ours] == [names()[0]]


def agent_volumes(bed: Bed) -> list[dict]:
    daemonset = bed.get("daemonset", "self-hosted-kube-scheduler", "-n", "kube-system")
    volumes = daemonset["spec"]["template"]["spec"]["volumes"]
    return [one for one in volumes if one["name"] == "kubectl-selfhost-agent"]


def point_at_config_map(bed: Bed, name: str) -> None:
    daemonset = bed.get("daemonset", "self-hosted-kube-scheduler", "-n", "kube-system")
    volumes = daemonset["spec"]["template"]["spec"]["volumes"]
    at = next(i for i, one in enumerate(volumes) if one["name"] == "kubectl-selfhost-agent")
    source = {"name": "kubectl-selfhost-agent", "configMap": {"name": name, "defaultMode": 0o755}}
    patch = [{"op": "replace", "path": f"/spec/template/spec/volumes/{at}", "value": source}]
    target = ("-n", "kube-system", "daemonset/self-hosted-kube-scheduler")
    bed.kubectl("patch", *target, "--type=json", "-p", json.dumps(patch))
    bed.kubectl("rollout", "status", *target, "--timeout=120s")

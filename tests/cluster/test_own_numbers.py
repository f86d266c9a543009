"""The plan's promises hold if a component's own flags make a hand-over last longer, or tell
nothing.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
import yaml
from bed.harness import Bed
from cluster import looks
from cluster.probes import Seen, nothing_is_lost, probed

from kubectl_selfhost.names import CONFIG_HASH_ANNOTATION

pytestmark = [pytest.mark.alone, pytest.mark.soak]

KIND_CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs:
    - {name: leader-elect-lease-duration, value: 137s}
    - {name: leader-elect-renew-deadline, value: 107s}
    - {name: leader-elect-retry-period, value: 26s}
"""


def edit_apiserver(bed: Bed, change) -> None:
    """Change the API server's manifest on the node, and wait until it serves again."""
    path = f"{looks.MANIFESTS}/kube-apiserver.yaml"
    pod = yaml.safe_load(bed.node_file(path))
    change(pod["spec"], pod["spec"]["containers"][0])
    former = mirror(bed)["metadata"]["annotations"][CONFIG_HASH_ANNOTATION]
    bed.node_exec(
        "sh",
        "-c",
        f"cat > /etc/kubernetes/new.yaml && mv /etc/kubernetes/new.yaml {path}",
        stdin=yaml.safe_dump(pod),
    )

    def runs_changed() -> bool:
        seen = mirror(bed)
        changed = seen["metadata"]["annotations"][CONFIG_HASH_ANNOTATION] != former
        return changed and looks.is_ready(seen)

    looks.eventually(runs_changed, seconds=400, what="the changed API server")
    looks.eventually(lambda: looks.static_pods(bed) == {"etcd", *looks.COMPONENTS}, seconds=120)


def mirror(bed: Bed) -> dict:
    """Return the mirror pod of the node's API server."""
    found: dict = bed.get("-n", "kube-system", "pod", f"kube-apiserver-{bed.node}")
    return found


def lasts(delay: str, grace: int):
    def change(spec: dict, container: dict) -> None:
        words = [w for w in container["command"] if "shutdown-delay" not in w]
        container["command"] = [*words, f"--shutdown-delay-duration={delay}"]
        spec["terminationGracePeriodSeconds"] = grace

    return change


def probed_by_tcp(spec: dict, container: dict) -> None:
    container["command"] = [w for w in container["command"] if "shutdown-delay" not in w]
    spec["terminationGracePeriodSeconds"] = 30
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        container[name].pop("httpGet", None)
        container[name]["tcpSocket"] = {"port": 6443}


def pivots(bed: Bed, capsys: pytest.CaptureFixture[str], what: str) -> tuple[str, Seen]:
    """Plan and pivot; return what the plan says, and what clients saw."""
    plan = bed.selfhost("pivot", "--dry-run=server")
    with probed(bed) as seen:
        began = time.monotonic()
        run = bed.selfhost("pivot", "--yes", check=False)
        took = time.monotonic() - began
    with capsys.disabled():
        steps = [
            line for line in run.stderr.splitlines() if "hand-over/" in line and "done" in line
        ]
        print(f"\n{what}: {took:.0f} s; failures {seen.failures()}", *steps, sep="\n  ")
    assert run.returncode == 0, str(run)
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    return " ".join((plan.stdout + plan.stderr).split()), seen


@pytest.fixture
def static(cluster: Bed) -> Iterator[Bed]:
    """Yield a control plane that is static before and after."""
    yield cluster
    cluster.selfhost("revert", "--yes")
    assert looks.static_pods(cluster) == {"etcd", *looks.COMPONENTS}


@pytest.mark.parametrize(("delay", "grace"), [("30s", 60), ("150s", 240)])
def test_a_shutdown_delay_is_waited_for(static: Bed, capsys, delay: str, grace: int):
    edit_apiserver(static, lasts(delay, grace))
    said, seen = pivots(static, capsys, f"shutdown delay {delay}")
    nothing_is_lost(seen)
    assert "for up to 57.2 s if the new instance asks for the lease too early" in said


def test_a_controller_manager_that_asks_seldom_leads_at_once(static: Bed, capsys):
    before = lease(static)
    run = static.selfhost("pivot", "--yes", "--component=kube-controller-manager")
    took = re.search(r"hand-over/kube-controller-manager: done in ([0-9.]+)s", run.stderr)
    with capsys.disabled():
        print("\nretry period of 26 s: handed over in", took and took[1], "s")
    assert lease(static) != before
    assert took
    assert float(took[1]) < 26


def lease(bed: Bed) -> str:
    words = ("-n", "kube-system", "get", "lease", "kube-controller-manager", "-o", "json")
    return str(json.loads(bed.kubectl(*words))["spec"]["holderIdentity"])


def test_an_apiserver_with_tcp_probes_is_never_called_ready_too_soon(static: Bed, capsys):
    edit_apiserver(static, probed_by_tcp)
    refused = static.selfhost("pivot", "--dry-run=server", "--handover=seamless", check=False)
    assert refused.returncode == 1
    assert "tcpSocket" in refused.stdout + refused.stderr
    said, seen = pivots(static, capsys, "tcp probes")
    assert "the API, for one start of the API server" in said
    assert seen.document["watch"]["lost"] == 0
    run = static.selfhost("rollout", "--yes", check=False)
    assert run.returncode == 1
    assert "can't be rolled out safely" in run.stderr

"""A control plane whose manifests people have changed, pivoted and reverted.

Its controller-manager leads by a lease of its own name (the lease of the default name is old), a
second scheduler is a static pod copied with its labels, the API server's pod has none of kubeadm's
labels, and the scheduler is Guaranteed and has an AppArmor annotation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from bed.harness import Bed
from cluster import looks
from cluster.probes import nothing_is_lost, probed

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

LEASE = "my-kcm"
SECOND = "my-scheduler"
LABELS = {"k8s-app": "kube-apiserver", "team": "a"}
ANNOTATION = {"container.apparmor.security.beta.kubernetes.io/kube-scheduler": "unconfined"}
AMOUNTS = {"cpu": "100m", "memory": "256Mi"}
CONFIGURATION = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "clientConnection": {"kubeconfig": "/etc/kubernetes/scheduler.conf"},
    "leaderElection": {"leaderElect": False},
    "profiles": [{"schedulerName": SECOND}],
}


def manifest(bed: Bed, component: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(bed.node_file(f"{looks.MANIFESTS}/{component}.yaml"))
    return found


def write(bed: Bed, path: str, content: dict[str, Any]) -> None:
    """Write to a file beside the place, then rename it: the kubelet may read a file while it is
    written.
    """
    bed.node_exec("sh", "-c", f"cat > /tmp/new && mv /tmp/new {path}", stdin=json.dumps(content))


def edit(bed: Bed, component: str, change: Callable[[dict[str, Any]], None]) -> None:
    pod = manifest(bed, component)
    change(pod)
    write(bed, f"{looks.MANIFESTS}/{component}.yaml", pod)


def second_scheduler(bed: Bed) -> dict[str, Any]:
    pod = manifest(bed, "kube-scheduler")
    main = pod["spec"]["containers"][0]
    pod["metadata"]["name"] = SECOND
    flags = ["--config=/etc/kubernetes/my-scheduler.yaml", "--secure-port=10269"]
    main["command"] = ["kube-scheduler", *flags, "--leader-elect=false"]
    for field in ("ports", "livenessProbe", "readinessProbe", "startupProbe"):
        main.pop(field, None)
    main["volumeMounts"] = [{"name": "all", "mountPath": "/etc/kubernetes", "readOnly": True}]
    pod["spec"]["volumes"] = [{"name": "all", "hostPath": {"path": "/etc/kubernetes"}}]
    return pod


def guaranteed(pod: dict[str, Any]) -> None:
    pod["metadata"]["annotations"] = ANNOTATION
    amounts = {"limits": AMOUNTS, "requests": AMOUNTS}
    pod["spec"]["containers"][0]["resources"] = amounts


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    write(cluster, "/etc/kubernetes/my-scheduler.yaml", CONFIGURATION)
    write(cluster, f"{looks.MANIFESTS}/{SECOND}.yaml", second_scheduler(cluster))
    edit(
        cluster,
        "kube-controller-manager",
        lambda pod: pod["spec"]["containers"][0]["command"].append(
            f"--leader-elect-resource-name={LEASE}"
        ),
    )
    edit(cluster, "kube-scheduler", guaranteed)
    edit(cluster, "kube-apiserver", lambda pod: pod["metadata"].update(labels=LABELS))
    looks.eventually(lambda: is_as_people_have_it(cluster), seconds=180, what="the manifests")
    return cluster


def is_as_people_have_it(bed: Bed) -> bool:
    pods = {pod["metadata"]["name"]: pod for pod in looks.objects(bed, "pods")}
    own = {c: pods[f"{c}-{bed.node}"] for c in (*looks.COMPONENTS, SECOND)}
    return (
        all(looks.is_ready(pod) for pod in own.values())
        and "component" not in own["kube-apiserver"]["metadata"]["labels"]
        and own["kube-scheduler"]["status"]["qosClass"] == "Guaranteed"
        and bool(holder(bed, LEASE))
        and looks.works(bed)
    )


def holder(bed: Bed, name: str) -> str:
    lease = bed.get("-n", "kube-system", "lease", name)
    return str(lease["spec"].get("holderIdentity") or "")


def the_second_scheduler(bed: Bed) -> tuple[str, int]:
    """Return when its process began, and how often it was restarted."""
    pod = bed.get("-n", "kube-system", "pod", f"{SECOND}-{bed.node}")
    (status,) = pod["status"]["containerStatuses"]
    return status["state"]["running"]["startedAt"], status["restartCount"]


def test_status_counts_what_is_the_components_own(bed: Bed):
    seen = json.loads(bed.selfhost("status", "-o", "json").stdout)
    assert seen["verdict"]["state"] == "static"
    assert seen["verdict"]["healthy"]


def test_it_pivots_and_nobody_is_taken_for_another(bed: Bed):
    before, stale, leader = (
        the_second_scheduler(bed),
        *(holder(bed, name) for name in ("kube-controller-manager", LEASE)),
    )
    with probed(bed) as seen:
        run = bed.selfhost("pivot", "--yes", "--timeout=120s")
    nothing_is_lost(seen)
    assert looks.self_hosted(bed) == set(looks.COMPONENTS), str(run)
    assert the_second_scheduler(bed) == before
    assert holder(bed, "kube-controller-manager") == stale
    assert holder(bed, LEASE) not in ("", leader)
    assert looks.works(bed)
    (pod,) = looks.objects(bed, "pods", "-l", "k8s-app=self-hosted-kube-scheduler")
    assert pod["status"]["qosClass"] == "Guaranteed"
    shown = json.loads(bed.selfhost("status", "-o", "json").stdout)
    assert shown["verdict"]["state"] == "self-hosted", shown["verdict"]


def test_both_values_of_a_flag_are_set(bed: Bed):
    issuers = ["https://new.example", "https://kubernetes.default.svc.cluster.local"]
    given = [f"--set-flag=service-account-issuer={one}" for one in issuers]
    bed.selfhost("rollout", "kube-apiserver", *given, "--yes", "--timeout=120s")
    (pod,) = [
        one
        for one in looks.objects(bed, "pods", "-l", "k8s-app=self-hosted-kube-apiserver")
        if looks.is_ready(one)
    ]
    words = [w for w in pod["spec"]["containers"][0]["command"] if "account-issuer" in w]
    assert words == [f"--service-account-issuer={one}" for one in issuers]


def test_what_is_peoples_own_is_there_again_after_a_revert(bed: Bed):
    before = the_second_scheduler(bed)
    bed.selfhost("revert", "--yes", "--timeout=120s")
    assert looks.static_pods(bed) >= {*looks.COMPONENTS, SECOND}
    assert the_second_scheduler(bed) == before
    assert manifest(bed, "kube-apiserver")["metadata"]["labels"] == LABELS
    scheduler = manifest(bed, "kube-scheduler")
    assert scheduler["metadata"]["annotations"] == ANNOTATION
    assert "securityContext" not in scheduler["spec"]["containers"][0]
    pod = bed.get("-n", "kube-system", "pod", f"kube-scheduler-{bed.node}")
    assert pod["status"]["qosClass"] == "Guaranteed"
    assert looks.works(bed)


def test_always_pulling_is_told_before_anything_is_changed(bed: Bed):
    def always(pod: dict[str, Any]) -> None:
        command = pod["spec"]["containers"][0]["command"]
        plugins = "--enable-admission-plugins=NodeRestriction,AlwaysPullImages"
        command[:] = [w for w in command if not w.startswith("--enable-admission-plugins")]
        command.append(plugins)

    edit(bed, "kube-apiserver", always)
    looks.eventually(
        lambda: (
            looks.is_ready(bed.get("-n", "kube-system", "pod", f"kube-apiserver-{bed.node}"))
            and "AlwaysPullImages" in str(bed.get("-n", "kube-system", "pods"))
        ),
        seconds=180,
        what="AlwaysPullImages is not on",
    )
    run = bed.selfhost("pivot", "--dry-run=client")
    assert "admission (AlwaysPullImages) makes the new pods pull" in " ".join(run.stderr.split())

"""No request is lost while a control plane changes hands, whatever it is made like.

What clients see is told by a second prober of ours, from outside and from a pod. (How long the longest
gap is depends on what else the machine does: `make bench` tells it.)
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager

import pytest
from cluster import looks
from cluster.runs import PIVOT, completes, wait_for_line

pytestmark = pytest.mark.alone

SEAMLESS = (*PIVOT, "--handover=seamless")
#: Milliseconds of the median new connection: 10 on an idle 2-core machine.
BUSY = 60
PROBES = "app.kubernetes.io/name=kubectl-selfhost-probe"

IPV6 = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  ipFamily: ipv6
"""
DUAL_STACK = IPV6.replace("ipv6", "dual")
#: The apiserver runs as a user of its own, and anonymous requests are for the health paths alone.
HARDENED = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - hostPath: {folder}
    containerPath: /etc/kubernetes/authentication
    readOnly: true
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  featureGates:
    RootlessControlPlane: true
  apiServer:
    extraArgs:
    - name: authentication-config
      value: /etc/kubernetes/authentication/config.yaml
    extraVolumes:
    - name: authentication
      hostPath: /etc/kubernetes/authentication
      mountPath: /etc/kubernetes/authentication
      readOnly: true
      pathType: Directory
"""
AUTHENTICATION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
"""


class Seen:
    """What a probe's document says, once the probe has ended."""

    document: dict

    def failures(self) -> dict[str, dict[str, int]]:
        """Failures by kind, of each kind of probe that had any; from the pod, too.

        On a machine that is too busy for ten answers a second over one connection, what falls due
        piles up until its time is over: slow answers are not lost ones.
        """
        kinds = {one["name"]: one for one in self.document["kinds"]}
        kinds["in-cluster"] = self.document["inCluster"]
        busy = kinds["connect"]["latency"]["p50"] > BUSY
        slow = ("timeout", "not-sent", "http-500-etcd") if busy else ()
        found = {
            name: {h: count for h, count in one["failures"].items() if not h.startswith(slow)}
            for name, one in kinds.items()
        }
        return {name: failures for name, failures in found.items() if failures}


@contextmanager
def probed(bed):
    """Probes while the block runs, 50 new connections a second, also from a pod."""
    seen = Seen()
    words = ("probe", "--rate=50", "--duration=10m", "--in-cluster", "--output=json")
    probe = bed.popen(*words)
    try:
        looks.eventually(
            lambda: any(p["status"].get("phase") == "Running" for p in probe_pods(bed)),
            what="the probe's pod does not run",
        )
        yield seen
        probe.send_signal(signal.SIGINT)
        out, err = probe.communicate(timeout=60)
        assert out, err
        seen.document = json.loads(out)
    except BaseException:
        probe.kill()
        raise


def probe_pods(bed) -> list[dict]:
    return looks.objects(bed, "pods", "-l", PROBES)


def nothing_is_lost(seen: Seen) -> None:
    print(json.dumps(seen.document))
    found = seen.failures()
    # A request that is sent on a kept connection just as the server closes it has no answer: at most
    # one for each connection.
    for kind in ("read", "write", "endpoints"):
        lost = found.pop(kind, {})
        assert sum(n for how, n in lost.items() if how != "retry-after") <= 1, (kind, lost)
    assert found == {}
    assert seen.document["watch"]["lost"] == 0
    assert seen.document["endpoints"]["empty"] == 0


def no_pod_was_restarted(bed) -> None:
    for component in looks.COMPONENTS:
        pods = looks.objects(bed, "pods", "-l", f"component={component}")
        assert [s["restartCount"] for p in pods for s in p["status"]["containerStatuses"]] == [0]


def pivots_seamlessly(bed) -> None:
    with probed(bed) as seen:
        run = bed.selfhost(*SEAMLESS, check=False)
    assert run.returncode == 0, str(run)
    nothing_is_lost(seen)
    no_pod_was_restarted(bed)
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.works(bed)


@pytest.fixture(scope="module")
def bed(cluster):
    """One cluster for the pivot and what may follow, in this order."""
    return cluster


def test_a_pivot_loses_nothing(bed):
    restarts = control_plane_starts(bed)
    pivots_seamlessly(bed)
    assert looks.objects(bed, "pods", "-l", "app.kubernetes.io/name=kubectl-selfhost-agent") == []
    assert restarts == {"kube-controller-manager": 0, "kube-scheduler": 0}


def control_plane_starts(bed) -> dict[str, int]:
    """How often the static controller-manager and scheduler were restarted."""
    return {
        component: sum(
            status["restartCount"]
            for pod in looks.objects(bed, "pods", "-l", f"component={component}")
            for status in pod["status"]["containerStatuses"]
        )
        for component in looks.COMPONENTS[1:]
    }


def test_the_kernel_is_as_it_was(bed):
    assert bed.node_exec("sysctl", "-n", "net.ipv4.tcp_migrate_req").strip() == "0"


def test_the_service_has_one_endpoint_slice(bed):
    slices = bed.get("endpointslices", "-l", "kubernetes.io/service-name=kubernetes")["items"]
    assert [one["metadata"]["name"] for one in slices] == ["kubernetes"]


def test_a_roll_out_loses_nothing(bed):
    with probed(bed) as seen:
        run = bed.selfhost("rollout", "--yes", "--timeout=90s", check=False)
    assert run.returncode == 0, str(run)
    nothing_is_lost(seen)
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.works(bed)


@pytest.mark.parametrize("component", looks.COMPONENTS)
def test_a_roll_out_of_a_bad_flag_costs_nothing(bed, component):
    before = daemonset(bed, component)
    pods = looks.ready_pods(bed, f"self-hosted-{component}")
    words = ("rollout", component, "--set-flag=no-such-flag=1", "--yes", "--timeout=90s")
    with probed(bed) as seen:
        run = bed.selfhost(*words, check=False)
    assert run.returncode == 1, str(run)
    assert "unknown flag: --no-such-flag" in run.stderr
    nothing_is_lost(seen)
    assert daemonset(bed, component) == before
    assert looks.ready_pods(bed, f"self-hosted-{component}") == pods
    assert looks.agent_pods(bed) == []


def test_a_roll_out_of_an_image_that_does_not_exist_costs_nothing(bed):
    before = daemonset(bed, "kube-scheduler")
    words = ("rollout", "kube-scheduler", "--image=registry.k8s.io/kube-scheduler:v0.0.0")
    run = bed.selfhost(*words, "--yes", "--timeout=20s", check=False)
    assert run.returncode == 1, str(run)
    assert "v0.0.0" in run.stderr
    assert daemonset(bed, "kube-scheduler") == before
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


def test_a_changed_flag_is_what_runs_then(bed):
    run = bed.selfhost("rollout", "kube-scheduler", "--set-flag=v=3", "--yes", check=False)
    assert run.returncode == 0, str(run)
    pods = looks.objects(bed, "pods", "-l", "k8s-app=self-hosted-kube-scheduler")
    assert ["--v=3" in p["spec"]["containers"][0]["command"] for p in pods] == [True]
    assert looks.works(bed)


def daemonset(bed, component: str) -> dict:
    name = f"self-hosted-{component}"
    return bed.get("daemonset", "-n", "kube-system", name)["spec"]["template"]


def test_with_ipv6(fresh_cluster):
    pivots_seamlessly(fresh_cluster(IPV6))


@pytest.mark.soak
def test_with_dual_stack(fresh_cluster):
    pivots_seamlessly(fresh_cluster(DUAL_STACK))


@pytest.mark.soak
def test_with_another_user_and_anonymous_requests_for_health_alone(fresh_cluster, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "config.yaml").write_text(AUTHENTICATION)
    bed = fresh_cluster(HARDENED.format(folder=tmp_path))
    spec = looks.objects(bed, "pods", "-l", "component=kube-apiserver")[0]["spec"]
    assert spec["securityContext"]["runAsUser"] > 0
    pivots_seamlessly(bed)


@pytest.mark.soak
def test_with_a_bind_address_of_its_own_another_way_is_chosen_and_said(fresh_cluster):
    bed = fresh_cluster()
    bind_to_one_address(bed)
    refused = bed.selfhost(*SEAMLESS, check=False)
    assert refused.returncode == 1
    assert "can't change hands in the way seamless" in " ".join(refused.stderr.split())
    run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, str(run)
    assert "shared" in run.stderr
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


def bind_to_one_address(bed) -> None:
    address = bed.get("node", bed.node)["status"]["addresses"][0]["address"]
    manifest = f"{looks.MANIFESTS}/kube-apiserver.yaml"
    bed.node_exec(
        "sed", "-i", rf"/^    - kube-apiserver$/a\    - --bind-address={address}", manifest
    )
    flag = f"--bind-address={address}"
    looks.eventually(
        lambda: any(
            flag in p["spec"]["containers"][0]["command"]
            for p in looks.objects(bed, "pods", "-l", "component=kube-apiserver")
        ),
        seconds=120,
        what="the apiserver does not come back on one address",
    )
    looks.eventually(lambda: looks.answers(bed), seconds=60, what="the API does not answer")


@pytest.mark.soak
def test_the_other_ways_can_be_asked_for(fresh_cluster):
    bed = fresh_cluster()
    run = bed.selfhost(*PIVOT, "--handover=waiting", check=False)
    assert run.returncode == 0, str(run)
    assert "asked for with --handover" in " ".join(run.stderr.split())
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


MOMENTS = (
    "... self-hosted kube-apiserver: Running",
    "the self-hosted kube-controller-manager prepares to lead",
    "... self-hosted kube-apiserver: Init",
    "hand-over/kube-controller-manager:",
)


@pytest.mark.soak
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_agent_that_is_killed_is_started_again_and_goes_on(fresh_cluster, moment):
    """Its process, not its pod: nothing of the agent can tidy up."""
    bed = fresh_cluster()
    with probed(bed) as seen:
        run = bed.popen(*PIVOT)
        wait_for_line(run, moment)
        bed.node_exec("pkill", "-9", "-f", "^/selfhost/agent-amd64 serve")
        out, err = run.communicate(timeout=300)
    assert "Traceback" not in err
    assert set(seen.failures()) <= {"read", "write", "endpoints", "ready"}, err
    if run.returncode != 0:
        assert looks.answers(bed)
        completes(bed)
    assert looks.self_hosted(bed) == set(looks.COMPONENTS), out + err
    assert stopped_processes(bed) == []
    assert looks.works(bed)


def stopped_processes(bed) -> list[str]:
    """Processes on the node that are stopped (state T)."""
    lines = subprocess.run(
        ["docker", "exec", bed.node, "ps", "-eo", "stat,args"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [line for line in lines if line.startswith("T")]

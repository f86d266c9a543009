"""No request is lost while a control plane changes hands, whatever it is made like.

A second probe measures what clients see (see probes.py). How long the longest gap lasts depends on
the load of the machine: `make bench` measures the length.
"""

from __future__ import annotations

import pytest
from cluster import looks
from cluster.probes import nothing_is_lost, probed
from cluster.runs import PIVOT, completes, wait_for_line

pytestmark = pytest.mark.alone

#: Clients are served by the apiserver alone; the unit tests break the roll-out of each component.
APISERVER_FIRST = [
    looks.COMPONENTS[0],
    *(pytest.param(one, marks=pytest.mark.soak) for one in looks.COMPONENTS[1:]),
]

SEAMLESS = (*PIVOT, "--handover=seamless")

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
    """Return one cluster for the pivot and what may follow, in this order."""
    return cluster


@pytest.fixture
def pivoted(bed):
    """Return the cluster self-hosted, even if the tests before were left out."""
    if looks.self_hosted(bed) != set(looks.COMPONENTS):
        completes(bed, *PIVOT)
    return bed


def test_a_pivot_loses_nothing(bed):
    restarts = control_plane_starts(bed)
    pivots_seamlessly(bed)
    assert looks.objects(bed, "pods", "-l", "app.kubernetes.io/name=kubectl-selfhost-agent") == []
    assert restarts == {"kube-controller-manager": 0, "kube-scheduler": 0}


def control_plane_starts(bed) -> dict[str, int]:
    """Return how often the static controller-manager and scheduler were restarted."""
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


@pytest.mark.usefixtures("pivoted")
@pytest.mark.parametrize("component", APISERVER_FIRST)
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


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_a_roll_out_of_an_image_that_does_not_exist_costs_nothing(bed):
    before = daemonset(bed, "kube-scheduler")
    words = ("rollout", "kube-scheduler", "--image=registry.k8s.io/kube-scheduler:v0.0.0")
    run = bed.selfhost(*words, "--yes", "--timeout=20s", check=False)
    assert run.returncode == 1, str(run)
    assert "v0.0.0" in run.stderr
    assert daemonset(bed, "kube-scheduler") == before
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


def daemonset(bed, component: str) -> dict:
    name = f"self-hosted-{component}"
    return bed.get("daemonset", "-n", "kube-system", name)["spec"]["template"]


def test_with_ipv6(fresh_cluster):
    bed = fresh_cluster(IPV6)
    assert ":" in bed.get("service", "kubernetes")["spec"]["clusterIP"]
    pivots_seamlessly(bed)


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
    "... self-hosted kube-controller-manager: Running",
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
    assert looks.works(bed)

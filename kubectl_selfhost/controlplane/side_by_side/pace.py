"""How long a component takes to end and to lead, by its own flags."""

from __future__ import annotations

from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.values import durations

#: A process that doesn't lead tries again after RetryPeriod to this many times RetryPeriod (client-go's
#: leaderelection.go: JitterUntil with JitterFactor 1.2).
LONGEST_RETRY = 2.2
#: Seconds after which a standby must have asked for the lease: the kubelet does not restart an old
#: process that was killed twice earlier than that.
LONGEST_WAIT = 10.0
#: The default of terminationGracePeriodSeconds.
_DEFAULT_GRACE = 30.0


def longest_retry(component: Component, pod: dict) -> float:
    """Return the maximum of seconds until a standby asks for the lease again; 0 without a lease."""
    return round(LONGEST_RETRY * staticpod.retry_period(pod, component), 1)


def grace_period(pod: dict) -> float:
    """Return for how many seconds the pod may run after the kubelet tells it to end."""
    given = pod["spec"].get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if given is None else float(given)


def listens_on(component: Component, pod: dict) -> float:
    """Return for how many seconds the component still listens after the kubelet tells it to end.

    A kube-apiserver listens for its --shutdown-delay-duration. When the pod's grace period is over,
    the kubelet kills the pod.
    """
    if component != APISERVER:
        return 0.0
    delay = durations.seconds(staticpod.flags(pod).get("shutdown-delay-duration", "0")) or 0.0
    return max(0.0, min(delay, grace_period(pod)))


def slack(component: Component, pod: dict) -> float:
    """Return how many seconds a switch of this component may take longer because of its flags.

    The old instance still listens for its shutdown delay. A new instance that asks for the lease too
    early asks again after its retry period.
    """
    retry = longest_retry(component, pod)
    return listens_on(component, pod) + (retry if retry > LONGEST_WAIT else 0.0)


def uses_coordinated_election(pod: dict) -> bool:
    """Return whether the API server chooses the component's leader (CoordinatedLeaderElection).

    The feature is alpha since Kubernetes 1.31, and off by default up to 1.37.
    """
    gates = staticpod.flags(pod).get("feature-gates", "").split(",")
    values = dict(gate.strip().partition("=")[::2] for gate in gates)
    return values.get("CoordinatedLeaderElection", "").strip().lower() in ("true", "t", "1")

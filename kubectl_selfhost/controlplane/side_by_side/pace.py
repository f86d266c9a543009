"""How long a component takes to let go, and to lead: read from its own flags, not a constant."""

from __future__ import annotations

from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.values import durations

#: A process that doesn't lead tries again after RetryPeriod to so many times that (client-go's
#: leaderelection.go: JitterUntil with JitterFactor 1.2).
LONGEST_RETRY = 2.2
#: A new instance is stopped for this many times RetryPeriod, so that its next try is due.
PAUSE = 2.25
#: A new instance can be stopped for this many seconds, so that it tries at once when it goes on. The
#: agent lets a stopped process go on after 15 s by itself.
LONGEST_PAUSE = 10.0
#: The longest RetryPeriod for which this time is long enough.
LONGEST_PAUSED_RETRY = LONGEST_PAUSE / PAUSE
#: Seconds that Kubernetes gives a pod to end (terminationGracePeriodSeconds).
_DEFAULT_GRACE = 30.0


def longest_retry(component: Component, pod: dict) -> float:
    """Return after how many seconds at most a standby asks for the lease again; 0 if there is no
    lease.
    """
    return round(LONGEST_RETRY * staticpod.retry_period(pod, component), 1)


def grace_period(pod: dict) -> float:
    """Return for how many seconds the pod may go on after the kubelet tells it to end."""
    given = pod["spec"].get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if given is None else float(given)


def listens_on(component: Component, pod: dict) -> float:
    """Return for how many seconds the component goes on to listen after the kubelet tells it to
    end.

    A kube-apiserver listens for its --shutdown-delay-duration. When the pod's grace period is over,
    the kubelet kills it.
    """
    if component != APISERVER:
        return 0.0
    delay = durations.seconds(staticpod.flags(pod).get("shutdown-delay-duration", "0")) or 0.0
    return max(0.0, min(delay, grace_period(pod)))


def slack(component: Component, pod: dict) -> float:
    """Return the seconds that a switch of this component may take longer than a switch of any
    other.

    The old instance goes on to listen for its shutdown delay. A new instance that asks for the
    lease a moment too early asks again after its retry period.
    """
    retry = longest_retry(component, pod)
    return listens_on(component, pod) + (retry if retry > LONGEST_PAUSE else 0.0)


def uses_coordinated_election(pod: dict) -> bool:
    """Return whether the API server chooses the component's leader (CoordinatedLeaderElection).

    Alpha since Kubernetes 1.31 and off by default up to 1.37.
    """
    gates = staticpod.flags(pod).get("feature-gates", "").split(",")
    values = dict(gate.strip().partition("=")[::2] for gate in gates)
    return values.get("CoordinatedLeaderElection", "").strip().lower() in ("true", "t", "1")

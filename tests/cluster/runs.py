"""Runs of the plugin that must fail, or must end well, and what must be true afterwards."""

from __future__ import annotations

import time

from cluster import looks

PIVOT = ("pivot", "--yes", "--timeout=90s")
#: Ignores the check for pods that admission changed, so that the switch itself meets them.
LET_THROUGH = (*PIVOT, "--ignore-preflight-errors=Admission")

OURS = "app.kubernetes.io/managed-by=kubectl-selfhost"


def fails(bed, *arguments: str, because: str) -> str:
    """Run a pivot that must fail in words; return what it said."""
    run = bed.selfhost(*arguments, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert because in run.stderr, run.stderr
    looks.eventually(lambda: looks.answers(bed), seconds=30, what="the API does not answer")
    return run.stderr


def is_as_before(bed, manifests: dict[str, str]) -> None:
    """Check that the control plane is static again, and nothing of the plugin is left."""
    looks.eventually(
        lambda: looks.static_pods(bed) == {"etcd", *looks.COMPONENTS},
        what="static pods are missing",
    )
    assert looks.manifest_files(bed) == manifests
    looks.eventually(lambda: looks.objects(bed, "daemonsets", "-l", OURS) == [], what="DaemonSets")
    looks.eventually(lambda: looks.agent_pods(bed) == [], what="an agent pod is left")
    assert looks.works(bed)


def completes(bed, *arguments: str) -> None:
    """Check that a second run ends with a self-hosted control plane."""
    run = bed.selfhost(*(arguments or ("pivot", "--yes")), check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.static_pods(bed) == {"etcd"}
    assert looks.agent_pods(bed) == []


def wait_for_line(run, text: str) -> str:
    """Read the run's stderr up to a line that has ``text``; return the line."""
    said = []
    for line in run.stderr:
        said.append(line)
        if text in line:
            return line
    raise AssertionError(f"the run ended without a line with {text!r}:\n{''.join(said)}")


#: Seconds after the beginning of a hand-over at which the old instance still runs: the new instance must
#: get Ready first, and prepare to lead.
MIDWAY = {"kube-apiserver": 1.0, "kube-controller-manager": 2.0, "kube-scheduler": 2.0}


def wait_until_midway(run, component: str) -> None:
    """Wait until the component's hand-over has begun, and has still to stop the old instance."""
    wait_for_line(run, f"hand-over/{component}:")
    time.sleep(MIDWAY[component])


def ends_in_order(bed, run) -> None:
    """Check that the run was stopped, says so, and leaves no agent, and that the API answers."""
    out, err = run.communicate(timeout=300)
    assert "Traceback" not in err
    assert run.returncode == 1, out + err
    assert "Stopped by you at the step" in err, err
    looks.eventually(lambda: looks.answers(bed), what="the API does not answer")
    assert looks.agent_pods(bed) == []

"""The status page, whole. UPDATE_GOLDEN=1 writes the pages anew; look at what has changed."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, SCHEDULER
from kubectl_selfhost.controlplane.program import Carrier, Reference
from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.observe import observe
from kubectl_selfhost.health.verdict import Survey
from kubectl_selfhost.output.status import page
from kubectl_selfhost.output.text import Style

GOLDEN = Path(__file__).parent / "golden"
CERTIFICATES = (
    Expiry("API server", api.NOW + timedelta(days=364), "apiserver"),
    Expiry("cluster CA", api.NOW + timedelta(days=3649)),
)


def survey(plane: dict, **more: object) -> Survey:
    return Survey(
        context="kind-demo",
        server="https://127.0.0.1:35781",
        version=api.VERSION,
        taken=api.NOW,
        control_plane=observe(**plane),
        **{"certificates": CERTIFICATES, **more},
    )


def half_way() -> dict:
    """Return the objects of a pivot that was killed after the first hand-over."""
    plane = api.static_plane()
    plane["nodes"] = [api.pivoted()]
    plane["pods"][0] = api.our_pod(APISERVER)
    plane["pods"] += [*(api.waiting_pod(c) for c in COMPONENTS[1:]), api.agent_pod()]
    plane["daemonsets"] = [
        api.daemonset(APISERVER),
        *(api.daemonset(c, ready=0) for c in COMPONENTS[1:]),
    ]
    plane["configmaps"] = [api.journal(api.run(ended=False, outcome=None))]
    return plane


def going_on() -> dict:
    plane = half_way()
    plane["leases"].append(api.lease("kubectl-selfhost", "ada@laptop-4711-5d0c"))
    return plane


def crashing() -> dict:
    plane = api.self_hosted_plane()
    plane["pods"][2] = api.crashing_pod(SCHEDULER, message="E: unknown flag: --bad\n")
    plane["daemonsets"][2] = api.daemonset(SCHEDULER, ready=0)
    return plane


def three_nodes() -> dict:
    names = [api.NODE, f"{api.NODE}2", f"{api.NODE}3"]
    return {
        "nodes": [api.pivoted(name) for name in names],
        "pods": [api.our_pod(c, on=name) for name in names for c in COMPONENTS],
        "daemonsets": [api.daemonset(c, desired=3, ready=3, updated=3) for c in COMPONENTS],
        "leases": api.leases(names[1]),
    }


def failed_before() -> dict:
    why = "The self-hosted kube-apiserver on node demo-control-plane can't run (2 restarts)."
    plane = api.static_plane()
    return {**plane, "configmaps": [api.journal(api.run(outcome="failed", message=why))]}


def standing_in() -> dict:
    """Return the objects after a reboot: a copy serves, the DaemonSet's pod is not there yet."""
    plane = api.self_hosted_plane()
    plane["pods"][0] = api.our_pod(APISERVER, ready=False)
    plane["pods"].append(api.standing_in(APISERVER))
    plane["daemonsets"][0] = api.daemonset(APISERVER, ready=0)
    return plane


def outdated() -> dict:
    """Return the objects after somebody changed a DaemonSet with kubectl: its copy differs from a
    new copy.
    """
    plane = api.self_hosted_plane()
    journal = json.loads(plane["configmaps"][0]["data"]["journal.json"])
    journal["nodes"][api.NODE]["kube-scheduler"]["recovery"] = "0" * 64
    plane["configmaps"][0]["data"]["journal.json"] = json.dumps(journal)
    return plane


def interrupted(verb: str) -> dict:
    """Return the objects of a run of another verb that was killed, with its EndpointSlice."""
    plane = api.self_hosted_plane()
    run = {**api.run(ended=False, outcome=None), "verb": verb}
    endpoint_slice = {
        "metadata": {"name": "kubernetes-kubectl-selfhost"},
        "endpoints": [{"addresses": ["172.18.0.2"]}],
    }
    return {**plane, "configmaps": [api.journal(run)], "endpointslices": [endpoint_slice]}


def ending() -> dict:
    """Return the objects right after a pivot: the former API server lets its last requests finish."""
    plane = api.self_hosted_plane()
    return {**plane, "pods": [*plane["pods"], api.ending_pod(APISERVER)]}


def unguarded() -> dict:
    plane = api.self_hosted_plane()
    return {**plane, "pods": plane["pods"][:-1]}


PLANES = {
    "static": api.static_plane,
    "self-hosted": api.self_hosted_plane,
    "ending": ending,
    "half-way": half_way,
    "going-on": going_on,
    "crashing": crashing,
    "three-nodes": three_nodes,
    "failed-before": failed_before,
    "standing-in": standing_in,
    "outdated-copy": outdated,
}


@pytest.mark.parametrize("name", PLANES)
def test_the_page_is_as_it_was(name: str):
    text = "\n".join(page(survey(PLANES[name]()))) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PLANES)
def test_the_page_fits_80_columns_but_for_commands(name: str):
    lines = page(survey(PLANES[name]()))
    assert [line for line in lines if len(line) > 80 and not line.startswith("Next:")] == []


SOON = Expiry("API server", api.NOW + timedelta(days=3), "apiserver")
EXPIRED = Expiry("API server", api.NOW - timedelta(days=3), "apiserver")
ADVISED = {
    **{name: (make(), CERTIFICATES) for name, make in PLANES.items()},
    "unguarded": (unguarded(), CERTIFICATES),
    "interrupted-revert": (interrupted("revert"), CERTIFICATES),
    "static, a certificate that ends soon": (api.static_plane(), [SOON]),
    "self-hosted, a certificate that ends soon": (api.self_hosted_plane(), [SOON]),
    "outdated copy, an expired certificate": (outdated(), [EXPIRED]),
    "crashing, a certificate that ends soon": (crashing(), [SOON]),
}


@pytest.mark.parametrize("name", ADVISED)
def test_what_the_page_advises_is_in_its_last_lines(name: str):
    """No warning asks for a command of which the verdict's next steps know nothing."""
    plane, certificates = ADVISED[name]
    lines = page(survey(plane, certificates=certificates))
    at = next(number for number, line in enumerate(lines) if line.startswith("Verdict:"))
    above = re.sub(r"\s+", " ", " ".join(lines[:at]))
    last = [line.partition(": ")[2].strip() for line in lines[at:]]
    advised = [c for c in re.findall(r"`([^`]+)`", above) if c != "kubeadm upgrade"]
    assert [command for command in advised if command not in last] == []
    assert not (advised and "nothing to do" in last)


@pytest.mark.parametrize(
    ("plane", "certificates", "expected"),
    [
        (api.self_hosted_plane(), CERTIFICATES, ["nothing to do"]),
        (outdated(), CERTIFICATES, ["kubectl selfhost sync"]),
        (unguarded(), CERTIFICATES, ["kubectl selfhost sync"]),
        (
            api.static_plane(),
            [SOON],
            ["kubeadm certs renew apiserver"],
        ),
        (
            api.self_hosted_plane(),
            [EXPIRED],
            ["kubectl selfhost credentials renew"],
        ),
        (interrupted("revert"), CERTIFICATES, ["kubectl selfhost revert"]),
        (interrupted("rollout"), CERTIFICATES, ["kubectl selfhost rollout"]),
        (half_way(), CERTIFICATES, ["kubectl selfhost pivot", "kubectl selfhost sync"]),
        (going_on(), CERTIFICATES, ["kubectl selfhost status --watch"]),
    ],
)
def test_the_next_steps_and_their_order(plane, certificates, expected):
    lines = page(survey(plane, certificates=certificates))
    at = next(number for number, line in enumerate(lines) if line.startswith("Next:"))
    assert [line.partition(": ")[2].strip() for line in lines[at:]] == expected


def test_an_endpoint_slice_that_was_left_is_named():
    text = " ".join("\n".join(page(survey(interrupted("revert")))).split())
    assert "kubernetes-kubectl-selfhost still keeps 172.18.0.2 in the Service kubernetes" in text
    assert "self-hosted, but an earlier run left something unfinished" in text


def test_the_wide_page_names_image_pod_and_leader():
    text = "\n".join(page(survey(api.self_hosted_plane()), wide=True))
    assert "registry.k8s.io/kube-scheduler:v1.37.2" in text
    assert "self-hosted-kube-scheduler-x7k2p" in text
    header = next(line for line in text.splitlines() if line.startswith("NODE "))
    row = next(line for line in text.splitlines() if " kube-scheduler " in line)
    assert row[header.index("LEADER") :].startswith("yes")


def test_the_wide_page_has_a_row_for_each_instance():
    rows = [r for r in page(survey(half_way()), wide=True) if r.startswith(api.NODE)]
    assert len(rows) == 5


def test_a_follower_does_not_lead():
    text = page(survey(three_nodes()), wide=True)
    header = next(line for line in text if line.startswith("NODE "))
    rows = [line for line in text if " kube-scheduler " in line]
    assert [r[header.index("LEADER") :][:3].strip() for r in rows] == ["no", "yes", "no"]


def test_a_certificate_that_ends_soon_is_warned_of():
    soon = Expiry("API server", api.NOW + timedelta(days=29), "apiserver")
    lines = page(survey(api.static_plane(), certificates=[soon]))
    warning = " ".join(lines[next(i for i, x in enumerate(lines) if x.startswith("Warning:")) :])
    assert "certificate of API server: it expires in 29d" in warning
    assert "kubeadm certs renew apiserver" in " ".join(warning.split())


def test_a_certificate_that_ends_later_is_not_warned_of():
    assert "Warning" not in "\n".join(page(survey(api.static_plane())))


def test_what_could_not_be_read_is_said():
    lines = page(survey(api.static_plane(), unread={"journal": "You may not."}))
    assert "Warning: Could not read journal: You may not." in lines


def test_text_of_the_cluster_cannot_steer_the_terminal():
    plane = crashing()
    plane["pods"][2] = api.crashing_pod(SCHEDULER, message="\x1b[2J\x1b]0;owned\x07")
    plane["pods"][0]["spec"]["containers"][0]["image"] = "evil:\x1b[31mv1"
    text = "\n".join(page(survey(plane)))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "^[[2J" in text


def test_a_journal_of_nonsense_is_survived():
    plane = api.self_hosted_plane()
    plane["configmaps"][0]["data"]["journal.json"] = (
        '{"runs": [3, {"steps": "x"}], "nodes": {"a": 1, "b": {"c": 2, "d": {"backup": 3}}}}'
    )
    assert page(survey(plane))[-1].startswith("Next:")


def test_a_damaged_journal_is_said():
    plane = api.self_hosted_plane()
    plane["configmaps"][0]["data"]["journal.json"] = "{"
    assert "is damaged. The next run writes a new journal." in " ".join(
        " ".join(page(survey(plane))).split()
    )


def test_a_back_up_that_was_put_back_is_not_shown():
    assert "Backups" not in "\n".join(page(survey(failed_before())))


def test_an_ipv6_server_and_node_are_shown_as_they_are():
    plane = api.static_plane()
    plane["nodes"][0]["status"]["addresses"][0]["address"] = "fd00:10:244::2"
    assert "fd00:10:244::2" in "\n".join(page(survey(plane)))


def test_colour_changes_no_column():
    plain = page(survey(crashing()))
    coloured = page(survey(crashing()), style=Style(colour=True))
    assert coloured != plain
    strip = str.maketrans("", "", "\x1b")
    for escape in ("[0m", "[31m", "[32m", "[33m"):
        coloured = [line.replace("\x1b" + escape, "") for line in coloured]
    assert [line.translate(strip) for line in coloured] == plain


# The node agent's program


def test_a_configmap_of_an_earlier_build_is_warned_of():
    former = Reference("ConfigMap", "kubectl-selfhost-agent-amd64-0123456789")
    carrier = Carrier(former, ("self-hosted-kube-scheduler",))
    text = " ".join(
        " ".join(page(survey({**api.self_hosted_plane(), "programs": [carrier]}))).split()
    )
    assert (
        "Warning: The pods of self-hosted-kube-scheduler start the node agent's program from the "
        "ConfigMap kubectl-selfhost-agent-amd64-0123456789. Whoever may write ConfigMaps in "
        "kube-system can replace that program. `kubectl selfhost rollout` gives the pods this build's "
        "program, in a Secret."
    ) in text


def test_another_build_s_program_is_told_and_is_no_warning():
    secret = Reference("Secret", "kubectl-selfhost-agent-amd64-0123")

    def lines(**facts: bool) -> str:
        carrier = Carrier(secret, ("self-hosted-kube-scheduler",), **facts)
        text = page(survey({**api.self_hosted_plane(), "programs": [carrier]}))
        return " ".join(" ".join(text).split())

    assert (
        "Node agent: pods of self-hosted-kube-scheduler have another build's program; the next "
        "`kubectl selfhost rollout` gives them this build's program"
    ) in lines()
    assert "Warning" not in lines()
    assert "Node agent:" not in lines(current=True)


def test_a_guardian_of_another_build_is_told():
    plane = api.self_hosted_plane()
    own = "kubectl-selfhost-agent-amd64-0123"
    guardian = next(p for p in plane["pods"] if "guardian" in p["metadata"]["name"])
    guardian["metadata"].setdefault("annotations", {})["kubectl-selfhost/program"] = own

    def reboot(*programs: str) -> str:
        lines = page(survey({**plane, "own_programs": programs}))
        return next(line for line in lines if line.startswith("Reboot:"))

    assert "another build's" not in reboot(own)
    assert "another build's" not in reboot()  # this build has none for the CPU
    assert "another build's" in reboot("kubectl-selfhost-agent-amd64-4567")


def test_a_program_that_could_not_be_read_is_told():
    text = "\n".join(
        page(survey(api.self_hosted_plane(), unread={"the node agent's program": "No."}))
    )
    assert "Could not read the node agent's program: No." in text
    assert "healthy" in text

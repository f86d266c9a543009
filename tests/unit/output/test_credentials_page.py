"""The page of certificates says what is known, since when, and what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import apiobjects as api
import pytest

from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.credentials import LOOK, credentials, from_journal
from kubectl_selfhost.health.notices import RENEW, TO_SECRETS
from kubectl_selfhost.health.observe import observe
from kubectl_selfhost.health.verdict import Survey
from kubectl_selfhost.names import HOST_VOLUMES_ANNOTATION
from kubectl_selfhost.output.credentials import document, page
from kubectl_selfhost.output.document import as_json, as_yaml

NODE = "demo-control-plane"
CA = Expiry("cluster CA", api.NOW + timedelta(days=3000))


def kept(days: float, *, in_use: Any = None, name: str = "scheduler.conf") -> dict[str, Any]:
    """Return what the journal keeps of a certificate that ends in so many days."""
    end = api.NOW + timedelta(days=days)
    facts = {
        "notAfter": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "serial": "ab",
        "sha256": "cd",
        "inUse": in_use,
    }
    return {name: facts}


def seen(*listed: dict[str, Any]) -> dict[str, Any]:
    """Return the journal of a run that looked an hour ago."""
    hour_ago = api.NOW - timedelta(hours=1)
    certificates = {name: facts for one in listed for name, facts in one.items()}
    of_node = {"seen": f"{hour_ago:%Y-%m-%dT%H:%M:%SZ}", "certificates": certificates}
    return {"credentials": {NODE: of_node}}


def survey(journal: dict[str, Any], *more: Expiry, plane: dict | None = None) -> Survey:
    files = [Expiry(o.name, o.not_after, o.name, o.node) for o in from_journal(journal, [NODE])]
    made = observe(**(plane or api.self_hosted_plane()))
    return Survey(
        context="kind-demo",
        server="https://127.0.0.1:35781",
        version=api.VERSION,
        taken=api.NOW,
        control_plane=type(made)(**{**vars(made), "journal": journal}),
        certificates=[CA, *more, *files],
    )


def lines(journal: dict[str, Any], *more: Expiry) -> list[str]:
    return page(credentials(survey(journal, *more)))


def test_all_is_well():
    shown = lines(seen(kept(300, in_use=True), kept(300, name="admin.conf")))
    assert shown == [
        "CERTIFICATE   VALID UNTIL               LEFT",
        f"cluster CA    {CA.not_after:%Y-%m-%d %H:%M:%S} UTC   8y",
        "",
        f"Node {NODE}, as of 60m ago",
        "CERTIFICATE      USED BY          UNTIL        LEFT   IN USE    FROM",
        "scheduler.conf   kube-scheduler   2027-09-20   300d   yes       host",
        "admin.conf       administrators   2027-09-20   300d   unknown   host",
        "",
        "Each certificate is valid for 60 days at least.",
    ]


@pytest.mark.parametrize(
    ("journal", "sentence", "command", "healthy"),
    [
        (seen(kept(59)), "Certificates that end within 60 days: 1.", RENEW, True),
        (seen(kept(61)), "Each certificate is valid for 60 days at least.", "", True),
        (seen(kept(13)), "Certificates that end within 14 days, or have ended: 1.", RENEW, False),
        (seen(kept(-1)), "Certificates that end within 14 days, or have ended: 1.", RENEW, False),
        (
            seen(kept(300, in_use=False)),
            "Certificates that are not in use yet: 1.",
            RENEW,
            False,
        ),
        ({}, "The certificates of some nodes are not known.", LOOK, False),
        (
            {"credentials": {NODE: "x"}},
            "The certificates of some nodes are not known.",
            LOOK,
            False,
        ),
        (seen({"scheduler.conf": {"notAfter": 5}}), "The certificates of some nodes", LOOK, False),
        (seen({"scheduler.conf": "x"}), "The certificates of some nodes", LOOK, False),
    ],
)
def test_what_it_says_and_what_to_do(journal, sentence, command, healthy):
    found = credentials(survey(journal))
    assert sentence in "\n".join(page(found))
    assert (found.next, found.healthy) == (command, healthy)
    assert document(found)["next"] == (command or None)


def test_who_reads_a_secret_is_told():
    plane = api.self_hosted_plane()
    for one in plane["daemonsets"]:
        if one["metadata"]["name"] == "self-hosted-kube-scheduler":
            metadata = one["spec"]["template"].setdefault("metadata", {})
            metadata.setdefault("annotations", {})[HOST_VOLUMES_ANNOTATION] = "{}"
    found = credentials(survey(seen(kept(300), kept(300, name="admin.conf")), plane=plane))
    assert [one.rsplit(None, 1)[-1] for one in page(found)[5:7]] == ["Secret", "host"]
    assert [one["readFrom"] for one in document(found)["onNodes"]] == ["Secret", "host"]


@pytest.mark.parametrize(
    ("days", "in_use", "command"), [(300, False, TO_SECRETS), (30, True, RENEW), (300, True, "")]
)
def test_what_to_do_about_a_secret(days, in_use, command):
    plane = api.self_hosted_plane()
    for one in plane["daemonsets"]:
        metadata = one["spec"]["template"].setdefault("metadata", {})
        metadata.setdefault("annotations", {})[HOST_VOLUMES_ANNOTATION] = "{}"
    made = survey(seen(kept(days, in_use=in_use)), plane=plane)
    assert credentials(made).next == command
    said = [one for one in made.notices if "scheduler.conf" in one.text]
    assert [one.commands for one in said] == ([(RENEW,)] if days == 30 else [])


def test_what_can_be_seen_now_counts_as_well():
    ends = Expiry("API server", api.NOW + timedelta(days=3), "apiserver")
    assert not credentials(survey(seen(kept(300)), ends)).healthy


def test_it_is_80_columns_wide():
    shown = lines(
        seen(kept(300, name="etcd-healthcheck-client"), kept(3, name="apiserver-etcd-client"))
    )
    assert max(map(len, shown)) <= 80


def test_as_a_document():
    made = document(credentials(survey(seen(kept(300, in_use=True)))))
    assert (made["kind"], made["healthy"]) == ("Credentials", True)
    assert made["onNodes"] == [
        {
            "node": NODE,
            "name": "scheduler.conf",
            "usedBy": "kube-scheduler",
            "notAfter": "2027-09-20T09:00:00Z",
            "secondsLeft": 300 * 86400,
            "serial": "ab",
            "sha256": "cd",
            "inUse": True,
            "readFrom": "host",
            "seenAt": "2026-11-24T08:00:00Z",
        }
    ]
    assert '"kind": "Credentials"' in as_json(made)
    assert "kind: Credentials" in as_yaml(made)


@pytest.mark.parametrize(
    ("days", "healthy", "warned"), [(61, True, False), (59, True, True), (13, False, True)]
)
def test_status_warns_and_fails_by_what_the_last_run_saw(days, healthy, warned):
    made = survey(seen(kept(days), kept(300, name="admin.conf")))
    assert made.verdict.healthy is healthy
    assert (made.verdict.next == RENEW) is warned
    texts = [one.text for one in made.notices if "scheduler.conf" in one.text]
    assert len(texts) == warned
    assert all(f"on {NODE}: it expires in {days}d; `{RENEW}` renews it." in one for one in texts)


def test_status_has_one_warning_for_all_files_of_a_node():
    made = survey(seen(kept(20), kept(19, name="admin.conf"), kept(21, name="apiserver")))
    (text,) = [one.text for one in made.notices]
    assert text.startswith(f"The certificate admin.conf on {NODE}: it expires in 19d, and 2 more")


def test_whose_client_looks_makes_nothing_unhealthy():
    assert survey({}, Expiry("your client", api.NOW)).verdict.healthy
    assert not survey({}, Expiry("API server", api.NOW)).verdict.healthy


def test_of_static_pods_only_kubeadm_knows_more():
    found = credentials(survey({}, plane=api.static_plane()))
    assert found.healthy
    assert found.next == ""
    said = " ".join(" ".join(page(found)).split())
    assert "run `kubeadm certs check-expiration` on the node" in said
    assert LOOK not in said

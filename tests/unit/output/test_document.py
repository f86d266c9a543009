from __future__ import annotations

import json
from datetime import timedelta

import apiobjects as api
import yaml

from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.observe import observe
from kubectl_selfhost.health.verdict import Survey
from kubectl_selfhost.output.document import as_json, as_yaml, document, essence


def content(plane: dict, *, later: float = 0.0) -> dict:
    survey = Survey(
        context="kind-demo",
        server="https://127.0.0.1:35781",
        version=api.VERSION,
        taken=api.NOW + timedelta(seconds=later),
        control_plane=observe(**plane),
        certificates=(Expiry("API server", api.NOW + timedelta(days=100), "apiserver"),),
        unread={"journal": "You may not."},
    )
    return document(survey)


def test_it_says_what_it_is():
    made = content(api.static_plane())
    assert (made["apiVersion"], made["kind"]) == ("kubectl-selfhost/v1alpha1", "Status")


def test_it_has_the_verdict():
    assert content(api.static_plane())["verdict"] == {
        "state": "static",
        "healthy": True,
        "message": "static pods on 1 node, healthy; not self-hosted",
        "next": "kubectl selfhost pivot",
        "then": [],
    }


def test_it_has_every_component_with_who_serves_it():
    components = content(api.self_hosted_plane())["nodes"][0]["components"]
    assert {c["name"]: c["servedBy"] for c in components} == {
        "kube-apiserver": "daemonset",
        "kube-controller-manager": "daemonset",
        "kube-scheduler": "daemonset",
    }


def test_an_instance_has_its_facts():
    instance = content(api.static_plane())["nodes"][0]["components"][0]["instances"][0]
    assert instance["image"] == "registry.k8s.io/kube-apiserver:v1.37.2"
    assert instance["since"] == "2026-11-24T08:54:48Z"
    assert instance["ready"] is True


def test_a_back_up_has_its_whole_digest():
    backup = content(api.self_hosted_plane())["backups"][0]
    assert len(backup["sha256"]) == 64
    assert backup["file"] == "/etc/kubernetes/manifests/kube-apiserver.yaml"
    assert backup["seconds"] == 1.9


def test_a_certificate_has_its_end():
    assert content(api.static_plane())["certificates"] == [
        {
            "of": "API server",
            "node": None,
            "notAfter": "2027-03-04T09:00:00Z",
            "secondsLeft": 8640000,
        }
    ]


def test_what_could_not_be_read_is_a_warning():
    assert "Could not read journal: You may not." in content(api.static_plane())["warnings"]


def test_a_run_that_goes_on_is_named():
    plane = api.static_plane()
    plane["leases"].append(api.lease("kubectl-selfhost", "ada@laptop"))
    assert content(plane)["run"]["holder"] == "ada@laptop"


def test_the_last_run_is_told_without_its_steps():
    last = content(api.self_hosted_plane())["lastRun"]
    assert last["outcome"] == "done"
    assert "steps" not in last


def test_json_and_yaml_say_the_same():
    made = content(api.self_hosted_plane())
    assert json.loads(as_json(made)) == yaml.safe_load(as_yaml(made)) == made


def test_text_of_the_cluster_is_escaped():
    plane = api.static_plane()
    plane["pods"][0]["spec"]["containers"][0]["image"] = "evil:\x1b[31m\x9b"
    made = content(plane)
    for text in (as_json(made), as_yaml(made)):
        assert text.isascii()
        assert "\x1b" not in text


def test_time_that_passes_is_no_change():
    plane = api.static_plane()
    assert content(plane) != content(plane, later=2)
    assert essence(content(plane)) == essence(content(plane, later=2))


def test_a_lease_that_is_renewed_is_no_change():
    before, after = api.static_plane(), api.static_plane()
    after["leases"][0]["spec"]["renewTime"] = "2026-11-24T09:00:01.000000Z"
    assert essence(content(before)) == essence(content(after))


def test_a_component_that_changes_hands_is_a_change():
    assert essence(content(api.static_plane())) != essence(content(api.self_hosted_plane()))

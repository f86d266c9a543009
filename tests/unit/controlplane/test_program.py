"""Which object holds the node agent's program, and which only looks as if it did."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from kubectl_selfhost.controlplane import program
from kubectl_selfhost.controlplane.program import Reference

CONTENT = b"\x7fELF the agent"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FOREIGN = base64.b64encode(b"\x7fELF another program").decode()
OWN = Reference("Secret", f"kubectl-selfhost-agent-amd64-{DIGEST}")
FORMER = Reference("ConfigMap", f"kubectl-selfhost-agent-amd64-{DIGEST[:10]}")


def secret(**changes: object) -> dict:
    return {**program.secret("amd64", CONTENT), **changes}


def former(**changes: object) -> dict:
    """Return what an earlier build stored."""
    return {
        "kind": "ConfigMap",
        "metadata": {"name": FORMER.name},
        "immutable": True,
        "binaryData": {"agent-amd64": base64.b64encode(CONTENT).decode()},
        **changes,
    }


def daemonset(name: str, **source: object) -> dict:
    volumes = [{"name": "other", "emptyDir": {}}, {"name": program.AGENT_VOLUME, **source}]
    return {"metadata": {"name": name}, "spec": {"template": {"spec": {"volumes": volumes}}}}


def test_the_name_holds_the_whole_digest():
    assert secret()["metadata"]["name"] == OWN.name


@pytest.mark.parametrize("arch", ["amd64", "ppc64le"])
def test_the_name_is_one_that_a_secret_may_have(arch):
    name = program.secret_name(arch, DIGEST)
    assert len(name) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)


def test_every_label_is_one_that_may_be():
    assert max(map(len, secret()["metadata"]["labels"].values())) <= 63


def test_what_we_store_is_ours():
    assert program.what_is_wrong(secret()) == ""
    assert program.what_is_wrong(former()) == ""


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"data": {"agent-amd64": FOREIGN}}, "the SHA-256 of its program is "),
        ({"data": {"agent-amd64": "%"}}, "the SHA-256 of its program is unknown"),
        ({"immutable": False}, "it is not immutable"),
        ({"immutable": None}, "it is not immutable"),
        ({"type": "bootstrap.kubernetes.io/token"}, "its type is not Opaque"),
        ({"data": None}, "it does not hold just the file agent-amd64"),
        ({"data": {"agent-arm64": FOREIGN}}, "it does not hold just the file agent-amd64"),
        ({"data": {**secret()["data"], "more": ""}}, "it does not hold just the file agent-amd64"),
        ({"metadata": {"name": FORMER.name}}, "its name has no digest of a program"),
    ],
)
def test_what_is_not_ours_is_told(changes, wrong):
    assert program.what_is_wrong(secret(**changes)).startswith(wrong)


def test_a_former_configmap_of_another_program_is_not_ours():
    foreign = former(binaryData={"agent-amd64": FOREIGN})
    assert program.what_is_wrong(foreign).startswith("the SHA-256 of its program is ")
    assert program.what_is_wrong(former(immutable=False)) == "it is not immutable"
    short = {"name": OWN.name}
    assert "name" in program.what_is_wrong(former(metadata=short))


def test_where_a_daemonset_has_the_program_from():
    assert program.reference(daemonset("a", secret={"secretName": OWN.name})) == OWN
    assert program.reference(daemonset("a", configMap={"name": FORMER.name})) == FORMER
    assert program.reference(daemonset("a", emptyDir={})) is None


def test_a_daemonset_of_an_earlier_build_gets_the_secret():
    before = daemonset("a", configMap={"name": FORMER.name})
    after = program.with_program(before, OWN.name)
    volumes = after["spec"]["template"]["spec"]["volumes"]
    assert volumes == [{"name": "other", "emptyDir": {}}, program.volume(OWN.name)]
    assert program.reference(before) == FORMER  # as it was


def test_who_starts_from_what():
    plane = [
        daemonset("b", secret={"secretName": OWN.name}),
        daemonset("a", secret={"secretName": OWN.name}),
        daemonset("c", configMap={"name": FORMER.name}),
    ]
    found = program.carriers(plane, {OWN: secret(), FORMER: None})
    assert [(one.reference, one.daemonsets, one.wrong) for one in found] == [
        (FORMER, ("c",), ""),
        (OWN, ("a", "b"), ""),
    ]
    assert [(one.former, one.missing) for one in found] == [(True, True), (False, False)]


def test_what_no_daemonset_names_is_told_only_if_it_is_foreign():
    assert program.carriers([], {OWN: secret()}) == []
    assert program.carriers([], {OWN: None}) == []
    (found,) = program.carriers([], {OWN: secret(immutable=False)})
    assert (found.wrong, found.daemonsets) == ("it is not immutable", ())

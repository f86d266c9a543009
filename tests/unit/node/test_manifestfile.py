"""A component's manifest is found by what it contains."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import manifestfile

POD = b"apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver, namespace: kube-system}\n"


def find(files: dict) -> str:
    return manifestfile.find(files, APISERVER, where="/manifests")


def test_the_file_name_does_not_matter():
    assert find({"kube-apiserver.yaml": b"kind: Pod\n", "zz-top": POD}) == "zz-top"


def test_json_is_found_too():
    content = b'{"kind":"Pod","metadata":{"name":"kube-apiserver","namespace":"kube-system"}}'
    assert find({"a.json": content}) == "a.json"


def test_json_may_be_indented_by_tabs():
    """The kubelet reads it as JSON; YAML knows no tabs."""
    content = (
        b'\n{\n\t"apiVersion": "v1", "kind": "Pod",\n'
        b'\t"metadata": {"name": "kube-apiserver", "namespace": "kube-system"}\n}\n'
    )
    assert find({"a.json": content}) == "a.json"
    assert manifestfile.document(content)["kind"] == "Pod"


def test_a_flow_mapping_of_yaml_is_no_manifest_to_the_kubelet():
    content = b"{kind: Pod, metadata: {name: kube-apiserver, namespace: kube-system}}"
    with pytest.raises(SelfhostError, match="No file"):
        find({"a.yaml": content})


def test_a_link_is_named_with_its_target():
    links = {"kube-apiserver.yaml": "/data/a.yaml"}
    with pytest.raises(SelfhostError, match=r"kube-apiserver.yaml to /data/a.yaml") as caught:
        manifestfile.find({"etcd.yaml": b""}, APISERVER, where="/manifests", links=links)
    assert "mv .LINK.part LINK" in caught.value.hint
    # One of another component is nobody's business.
    assert manifestfile.find({"a": POD}, APISERVER, where="/manifests", links=links) == "a"


def test_another_namespace_is_another_pod():
    with pytest.raises(SelfhostError, match="No file in /manifests"):
        find({"a.yaml": POD.replace(b"kube-system", b"default")})


def test_only_the_first_document_counts():
    with pytest.raises(SelfhostError, match="No file"):
        find({"a.yaml": b"kind: Pod\nmetadata: {name: other}\n---\n" + POD})


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe\x00", b"{", b"- a\n- b\n", b"kind: Pod\nmetadata: []\n"]
)
def test_what_is_no_manifest_is_passed_over(content):
    assert find({"a": content, "b": POD}) == "b"


def test_two_are_refused_by_their_names():
    with pytest.raises(SelfhostError, match="2 files in /manifests .*: a.yaml, b.yaml"):
        find({"a.yaml": POD, "b.yaml": POD})


def test_what_is_there_is_named():
    with pytest.raises(SelfhostError, match="files: etcd.yaml"):
        find({"etcd.yaml": b"kind: Pod\n"})


@pytest.mark.parametrize("name", ["kube-apiserver.yaml", "a", "with space.yaml", "kube.yaml.1"])
def test_a_file_name(name):
    assert manifestfile.is_file_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".hidden", "../x", "a/b", "a\nport=1", "a\rb", "a\x00", "a\u2028b", "a\x85b", "x" * 256],
)
def test_no_file_name(name):
    assert not manifestfile.is_file_name(name)

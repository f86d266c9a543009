"""kubeadm's ClusterConfiguration with another version: all else is byte for byte what it was."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.upgrade.records import version_in, with_version

TEXT = """\
# kubernetesVersion: a comment
apiVersion: kubeadm.k8s.io/v1beta4
etcd:
  local:
    kubernetesVersion: not this one
kubernetesVersion: {}
networking: {{}}  # kept
"""


@pytest.mark.parametrize("written", ["v1.37.2", '"v1.37.2"', "v1.37.2  # as it was made"])
def test_only_the_version_changes(written):
    before = TEXT.format(written)
    assert version_in(before) == "v1.37.2"
    after = with_version(before, "v1.38.0")
    assert after == TEXT.format(written.replace('"', "").replace("v1.37.2", "v1.38.0"))


def test_a_text_without_a_version_stays():
    assert version_in("kind: ClusterConfiguration\n") == ""
    assert with_version("kind: ClusterConfiguration\n", "v1.38.0") == "kind: ClusterConfiguration\n"

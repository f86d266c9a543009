"""The lines that a person runs on a node without an API."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kubectl_selfhost.node.byhand import script


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return the ``/etc/kubernetes`` of a pivoted node; its name has a blank."""
    root = tmp_path / "etc kubernetes"
    (root / "manifests").mkdir(parents=True)
    for component in ("kube-apiserver", "kube-scheduler"):
        folder = root / "kubectl-selfhost" / component
        folder.mkdir(parents=True)
        (folder / f"{component}.yaml").write_text("backup")
    return root


def run(node: Path) -> tuple[dict[str, str], str]:
    """Return what is in the kubelet's directory afterwards, and what the lines printed."""
    lines = script(f"{node}/manifests/")
    done = subprocess.run(["sh"], input=lines, capture_output=True, text=True, check=True)
    return {p.name: p.read_text() for p in (node / "manifests").iterdir()}, done.stderr


def test_the_backups_are_put_back_where_there_are_no_copies(node):
    files, said = run(node)
    assert files == {"kube-apiserver.yaml": "backup", "kube-scheduler.yaml": "backup"}
    assert said.strip() == (
        f"there is no manifest of kube-controller-manager in {node}/kubectl-selfhost"
    )


def test_a_copy_goes_before_a_backup(node):
    copies = node / "kubectl-selfhost" / "recovery"
    copies.mkdir()
    (copies / "kube-apiserver.yaml").write_text("copy")
    files, _ = run(node)
    assert files == {
        "kubectl-selfhost-recovery-kube-apiserver.yaml": "copy",
        "kube-scheduler.yaml": "backup",
    }


def test_the_documentation_has_these_lines():
    page = (Path(__file__).parents[3] / "docs/failures.md").read_text()
    lines = script("/etc/kubernetes/manifests").splitlines(keepends=True)
    commands = "".join(line for line in lines if not line.startswith("#"))
    assert commands in page

"""The lines that a person runs on a node without an API."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kubectl_selfhost.node.byhand import script, script_for_expired_certificates


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


def renewed(folder: Path, *, kubeadm: str) -> tuple[int, list[str]]:
    """Return the exit status of the lines for expired certificates, and what they ran.

    ``kubeadm`` is what kubeadm does, in shell. The node runs four processes.
    """
    names = {1: "systemd", 20: "kube-controller", 300: "kube-apiserver", 4000: "kube-scheduler"}
    for pid, name in names.items():
        (folder / "proc" / str(pid)).mkdir(parents=True)
        (folder / "proc" / str(pid) / "comm").write_text(f"{name}\n")
    log = folder / "log"
    fakes = "".join(
        f'{name}() {{ echo "{name} $*" >> "{log}"; {does}; }}\n'
        for name, does in (("kubeadm", kubeadm), ("kill", "true"))
    )
    lines = script_for_expired_certificates().replace("/proc/", f"{folder}/proc/")
    done = subprocess.run(["sh"], input=fakes + lines, text=True, check=False)
    return done.returncode, log.read_text().splitlines()


def test_expired_certificates_are_renewed_and_their_readers_restarted(tmp_path):
    code, ran = renewed(tmp_path, kubeadm="true")
    assert code == 0
    assert sorted(ran) == ["kill 20", "kill 4000", "kubeadm certs renew all"]
    assert ran[0] == "kubeadm certs renew all"


def test_nothing_ends_if_the_certificates_could_not_be_renewed(tmp_path):
    assert renewed(tmp_path, kubeadm="return 3") == (3, ["kubeadm certs renew all"])


@pytest.mark.parametrize(
    ("page", "lines"),
    [
        ("failures.md", script("/etc/kubernetes/manifests")),
        ("credentials.md", script_for_expired_certificates()),
    ],
)
def test_the_documentation_has_these_lines(page, lines):
    text = (Path(__file__).parents[3] / "docs" / page).read_text()
    commands = [line for line in lines.splitlines(keepends=True) if not line.startswith("#")]
    assert "".join(commands) in text

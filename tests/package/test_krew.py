"""krew itself, built from its Go module, with an index and releases on this machine."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bed.golang import tool
from packaged import TREE, build, copy_tree

OLD, NEW = "0.0.9", "0.1.0"


@pytest.fixture(scope="module")
def releases(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Yield two releases, by version, as their manifests name them: on a web server of this
    machine.
    """
    folder = tmp_path_factory.mktemp("web")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}"
        made = {}
        for version in (OLD, NEW):
            copy = copy_tree(folder / "trees" / version, tree)
            version_file = copy / "kubectl_selfhost" / "version.py"
            version_file.write_text(f'__version__ = "{version}"\n')
            made[version] = build(copy, "--home", home)
            target = folder / "releases" / "download" / f"v{version}"
            shutil.copytree(made[version], target)
        yield made
        server.shutdown()


@dataclass
class Krew:
    """A krew for one test, with an index of one plugin."""

    root: Path
    index: Path

    def __call__(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [tool("kubectl"), *words],
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment(),
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + (done.stderr if fails else "")

    def environment(self) -> dict[str, str]:
        tools = f"{tool('kubectl').parent}:{tool('kubectl-krew').parent}"
        return {
            "PATH": f"{self.root}/bin:{tools}:{os.environ['PATH']}",
            "HOME": str(self.root.parent),
            "KREW_ROOT": str(self.root),
            "KREW_DEFAULT_INDEX_URI": self.index.as_uri(),
            "KREW_NO_UPGRADE_CHECK": "1",
        }

    def publish(self, manifest: Path) -> None:
        """Put a release into the index, and have krew read it."""
        plugins = self.index / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, plugins / "selfhost.yaml")
        git = ["git", "-C", str(self.index), "-c", "user.name=t", "-c", "user.email=t@t.invalid"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a release"]):
            subprocess.run([*git, *words], check=True, capture_output=True)
        self("krew", "update")


@pytest.fixture
def krew(releases: dict[str, Path], tmp_path: Path) -> Krew:
    """Return krew with the newer release in its index."""
    made = Krew(root=tmp_path / "krew", index=tmp_path / "index")
    made.publish(releases[NEW] / "selfhost.yaml")
    return made


def test_krew_finds_it(krew: Krew):
    assert "Operate a self-hosted kubeadm control plane" in krew("krew", "search", "selfhost")


def test_krew_installs_and_lists_it(krew: Krew):
    krew("krew", "install", "selfhost")
    assert "selfhost" in krew("krew", "list").split()


def test_kubectl_runs_it_and_it_calls_itself_as_it_was_called(krew: Krew):
    krew("krew", "install", "selfhost")
    assert "kubectl-selfhost" not in krew("selfhost", "--help")
    assert krew("selfhost", "pivot", "--help").startswith("Usage: kubectl selfhost pivot ")


def test_its_exit_status_is_kubectls(krew: Krew):
    krew("krew", "install", "selfhost")
    assert "unknown command" in krew("selfhost", "nonsense", fails=True)


def test_krew_upgrades_it(krew: Krew, releases: dict[str, Path]):
    krew.publish(releases[OLD] / "selfhost.yaml")
    krew("krew", "install", "selfhost")
    assert krew("selfhost", "--version") == f"kubectl-selfhost v{OLD}\n"
    krew.publish(releases[NEW] / "selfhost.yaml")
    krew("krew", "upgrade", "selfhost")
    assert krew("selfhost", "--version") == f"kubectl-selfhost v{NEW}\n"


def test_an_upgrade_leaves_one_unpacked_copy(krew: Krew, releases: dict[str, Path]):
    krew.publish(releases[OLD] / "selfhost.yaml")
    krew("krew", "install", "selfhost")
    krew("selfhost", "--version")
    krew.publish(releases[NEW] / "selfhost.yaml")
    krew("krew", "upgrade", "selfhost")
    krew("selfhost", "--version")
    unpacked = krew.root.parent / ".cache" / "kubectl-selfhost" / "unpacked"
    assert len(list(unpacked.glob("kubectl-selfhost_*"))) == 1


def test_krew_removes_it(krew: Krew):
    krew("krew", "install", "selfhost")
    krew("krew", "uninstall", "selfhost")
    assert "selfhost" not in krew("krew", "list").split()
    assert "unknown command" in krew("selfhost", "--version", fails=True)


def test_kubectl_completes_it(krew: Krew):
    krew("krew", "install", "selfhost")
    shim = krew.root / "bin" / "kubectl_complete-selfhost"
    shim.write_text(krew("selfhost", "completion", "kubectl"))
    shim.chmod(0o755)
    assert krew("__complete", "selfhost", "st").startswith("status\t")
    assert krew("__complete", "selfhost", "pivot", "--dry-run=s").startswith("--dry-run=server")


@pytest.fixture(params=["committed", "built"])
def manifest(request: pytest.FixtureRequest, releases: dict[str, Path], tmp_path: Path) -> Path:
    """Return the manifests of the releases, by the name that krew wants."""
    source = TREE / "krew-manifest.yaml"
    if request.param == "built":
        source = releases[NEW] / "selfhost.yaml"
    return Path(shutil.copy(source, tmp_path / "selfhost.yaml"))


def validate(krew: Krew, *words: object) -> subprocess.CompletedProcess[str]:
    """Run krew's own validator, which its index runs on each proposal."""
    command = [str(word) for word in (tool("validate-krew-manifest"), *words)]
    return subprocess.run(command, capture_output=True, text=True, env=krew.environment())


def test_krews_validator_accepts_the_manifest(krew: Krew, manifest: Path):
    done = validate(krew, "-manifest", manifest, "-skip-install")
    assert done.returncode == 0, done.stderr


def test_krews_validator_installs_it_for_every_platform(krew: Krew, releases: dict[str, Path]):
    done = validate(krew, "-manifest", releases[NEW] / "selfhost.yaml")
    assert done.returncode == 0, done.stderr


def test_krews_validator_would_refuse_a_wrong_one(krew: Krew, manifest: Path):
    manifest.write_text(manifest.read_text().replace("sha256:", "sha265:"))
    assert validate(krew, "-manifest", manifest, "-skip-install").returncode != 0


def test_the_committed_manifest_is_what_the_build_writes(releases: dict[str, Path], manifest: Path):
    def lasting(path: Path) -> list[str]:
        changing = ("version:", "homepage:", "uri:", "sha256:", "#")
        lines = path.read_text().splitlines()
        return [line for line in lines if not line.strip().startswith(changing)]

    assert lasting(manifest) == lasting(releases[NEW] / "selfhost.yaml")


def test_the_committed_manifest_names_this_version_and_our_home():
    code = "import krew, package; print(krew.release_uri(package.version()), krew.HOME)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TREE / "packaging", capture_output=True, text=True
    )
    uri, home = done.stdout.split()
    text = (TREE / "krew-manifest.yaml").read_text()
    assert f"uri: {uri}\n" in text
    assert f"homepage: {home}\n" in text


def archive(dist: Path) -> tarfile.TarFile:
    return tarfile.open(dist / "kubectl-selfhost.tar.gz")


def test_the_archive_holds_the_program_executable(dist: Path):
    with archive(dist) as content:
        assert content.getmember("kubectl-selfhost").mode == 0o755


def test_the_archive_holds_our_licence(dist: Path):
    with archive(dist) as content:
        found = content.extractfile("LICENSE")
        assert found is not None
        assert b"Apache License" in found.read()


def test_the_archive_holds_the_licence_of_everything_bundled(dist: Path):
    with archive(dist) as content:
        folders = {name.split("/")[1].rsplit("-", 1)[0] for name in content.getnames()[2:]}
    names = {"kubernetes", "typer", "pyyaml", "urllib3", "requests", "certifi", "shiv", "zig"}
    assert names <= {folder.lower() for folder in folders}


def test_the_archive_names_nobody(dist: Path):
    with archive(dist) as content:
        owners = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in content.getmembers()}
    assert owners == {(0, 0, "", "", 0)}

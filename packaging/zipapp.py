"""Build dist/kubectl-selfhost: one file for every Python from 3.10, Linux and macOS, any CPU.

shiv packs it; then our first module and first lines replace shiv's (packaging/launcher says why).
The same sources give the same bytes; times come from SOURCE_DATE_EPOCH, if it is set.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import contents
from contents import ROOT, BuildError

LARGEST = 8_000_000  # bytes
LAUNCHER = Path(__file__).resolve().parent / "launcher"
AGENTS = ROOT / "kubectl_selfhost" / "node" / "binaries"
CPUS = ("amd64", "arm64", "arm", "ppc64le", "s390x")


def build(target: Path, *, licences: Path | None = None, agents: bool = True) -> None:
    """Write the zipapp to ``target``, and the licences of what it holds to ``licences``.

    Without ``agents`` our programs may be absent: such a zipapp can show the command line, but
    can't pivot.
    """
    if agents:
        _build_agents()
    with tempfile.TemporaryDirectory(prefix="kubectl-selfhost-") as folder:
        site = Path(folder, "site")
        contents.fill(site, licences or Path(folder, "licences"))
        packed = Path(folder, "packed")
        _shiv(site, packed)
        target.parent.mkdir(parents=True, exist_ok=True)
        _with_our_start(packed, target)
    if target.stat().st_size > LARGEST:
        raise BuildError(f"{target} has {target.stat().st_size} bytes; {LARGEST} is the limit")


def _build_agents() -> None:
    command = [sys.executable, str(ROOT / "packaging" / "agent" / "build.py")]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise BuildError("the node agent and the probe's program could not be built")
    wanted = [f"{program}-{cpu}" for program in ("agent", "reach") for cpu in CPUS]
    missing = [name for name in wanted if not (AGENTS / name).exists()]
    if missing:
        raise BuildError(f"there is no {', '.join(missing)}")


def _shiv(site: Path, target: Path) -> None:
    command = [sys.executable, "-m", "shiv", "--site-packages", str(site), "--reproducible"]
    command += ["--entry-point", "kubectl_selfhost.__main__:main", "--output-file", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TZ": "UTC"})
    if done.returncode:
        raise BuildError(f"shiv failed:\n{done.stdout}{done.stderr}")


def _with_our_start(packed: Path, target: Path) -> None:
    """Copy shiv's archive, with our first lines before it and our module as its first."""
    with zipfile.ZipFile(packed) as source, target.open("wb") as file:
        build_id = json.loads(source.read("environment.json"))["build_id"]
        file.write(_launcher("start.sh", build_id))
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as result:
            for member in source.infolist():
                data = source.read(member)
                if member.filename == "__main__.py":
                    data = _launcher("main.py", build_id)
                if member.filename.startswith("_bootstrap/"):
                    member.external_attr = 0o100644 << 16  # shiv's depends on its installation
                result.writestr(member, data, compresslevel=9)
    target.chmod(0o755)


def _launcher(name: str, build_id: str) -> bytes:
    return (LAUNCHER / name).read_text().replace("@BUILD@", build_id).encode()


def main() -> None:
    """Run the command line: ``python packaging/zipapp.py [--without-agents] [FILE]``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "dist" / "kubectl-selfhost")
    parser.add_argument("--without-agents", action="store_true", help="can't pivot; for trying")
    options = parser.parse_args()
    try:
        build(options.file, agents=not options.without_agents)
    except BuildError as error:
        sys.exit(f"error: {error}")
    print(f"{options.file}: {options.file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

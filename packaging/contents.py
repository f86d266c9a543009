"""The content of the zipapp: our wheel and the lock's wheels, less what must not or need not be in
it.

The wheels are fetched for Python 3.10 on one platform, whatever runs here, so that every machine
builds the same file. Then all compiled code is removed: it would run nowhere else.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "runtime.txt"

#: Wheels that another package requires, and that the zipapp does without.
LEFT_OUT = {
    "rich": "Typer imports it only for markup, which we switch off (rich_markup_mode=None)",
    "pygments": "only for rich",
    "markdown_it_py": "only for rich",
    "mdurl": "only for rich",
    "tzdata": "for dateutil on systems without time zones; the API's times are all UTC",
}

_COMPILED = (".so", ".pyd", ".dylib", ".dll", ".pyx", ".pxd")

# The tags of the wheels to fetch: CPython 3.10 on Linux, and of course pure ones.
_TARGET = (
    *("--python-version", "3.10", "--implementation", "cp"),
    *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
)


class BuildError(Exception):
    """The package can't be made; the message says why."""


def fetched() -> Path:
    """Return the directory with the lock's wheels. The cache keeps it: a second build needs no
    network.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(LOCK.read_bytes() + " ".join(_TARGET).encode()).hexdigest()[:12]
    wheels = base / "kubectl-selfhost" / f"wheels-{key}"
    if not wheels.exists():
        partial = wheels.with_name(f"{wheels.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", *_TARGET]
        _run([*command, "--dest", str(partial), "--requirement", str(LOCK)])
        try:
            partial.rename(wheels)
        except OSError:  # another process was faster
            shutil.rmtree(partial)
    return wheels


def fill(site: Path, licences: Path) -> None:
    """Unpack all wheels into ``site``; their licences into ``licences``, a directory for each."""
    ours = site.with_name("wheel")
    hatchling = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    _run([*hatchling, "--directory", str(ours)])
    wheels = [w for w in sorted(fetched().glob("*.whl")) if _project(w) not in LEFT_OUT]
    for wheel in (*wheels, *ours.glob("*.whl")):
        with zipfile.ZipFile(wheel) as content:
            if wheel in wheels:
                _keep_licences(content, wheel, licences)
            for member in filter(_wanted, content.infolist()):
                _write(site / member.filename, content.read(member))
    _keep_tools_licences(licences)
    for path in site.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # whatever this machine's umask
    _check(site)


def _project(wheel: Path) -> str:
    return wheel.name.partition("-")[0].lower()


def _wanted(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    metadata = ".dist-info/" in name or ".data/" in name  # unused; licences are kept beside
    return not (member.is_dir() or metadata or name.endswith(_COMPILED))


def _keep_licences(wheel: zipfile.ZipFile, path: Path, licences: Path) -> None:
    """Copy a wheel's licences, and those of what it vendors. Raise BuildError if there is none."""
    found = [member for member in wheel.namelist() if _is_licence(member)]
    if not any(".dist-info/" in member for member in found):
        raise BuildError(f"{path.name} comes without its licence")
    folder = licences / "-".join(path.name.split("-")[:2])
    for member in found:
        inside = member.rpartition("/")[2] if ".dist-info/" in member else member
        _write(folder / inside, wheel.read(member))


def _keep_tools_licences(licences: Path) -> None:
    """Copy the licences of what the tools add: shiv its bootstrap, zig the agent's C library."""
    shiv = importlib.metadata.distribution("shiv")
    for file in filter(lambda file: _is_licence(str(file)), shiv.files or ()):
        _write(licences / f"shiv-{shiv.version}" / file.name, file.read_binary())
    zig = importlib.metadata.distribution("ziglang")
    for name in ("LICENSE", "lib/libc/musl/COPYRIGHT"):
        content = Path(str(zig.locate_file("ziglang")), name).read_bytes()
        _write(licences / f"zig-{zig.version}" / name, content)


def _is_licence(member: str) -> bool:
    name = member.rpartition("/")[2].lower()
    return name.startswith(("licence", "license", "copying", "notice")) and not name.endswith(".py")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _check(site: Path) -> None:
    """Raise BuildError for what must not be there, and for an import that is not packed."""
    for path in site.rglob("*"):
        if path.is_file() and path.read_bytes()[:4] in _MAGIC and path.parent.name != "binaries":
            raise BuildError(f"{path.relative_to(site)} is compiled: it runs on one platform only")
    packed = {path.stem for path in site.iterdir()}
    missing = set(_imports(site / "kubectl_selfhost")) - packed - set(sys.stdlib_module_names)
    if missing:
        raise BuildError(f"imported, but not packed: {', '.join(sorted(missing))}")


_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ\x90\x00")


def _imports(package: Path) -> Iterator[str]:
    """Yield the top-level names of everything that ``package`` imports."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

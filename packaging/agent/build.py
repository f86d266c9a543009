"""Builds the node agent for every CPU that Kubernetes' control planes run on.

One machine builds all of them, whatever its own CPU: zig (from PyPI's ``ziglang`` wheel) brings the
compilers and a static C library. The same sources and the same zig give the same bytes, so the name
of the Secret that carries a program changes with them only.

    python packaging/agent/build.py [ARCH...] [--out DIRECTORY]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
BINARIES = SOURCES.parents[1] / "kubectl_selfhost" / "node" / "binaries"

#: Kubernetes' name of the CPU (kubernetes.io/arch) to zig's target.
TARGETS = {
    "amd64": "x86_64-linux-musl",
    "arm64": "aarch64-linux-musl",
    "arm": "arm-linux-musleabihf",
    "ppc64le": "powerpc64le-linux-musl",
    "s390x": "s390x-linux-musl",
}
#: Also what the tests build with, for this machine and under sanitizers.
DIALECT = ["-std=c11", "-D_GNU_SOURCE"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
SIZE = [
    *("-Os", "-static", "-s", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"),
    # Nothing unwinds here.
    *("-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
]


def sources() -> list[str]:
    """The C files, by name, always in the same order."""
    return sorted(path.name for path in SOURCES.glob("*.c"))


def zig() -> list[str]:
    """How to call zig: the running interpreter's ``ziglang``, else one on the PATH."""
    try:
        import ziglang
    except ImportError:
        found = shutil.which("zig")
        if found is None:
            sys.exit("error: no zig here; install it with: pip install ziglang")
        return [found]
    return [str(Path(ziglang.__file__).parent / "zig")]


def inputs_key(arch: str) -> str:
    """A digest of all that a program is made from: sources, this file, the compiler, the CPU."""
    digest = hashlib.sha256(arch.encode())
    digest.update(subprocess.run([*zig(), "version"], check=True, stdout=subprocess.PIPE).stdout)
    for path in sorted([*SOURCES.glob("*.[ch]"), Path(__file__).resolve()]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def ensure(arch: str, directory: Path) -> Path:
    """Builds the program unless the one that is there was made from the same inputs."""
    program = directory / f"agent-{arch}"
    stamp = directory / f".{program.name}.key"
    key = inputs_key(arch)
    if not program.exists() or not stamp.exists() or stamp.read_text() != key:
        stamp.unlink(missing_ok=True)
        build(arch, directory)
        stamp.write_text(key)
    return program


def build(arch: str, directory: Path) -> Path:
    """Builds ``agent-<arch>`` in ``directory``; it is complete once it has its name."""
    program = directory / f"agent-{arch}"
    with tempfile.TemporaryDirectory(dir=directory, prefix=".building-") as folder:
        part = Path(folder) / program.name
        # Relative names, so that nothing of this machine gets into the program.
        command = [*zig(), "cc", "-target", TARGETS[arch], *DIALECT, *WARNINGS, *SIZE, *sources()]
        environment = dict(os.environ, ZIG_LOCAL_CACHE_DIR=folder)
        result = subprocess.run(
            [*command, "-o", str(part)],
            cwd=SOURCES,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.returncode != 0:
            sys.exit(f"error: the agent can't be built for {arch}:\n{result.stdout}")
        part.chmod(0o755)
        part.replace(program)
    return program


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the node agent.")
    parser.add_argument("arch", nargs="*", metavar="ARCH", help=" ".join(TARGETS))
    parser.add_argument("--out", type=Path, default=BINARIES, help="directory for the programs")
    arguments = parser.parse_args()
    unknown = set(arguments.arch) - set(TARGETS)
    if unknown:
        parser.error(f"no such CPU: {' '.join(sorted(unknown))}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for program in pool.map(
            lambda arch: ensure(arch, arguments.out), arguments.arch or list(TARGETS)
        ):
            print(f"{program.name}: {program.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()

"""The build of our programs in C, for every CPU on which Kubernetes' control planes run.

The programs are the node agent (this folder), which runs as root on the nodes, and ``reach``
(packaging/reach), which only measures: the pod of ``kubectl selfhost probe --in-cluster`` runs it.

One machine builds all of them, whatever its own CPU: zig (from PyPI's ``ziglang`` wheel) brings the
compilers and a static C library. The same sources and the same zig give the same bytes, so the name
of the Secret that carries a program changes only with the sources and zig.

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

PACKAGING = Path(__file__).resolve().parents[1]
BINARIES = PACKAGING.parent / "kubectl_selfhost" / "node" / "binaries"
#: Each is made from all C files below the folder of its name.
PROGRAMS = ("agent", "reach")

#: Kubernetes' name of the CPU (kubernetes.io/arch) to zig's target.
TARGETS = {
    "amd64": "x86_64-linux-musl",
    "arm64": "aarch64-linux-musl",
    "arm": "arm-linux-musleabihf",
    "ppc64le": "powerpc64le-linux-musl",
    "s390x": "s390x-linux-musl",
}
#: The tests build with these too, for this machine and under sanitizers.
DIALECT = ["-std=c11", "-D_GNU_SOURCE"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
SIZE = [
    *("-Os", "-static", "-s", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"),
    # Nothing unwinds the stack.
    *("-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
]


def sources(program: str, suffixes: str = "c") -> list[str]:
    """Return a program's C files, relative to its folder, always in the same order."""
    folder = PACKAGING / program
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(f"*.[{suffixes}]"))


def zig() -> list[str]:
    """Return the command that calls zig: the running interpreter's ``ziglang``, else one on the
    PATH.
    """
    try:
        import ziglang
    except ImportError:
        found = shutil.which("zig")
        if found is None:
            sys.exit("error: no zig here; install it with: pip install ziglang")
        return [found]
    return [str(Path(ziglang.__file__).parent / "zig")]


def inputs_key(program: str, arch: str) -> str:
    """Return a digest of all that a program is made from: sources, this file, compiler, CPU."""
    digest = hashlib.sha256(arch.encode())
    digest.update(subprocess.run([*zig(), "version"], check=True, stdout=subprocess.PIPE).stdout)
    digest.update(Path(__file__).read_bytes() + b"\0")
    for name in sources(program, "ch"):
        digest.update(name.encode() + b"\0" + (PACKAGING / program / name).read_bytes() + b"\0")
    return digest.hexdigest()


def ensure(program: str, arch: str, directory: Path) -> Path:
    """Build the program unless the file that is there was made from the same inputs."""
    file = directory / f"{program}-{arch}"
    stamp = directory / f".{file.name}.key"
    key = inputs_key(program, arch)
    if not file.exists() or not stamp.exists() or stamp.read_text() != key:
        stamp.unlink(missing_ok=True)
        build(program, arch, file)
        stamp.write_text(key)
    return file


def build(program: str, arch: str, file: Path) -> None:
    """Build the program as ``file``, which is complete once it has its name."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".building-") as folder:
        part = Path(folder) / file.name
        # Relative names, so that nothing of this machine gets into the program.
        command = [*zig(), "cc", "-target", TARGETS[arch], *DIALECT, *WARNINGS, *SIZE, "-I."]
        environment = dict(os.environ, ZIG_LOCAL_CACHE_DIR=folder)
        result = subprocess.run(
            [*command, *sources(program), "-o", str(part)],
            cwd=PACKAGING / program,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.returncode != 0:
            sys.exit(f"error: {file.name} can't be built:\n{result.stdout}")
        part.chmod(0o755)
        part.replace(file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the node agent and reach.")
    parser.add_argument("arch", nargs="*", metavar="ARCH", help=" ".join(TARGETS))
    parser.add_argument("--out", type=Path, default=BINARIES, help="directory for the programs")
    arguments = parser.parse_args()
    unknown = set(arguments.arch) - set(TARGETS)
    if unknown:
        parser.error(f"no such CPU: {' '.join(sorted(unknown))}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    wanted = [(program, arch) for program in PROGRAMS for arch in arguments.arch or TARGETS]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for file in pool.map(lambda one: ensure(*one, arguments.out), wanted):
            print(f"{file.name}: {file.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()

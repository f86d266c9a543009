"""Programs that come as Go modules: Kubernetes' own, kind, etcd, containerd, CoreDNS, krew.

Each is built in a module of its own that requires it at one version. So the build asks nothing but
the Go proxy, and the checksum database vouches for what the proxy answers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bed import cache, versions
from bed.command import BedError, output, run, told
from bed.versions import Release


@dataclass(frozen=True)
class Recipe:
    """Commands from one module. ``packages`` maps a binary's name to its package."""

    name: str
    module: str
    version: str
    packages: dict[str, str]
    expect: str  # how long it may take on two cores, for people
    ldflags: str = "-s -w"
    tags: str = ""

    def key(self) -> str:
        return cache.key(asdict(self), versions.GO)

    def place(self) -> str:
        """Return the recipe's directory in the cache, relative to the root."""
        return f"go/{self.name}-{self.version}-{self.key()}"


def _kubernetes(
    name: str, commands: list[str], expect: str, *, version: str, says: str = ""
) -> Recipe:
    """Return the recipe of ``commands`` from the sources of ``version``, which call themselves
    ``says`` (empty: ``version``)."""
    says = says or version
    major, minor, _ = says.removeprefix("v").split(".", 2)
    facts = {
        "gitVersion": says,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    stamp = " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in facts.items())
    return Recipe(
        name=name,
        module="k8s.io/kubernetes",
        version=version,
        packages={command: f"k8s.io/kubernetes/cmd/{command}" for command in commands},
        expect=expect,
        ldflags=f"-s -w {stamp}",
    )


def kubernetes(release: Release) -> Recipe:
    """Return the recipe of the programs that a node and its control plane run."""
    commands = [
        *("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
        *("kube-proxy", "kubelet", "kubeadm"),
    ]
    return _kubernetes("kubernetes", commands, "6 minutes", version=release.kubernetes)


def kubectl(release: Release = versions.DEFAULT) -> Recipe:
    """Return the recipe of kubectl."""
    return _kubernetes("kubectl", ["kubectl"], "1 minute", version=release.kubernetes)


def etcd(release: Release) -> Recipe:
    """Return the recipe of the etcd that the release's kubeadm names."""
    package = "go.etcd.io/etcd/server/v3"
    return Recipe("etcd", package, release.etcd, {"etcd": package}, "30 s")


def etcdctl(release: Release = versions.DEFAULT) -> Recipe:
    """Return the recipe of etcd's client."""
    package = "go.etcd.io/etcd/etcdctl/v3"
    return Recipe("etcdctl", package, release.etcd, {"etcdctl": package}, "10 s")


def coredns(release: Release) -> Recipe:
    """Return the recipe of the CoreDNS that the release's kubeadm names."""
    package = "github.com/coredns/coredns"
    return Recipe("coredns", package, release.coredns, {"coredns": package}, "1 to 2 minutes")


NEXT_KUBEADM = _kubernetes(
    "next-kubeadm",
    ["kubeadm"],
    "1 minute",
    version=versions.KUBERNETES,
    says=versions.NEXT_KUBERNETES,
)
KIND = Recipe("kind", "sigs.k8s.io/kind", versions.KIND, {"kind": "sigs.k8s.io/kind"}, "30 s")
CONTAINERD = Recipe(
    "containerd",
    "github.com/containerd/containerd/v2",
    versions.CONTAINERD,
    {
        name: f"github.com/containerd/containerd/v2/cmd/{name}"
        for name in ("containerd", "ctr", "containerd-shim-runc-v2")
    },
    "1 minute",
    tags="no_btrfs,no_devmapper,no_zfs",
    ldflags="-s -w -X github.com/containerd/containerd/v2/version.Version=" + versions.CONTAINERD,
)
KREW = Recipe(
    "krew",
    "sigs.k8s.io/krew",
    versions.KREW,
    {
        "kubectl-krew": "sigs.k8s.io/krew/cmd/krew",
        "validate-krew-manifest": "sigs.k8s.io/krew/cmd/validate-krew-manifest",
    },
    "1 minute",
)
TOOLS = {"kubectl": kubectl(), "kind": KIND, "etcdctl": etcdctl()}
TOOLS |= dict.fromkeys(KREW.packages, KREW)


def tool(name: str) -> Path:
    """Return the path of a program for the machine itself, built if need be."""
    if name not in TOOLS:
        raise BedError(f"there is no tool {name!r} here; there are {', '.join(sorted(TOOLS))}")
    return built(TOOLS[name]) / name


def built(recipe: Recipe) -> Path:
    """Return the directory that holds the binaries of ``recipe``."""

    def build(target: Path) -> None:
        with told(f"building {recipe.name} {recipe.version} from its Go module", recipe.expect):
            _build(recipe, target)

    return cache.keep(recipe.place(), build)


def downloaded(recipe: Recipe) -> dict[str, str]:
    """Return what Go says of the module: among others its source's ``Dir`` and its ``GoMod`` file."""
    argv = ["go", "mod", "download", "-json", f"{recipe.module}@{recipe.version}"]
    answer: dict[str, str] = json.loads(output(argv, timeout=600, env=environment(), cwd=Path("/")))
    return answer


def environment() -> dict[str, str]:
    """Return the environment for Go: the toolchain Kubernetes asks for, no C, go.sum written as
    needed.
    """
    if not shutil.which("go"):
        raise BedError("Go is missing; install Go 1.24 or newer and put it in the PATH")
    return os.environ | {
        "GOTOOLCHAIN": versions.GO,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod -buildvcs=false",
        "GOWORK": "off",
        "GOOS": "linux",
        "GOARCH": "amd64",
    }


def compile_file(file: Path, target: Path, log: Path) -> None:
    """Compile one Go file that needs nothing but the standard library."""
    argv = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", target, file]
    run(argv, log=log, what=f"building {target.name}", env=environment(), cwd=file.parent)


def _build(recipe: Recipe, target: Path) -> None:
    log = cache.logs() / f"{recipe.name}.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="selfhost-bed-") as folder:
        module = Path(folder)
        go_mod = f"module bed\n\ngo {versions.GO.removeprefix('go')}\n"
        go_mod += f"\nrequire {recipe.module} {recipe.version}\n"
        if recipe.module == "k8s.io/kubernetes":
            go_mod += _staging(recipe)
        (module / "go.mod").write_text(go_mod)
        options = ["-trimpath", "-ldflags", recipe.ldflags, "-tags", recipe.tags]
        # One go build for all programs with their package's name: they share what they compile.
        plain = [p for name, p in recipe.packages.items() if Path(p).name == name]
        jobs = [(str(target) + "/", plain)] if plain else []
        jobs += [(target / n, [p]) for n, p in recipe.packages.items() if p not in plain]
        for place, packages in jobs:
            argv = ["go", "build", *options, "-o", place, *packages]
            run(argv, log=log, what=f"building {recipe.name}", cwd=module, env=environment())


def _staging(recipe: Recipe) -> str:
    """Return the ``replace`` block that puts its own release in the place of each staging module of
    Kubernetes.

    ``k8s.io/kubernetes`` replaces them by directories of its repository, which a module that
    requires it neither inherits nor has.
    """
    release = "v0." + recipe.version.removeprefix("v1.")
    go_mod = Path(downloaded(recipe)["GoMod"]).read_text()
    names = re.findall(r"^\t(\S+) => \./staging/", go_mod, re.MULTILINE)
    return "\n".join(["", "replace (", *(f"\t{n} => {n} {release}" for n in names), ")", ""])

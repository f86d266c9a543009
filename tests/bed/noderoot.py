"""The content of the node image that the bed makes itself.

The image is what kind's ``images/base`` and ``kind build node-image`` make, from other sources: the
entrypoint, the units and the containerd configuration are kind's, read from its module. The bed
adds a few lines that a machine without CAP_SYS_RESOURCE needs, the pods' network (kind's own comes
from a registry), and the images of the control plane, which are one program each.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bed import archive, cache, golang, kindconfig
from bed.command import BedError, output, succeeds
from bed.versions import Release

FILES = Path(__file__).parent / "files"
PACKAGES = [
    *("systemd", "systemd-sysv", "mount", "util-linux", "kmod", "procps", "bash", "curl"),
    *("ca-certificates", "jq", "openssl", "runc", "containernetworking-plugins"),
    *("iptables", "nftables", "iproute2", "conntrack", "ethtool", "socat"),
    "haproxy",  # for the load balancer in front of several control-plane nodes
]
CONFIG = {
    "Entrypoint": ["/usr/local/bin/bed-entrypoint", "/sbin/init"],
    "Env": [f"PATH={archive.PATH}", "container=docker"],
    "StopSignal": "SIGRTMIN+3",  # SIGTERM would have systemd start anew
}


def recipes(release: Release) -> list[golang.Recipe]:
    """Return the recipes of all programs in the node image; the longest build comes first."""
    return [
        *(golang.kubernetes(release), golang.kubectl(release), golang.KIND),
        *(golang.etcd(release), golang.etcdctl(release), golang.CONTAINERD),
        golang.coredns(release),
    ]


def assemble(release: Release, debian: Path, target: Path) -> None:
    """Make the root of a node of ``release`` from Debian's; write it to ``target/layer.tar``."""
    root = target / "root"
    output(["cp", "-a", "--reflink=auto", debian, root])
    _kind_files(release, root)
    _programs(release, root)
    _settings(release, root)
    _images(release, root, target)
    layer = target / "layer.tar"
    output(["tar", "-C", root, "--numeric-owner", "-cf", layer, "."], timeout=600)
    shutil.rmtree(root)


def _kind_files(release: Release, root: Path) -> None:
    """Copy kind's base files, with the modes that its Dockerfile gives them."""
    base = Path(golang.downloaded(golang.KIND)["Dir"]) / "images/base/files"
    for file in sorted(path for path in base.rglob("*") if path.is_file()):
        place = root / file.relative_to(base)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
        place.chmod(0o755 if place.parent.name == "bin" else 0o644)
    for own in ("bed-entrypoint", "bed-network", "envoy"):
        shutil.copy(FILES / own, root / "usr/local/bin" / own)
        (root / "usr/local/bin" / own).chmod(0o755)
    patches = root / kindconfig.KUBEADM_PATCHES.lstrip("/")
    patches.mkdir()
    for patch in FILES.glob("*+strategic.yaml"):
        shutil.copy(patch, patches)
    (root / "kind/version").write_text(release.kubernetes)


def _programs(release: Release, root: Path) -> None:
    for recipe, folder, names in (
        (golang.kubernetes(release), "usr/bin", ["kubelet", "kubeadm"]),
        (golang.kubectl(release), "usr/bin", ["kubectl"]),
        (golang.CONTAINERD, "usr/local/bin", list(golang.CONTAINERD.packages)),
        (golang.etcdctl(release), "usr/local/bin", ["etcdctl"]),
    ):
        for name in names:
            shutil.copy(golang.built(recipe) / name, root / folder / name)


def _settings(release: Release, root: Path) -> None:
    """Apply what kind's Dockerfile does after the packages, and what differs here."""
    units = root / "lib/systemd/system"
    for waste in (
        *units.glob("sysinit.target.wants/systemd-tmpfiles-setup.service"),
        *units.glob("multi-user.target.wants/*"),
        *root.glob("etc/systemd/system/*.wants/*"),
        *units.glob("local-fs.target.wants/*"),
        *units.glob("sockets.target.wants/*udev*"),
        *units.glob("sockets.target.wants/*initctl*"),
        *units.glob("basic.target.wants/*"),
    ):
        waste.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    services = ["kubelet", "containerd", "undo-mount-hacks"]
    output(["chroot", root, "systemctl", "enable", *services])
    output(["chroot", root, "systemctl", "mask", "systemd-binfmt.service"])
    drop_in = root / "etc/systemd/system/kubelet.service.d/12-bed.conf"
    drop_in.write_text("[Service]\nExecStartPre=/usr/local/bin/bed-network\n")
    (root / "opt/cni").mkdir(parents=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    config = root / "etc/containerd/config.toml"
    text = re.sub(r".*base_runtime_spec = .*\n", "", config.read_text())
    pause = next(name for name in _image_names(release) if "/pause:" in name)
    config.write_text(re.sub(r'sandbox_image = ".*"', f'sandbox_image = "{pause}"', text))


def _image_names(release: Release) -> list[str]:
    """Return the images that kubeadm will ask for, as kubeadm itself lists them.

    Raise BedError if kubeadm names another CoreDNS than ``release`` does: a row of
    ``versions.RELEASES`` is wrong then.
    """
    kubeadm = golang.built(golang.kubernetes(release)) / "kubeadm"
    version = f"--kubernetes-version={release.kubernetes}"
    names = output([kubeadm, "config", "images", "list", version]).split()
    if not any(name.endswith(f"/coredns:{release.coredns}") for name in names):
        raise BedError(
            f"kubeadm {release.kubernetes} does not name CoreDNS {release.coredns}; "
            "correct tests/bed/versions.py"
        )
    return names


def _images(release: Release, root: Path, target: Path) -> None:
    """Make every image and unpack it into the node's containerd, as a first pull would."""
    pause = target / "pause"
    golang.compile_file(FILES / "pause.go", pause, cache.logs() / "pause.log")
    kubernetes = golang.built(golang.kubernetes(release))
    binaries = {
        "pause": pause,
        "coredns": golang.built(golang.coredns(release)) / "coredns",
        "etcd": golang.built(golang.etcd(release)) / "etcd",
    }
    archives = []
    for image in _image_names(release):
        name = image.rpartition(":")[0].rpartition("/")[2]
        files = {f"/usr/local/bin/{name}": binaries.get(name) or kubernetes / name}
        if name == "kube-proxy":  # it drives nft
            files["/usr/sbin/nft"] = root / "usr/sbin/nft"
            files |= archive.libraries("/usr/sbin/nft", root)
        archives.append(target / f"{name}.tar")
        archive.write(archives[-1], image, files, [f"/usr/local/bin/{name}"])
    _import(archives, root / "var/lib/containerd")
    for file in [*archives, pause]:
        file.unlink()


def _import(archives: list[Path], store: Path) -> None:
    programs = golang.built(golang.CONTAINERD)
    log = cache.logs() / "import.log"
    with tempfile.TemporaryDirectory(prefix="selfhost-bed-") as folder, log.open("w") as out:
        socket = f"{folder}/containerd.sock"
        config = Path(folder) / "config.toml"
        cri = '["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]'
        config.write_text(f"version = 3\ndisabled_plugins = {cri}\n")
        argv = [programs / "containerd", "--config", config, "--root", store, "--state", folder]
        daemon = subprocess.Popen([*argv, "--address", socket], stdout=out, stderr=out)
        ctr = [programs / "ctr", "--address", socket, "--namespace", "k8s.io"]
        try:
            for _ in range(100):
                if succeeds([*ctr, "version"]):
                    break
                time.sleep(0.1)
            for file in archives:
                output([*ctr, "images", "import", "--local", "--discard-unpacked-layers", file])
        finally:
            daemon.terminate()
            daemon.wait()

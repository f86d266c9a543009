"""What is in the node image that we make ourselves.

It is what kind's ``images/base`` and ``kind build node-image`` make, from other sources: the entrypoint,
the units and the containerd configuration are kind's, read from its module. Ours are a few lines
that a machine without CAP_SYS_RESOURCE needs, the pods' network (kind's own comes from a registry), and
the images of the control plane, which are one program each.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bed import archive, cache, golang, kindconfig, versions
from bed.command import output, succeeds

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
RECIPES = [
    *(golang.KUBERNETES, golang.KUBECTL, golang.KIND, golang.ETCD, golang.ETCDCTL),
    *(golang.CONTAINERD, golang.COREDNS),
]


def assemble(debian: Path, target: Path) -> None:
    """Make the node's root from Debian's and write it to ``target/layer.tar``."""
    root = target / "root"
    output(["cp", "-a", "--reflink=auto", debian, root])
    _kind_files(root)
    _programs(root)
    _settings(root)
    _images(root, target)
    layer = target / "layer.tar"
    output(["tar", "-C", root, "--numeric-owner", "-cf", layer, "."], timeout=600)
    shutil.rmtree(root)


def _kind_files(root: Path) -> None:
    """kind's base files, with the modes that its Dockerfile gives them."""
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
    (root / "kind/version").write_text(versions.KUBERNETES)


def _programs(root: Path) -> None:
    for recipe, folder, names in (
        (golang.KUBERNETES, "usr/bin", ["kubelet", "kubeadm"]),
        (golang.KUBECTL, "usr/bin", ["kubectl"]),
        (golang.CONTAINERD, "usr/local/bin", list(golang.CONTAINERD.packages)),
        (golang.ETCDCTL, "usr/local/bin", ["etcdctl"]),
    ):
        for name in names:
            shutil.copy(golang.built(recipe) / name, root / folder / name)


def _settings(root: Path) -> None:
    """What kind's Dockerfile does after the packages, and what differs here."""
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
    pause = next(name for name in _image_names() if "/pause:" in name)
    config.write_text(re.sub(r'sandbox_image = ".*"', f'sandbox_image = "{pause}"', text))


def _image_names() -> list[str]:
    """The images that kubeadm will ask for, by its own account."""
    kubeadm = golang.built(golang.KUBERNETES) / "kubeadm"
    version = f"--kubernetes-version={versions.KUBERNETES}"
    return output([kubeadm, "config", "images", "list", version]).split()


def _images(root: Path, target: Path) -> None:
    """Make every image and unpack it into the node's containerd, as a first pull would."""
    pause = target / "pause"
    golang.compile_file(FILES / "pause.go", pause, cache.logs() / "pause.log")
    binaries = {"pause": pause, "coredns": golang.built(golang.COREDNS) / "coredns"}
    binaries["etcd"] = golang.built(golang.ETCD) / "etcd"
    archives = []
    for image in _image_names():
        name = image.rpartition(":")[0].rpartition("/")[2]
        program = binaries.get(name) or golang.built(golang.KUBERNETES) / name
        files = {f"/usr/local/bin/{name}": program}
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

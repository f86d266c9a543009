"""The images of the next patch release on a node: the same programs, which only say so.

A version is a text in a program, and both texts are equally long: so no program is built again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from bed import archive, golang, versions
from bed.command import output

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


def load(
    node: str,
    components: Iterable[str] = COMPONENTS,
    *,
    version: str = versions.NEXT_KUBERNETES,
    of: versions.Release = versions.DEFAULT,
    renamed: Mapping[str, str] | None = None,
) -> None:
    """Import the images of ``version`` into the node's containerd: the programs ``of`` a release,
    which say that they are of ``version``. ``renamed`` are further texts in the programs, such as a
    flag's name, and what they become.
    """
    built = golang.built(golang.kubernetes(of))
    texts = {of.kubernetes: version, **(renamed or {})}
    for component in components:
        content = (built / component).read_bytes()
        for before, after in texts.items():
            assert before.encode() in content
            assert len(before) == len(after)
            content = content.replace(before.encode(), after.encode())
        with tempfile.TemporaryDirectory(prefix="selfhost-bed-") as folder:
            program = Path(folder, component)
            program.write_bytes(content)
            more = _nft(node, Path(folder)) if component == "kube-proxy" else {}
            put(node, f"registry.k8s.io/{component}:{version}", program, more)


def _nft(node: str, folder: Path) -> dict[str, Path]:
    """Return the files of the program that kube-proxy drives, by their paths, as the node has them."""
    nft = "/usr/sbin/nft"
    listed = output(["docker", "exec", node, "ldd", nft])
    libraries = re.findall(r"(/\S+) \(0x", listed)
    files = {path: folder / f"of-nft-{number}" for number, path in enumerate([nft, *libraries])}
    for path, file in files.items():
        output(["docker", "cp", "--follow-link", f"{node}:{path}", file])
    return files


def put(node: str, image: str, program: Path, more: Mapping[str, Path] | None = None) -> None:
    """Import an image that has a program, under the name that the image's name ends with, and
    ``more`` files by their paths.
    """
    name = image.rpartition(":")[0].rpartition("/")[2]
    inside = f"/usr/local/bin/{name}"
    with tempfile.TemporaryDirectory(prefix="selfhost-bed-") as folder:
        file = Path(folder, "image.tar")
        archive.write(file, image, {inside: program, **(more or {})}, [inside])
        output(["docker", "cp", file, f"{node}:/image.tar"])
    ctr = ["docker", "exec", node, "ctr", "-n", "k8s.io", "images", "import", "--local"]
    output([*ctr, "/image.tar"])
    output(["docker", "exec", node, "rm", "/image.tar"])


def tag(node: str, component: str, version: str) -> None:
    """Give the present image of a component the tag of another version, on a node."""
    name = f"registry.k8s.io/{component}"
    present = f"{name}:{versions.KUBERNETES}"
    ctr = ["docker", "exec", node, "ctr", "-n", "k8s.io", "images", "tag", "--force"]
    output([*ctr, present, f"{name}:{version}"])

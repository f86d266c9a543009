"""Container images as files: one program, or a few files, on nothing (``FROM scratch``)."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

from bed.command import output

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write(archive: Path, image: str, files: dict[str, Path], entrypoint: list[str]) -> None:
    """Write ``image`` to ``archive`` in the form that Docker and containerd read.

    ``files`` maps absolute paths in the image to files here; all become executables of root's.
    """
    layer_file = archive.with_suffix(".layer")
    with tarfile.open(layer_file, "w") as layer:
        for folder in ("etc", "tmp"):
            layer.addfile(_entry(folder, mode=0o1777 if folder == "tmp" else 0o755, directory=True))
        for inside, file in sorted(files.items()):
            entry = _entry(inside.lstrip("/"), mode=0o755, size=file.stat().st_size)
            with file.open("rb") as content:
                layer.addfile(entry, content)
    wrap(archive, image, layer_file, {"Entrypoint": entrypoint, "Env": [f"PATH={PATH}"]})


def wrap(archive: Path, image: str, layer_file: Path, config: dict[str, Any]) -> None:
    """Write ``image``, of one layer and with ``config`` for its containers; move the layer's file
    into it.
    """
    digest = hashlib.sha256()
    with layer_file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    whole = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
    }
    config_bytes = json.dumps(whole).encode()
    config_name = hashlib.sha256(config_bytes).hexdigest() + ".json"
    layer_name = f"{digest.hexdigest()}.tar"
    manifest = [{"Config": config_name, "RepoTags": [image], "Layers": [layer_name]}]
    with tarfile.open(archive, "w") as out:
        _add(out, config_name, config_bytes)
        _add(out, "manifest.json", json.dumps(manifest).encode())
        with layer_file.open("rb") as content:
            out.addfile(_entry(layer_name, size=layer_file.stat().st_size), content)
    layer_file.unlink()


def libraries(program: str, root: Path) -> dict[str, Path]:
    """Return the shared libraries that ``program`` (a path in ``root``) loads, as ``write`` wants
    files.
    """
    paths = re.findall(r"(/\S+) \(0x", output(["chroot", root, "ldd", program]))
    # Links are followed inside the root: some are absolute.
    targets = output(["chroot", root, "readlink", "-f", *paths]).split()
    return {path: root / target.lstrip("/") for path, target in zip(paths, targets, strict=True)}


def _entry(
    name: str, *, mode: int = 0o644, size: int = 0, directory: bool = False
) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, size
    if directory:
        entry.type = tarfile.DIRTYPE
    return entry


def _add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    out.addfile(_entry(name, size=len(content)), io.BytesIO(content))

"""What krew installs: an archive of the zipapp and the licences, and a manifest that names the
archive.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import tarfile
from pathlib import Path

from contents import ROOT, BuildError

#: The address of this project and of its releases. It is written nowhere else.
HOME = "https://example.com/kubectl-selfhost"

TEMPLATE = ROOT / "krew-manifest.yaml"


def release_uri(version: str, home: str = HOME) -> str:
    """Return the address from which the archive of a release is downloaded."""
    return f"{home}/releases/download/v{version}/kubectl-selfhost.tar.gz"


def write_archive(target: Path, zipapp: Path, licences: Path) -> None:
    """Write the archive: the same bytes for the same content, whoever makes it, and when."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    files = {"kubectl-selfhost": zipapp, "LICENSE": ROOT / "LICENSE"}
    found = sorted(path for path in licences.rglob("*") if path.is_file())
    files |= {f"LICENSES/{path.relative_to(licences).as_posix()}": path for path in found}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, path in files.items():
            member = tarfile.TarInfo(name)  # owner root, no names
            member.size, member.mtime = path.stat().st_size, epoch
            member.mode = 0o755 if path == zipapp else 0o644
            with path.open("rb") as content:
                archive.addfile(member, content)
    with target.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch) as packed:
        packed.write(plain.getvalue())


def write_manifest(target: Path, archive: Path, version: str, home: str = HOME) -> None:
    """Write the manifest for ``archive``, as one release of ``version``."""
    facts = {
        "version": f"v{version}",
        "homepage": home,
        "uri": release_uri(version, home),
        "sha256": f'"{hashlib.sha256(archive.read_bytes()).hexdigest()}"',
    }
    text = TEMPLATE.read_text().partition("apiVersion:")
    body = text[1] + text[2]
    for field, value in facts.items():
        body, count = re.subn(rf"^( *{field}: ).*$", rf"\g<1>{value}", body, flags=re.MULTILINE)
        if count != 1:
            raise BuildError(f"{TEMPLATE.name} has {count} lines with {field}, not one")
    target.write_text(body)

"""The cache of what was built once: outside the tree, under a key of everything that went into it.

A build makes a thing beside its final place and renames it into the place, under a lock. So an
interrupted build leaves nothing that looks finished, the next build clears what it left, and two at
once don't build twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """Return the cache directory, as the XDG base directory specification places it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kubectl-selfhost"


def logs() -> Path:
    """Return the directory for the output of builds."""
    return root() / "logs"


def key(*parts: object) -> str:
    """Return twelve hex digits for ``parts``: JSON values, or files, of which the content counts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            digest.update(part.name.encode() + b"\0" + part.read_bytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:12]


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock ``name`` among all processes of this cache; the lock of a dead holder is free."""
    path = root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def keep(name: str, build: Callable[[Path], None]) -> Path:
    """Return the directory ``name`` of the cache, filled by ``build(directory)`` if it isn't there
    yet.
    """
    place = root() / name
    if place.exists():
        return place
    with lock(name.replace("/", "-")):
        if place.exists():
            return place
        partial = place.with_name(place.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            build(partial)
            partial.rename(place)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return place


def clear() -> None:
    """Remove the cache, but for the engine's log and runtime, which a running engine uses."""
    for entry in root().iterdir():
        if entry.name not in ("locks", "logs", "runtime"):
            shutil.rmtree(entry)

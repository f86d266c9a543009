"""The search for a component's manifest among the files of the kubelet's directory, by content.

A file's name proves nothing. kubeadm's names are well known, but the kubelet runs every file whose
name doesn't begin with a dot, and a copy beside the real file is a second pod.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE

#: The agent adds a number to a kept manifest's name when it keeps another manifest of that name.
_OLDER = re.compile(r"\.\d+$")
#: A name without a path and without line ends; not hidden, because the kubelet ignores hidden files.
_FILE_NAME = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u2028\u2029/.][^\x00-\x1f\x7f-\x9f\u2028\u2029/]{0,254}"
)


def find(
    files: Mapping[str, bytes | None],
    component: Component,
    *,
    where: str,
    links: Mapping[str, str] | None = None,
) -> str:
    """Return the name of the file that holds ``component``'s static pod.

    ``files`` maps file names to contents (None for a file too large to be a manifest), ``links``
    symbolic links to their targets; ``where`` names the directory in messages. Raise SelfhostError
    unless exactly one file holds the static pod.
    """
    found = files_of(files, component)
    if len(found) == 1:
        return found[0]
    if links and not found:
        raise _linked(component, links, where)
    if not found:
        names = ", ".join(sorted(files)) or "nothing"
        raise SelfhostError(
            f"No file in {where} is the manifest of {component} (files: {names}).",
            "The running pod's manifest is in another place. Put it into that directory, wait until the "
            "pod is Ready, then run the command again.",
        )
    raise SelfhostError(
        f"{len(found)} files in {where} are manifests of {component}: {', '.join(found)}.",
        "Move all but the right file out of that directory, then run the command again.",
    )


def _linked(component: Component, links: Mapping[str, str], where: str) -> SelfhostError:
    """Return the error for a symbolic link. The kubelet follows a link, but a run moves only files:
    a link's target may change, or be in a place that the agent can't see.
    """
    said = ", ".join(f"{name} to {target}" for name, target in sorted(links.items()))
    return SelfhostError(
        f"No file in {where} is the manifest of {component}, but there are symbolic links: {said}.",
        "Replace the link with the file itself, in that directory on the node: `cp LINK .LINK.part && "
        "mv .LINK.part LINK`. The kubelet ignores names that begin with a dot, and does not restart the "
        "pod. Then run the command again.",
    )


def files_of(files: Mapping[str, bytes | None], component: Component) -> list[str]:
    """Return the names of the files that hold ``component``'s static pod, sorted."""
    return [name for name, content in sorted(files.items()) if _is_of(content, component)]


def is_older(name: str) -> bool:
    """Return whether this is the numbered name of an older kept manifest."""
    return _OLDER.search(name) is not None


def is_file_name(name: str) -> bool:
    """Return whether ``name`` is valid for a manifest in the kubelet's directory, and fits on a line."""
    return _FILE_NAME.fullmatch(name) is not None


def _is_of(content: bytes | None, component: Component) -> bool:
    found = _parse(content or b"")
    if not isinstance(found, dict) or found.get("kind") != "Pod":
        return False
    metadata = found.get("metadata")
    if not isinstance(metadata, dict):
        return False
    return metadata.get("name") == component.name and (
        metadata.get("namespace", "default") == NAMESPACE
    )


def _parse(content: bytes) -> object:
    """Read a file as the kubelet does: JSON if it begins with a brace (IsJSONBuffer of apimachinery;
    YAML has no tabs), else the first document of YAML. Return None if the file is neither."""
    import yaml

    try:
        if content.lstrip().startswith(b"{"):
            return json.loads(content)
        return next(yaml.safe_load_all(content), None)
    except (yaml.YAMLError, ValueError):
        return None


def content(manifest: dict) -> bytes:
    """Return a static pod as a manifest file, as kubeadm writes it: YAML with sorted keys."""
    import yaml

    return yaml.safe_dump(manifest, sort_keys=True, width=4096).encode()


def document(content: bytes) -> dict:
    """Return the static pod in a manifest file that ``find`` has found."""
    found = _parse(content)
    return found if isinstance(found, dict) else {}

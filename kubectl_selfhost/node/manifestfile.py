"""The search for a component's manifest among the files of the kubelet's directory, by content.

File names are nobody's contract. kubeadm's names are well known, but the kubelet runs every file
whose name doesn't begin with a dot, and a copy kept beside the real file is a second pod.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE

#: The agent gives a kept manifest a number when another manifest of the same name comes.
_OLDER = re.compile(r"\.\d+$")
#: No path, no hidden file (the kubelet ignores hidden files), no character that ends a line.
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
    if none holds it, or more than one does.
    """
    found = files_of(files, component)
    if len(found) == 1:
        return found[0]
    if links and not found:
        raise _linked(component, links, where)
    if not found:
        names = ", ".join(sorted(files)) or "nothing"
        raise SelfhostError(
            f"No file in {where} is the manifest of {component} (there is: {names}).",
            "The pod that runs came from somewhere else: put its manifest there, wait until it is "
            "Ready, then run the command again.",
        )
    raise SelfhostError(
        f"{len(found)} files in {where} are manifests of {component}: {', '.join(found)}.",
        "Move all but the true one out of that directory, then run the command again.",
    )


def _linked(component: Component, links: Mapping[str, str], where: str) -> SelfhostError:
    """Return the error for a symbolic link. The kubelet follows a link, but a run moves only files:
    a link's target may change, or lie where the agent can't see it.
    """
    said = ", ".join(f"{name} to {target}" for name, target in sorted(links.items()))
    return SelfhostError(
        f"No file in {where} is the manifest of {component}, but there are symbolic links: {said}.",
        "Replace the link by the file itself, in that directory on the node: `cp LINK .LINK.part && "
        "mv .LINK.part LINK`. The kubelet passes over names that begin with a dot, and does not "
        "restart the pod. Then run the command again.",
    )


def files_of(files: Mapping[str, bytes | None], component: Component) -> list[str]:
    """Return the names of the files that hold ``component``'s static pod, sorted."""
    return [name for name, content in sorted(files.items()) if _is_of(content, component)]


def is_older(name: str) -> bool:
    """Return whether a kept manifest has this name because a later manifest has its own name."""
    return _OLDER.search(name) is not None


def is_file_name(name: str) -> bool:
    """Return whether ``name`` can be a manifest's in the kubelet's directory, on one line of a
    list.
    """
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
    tabs are no YAML), else the first document of YAML. None if it is neither."""
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

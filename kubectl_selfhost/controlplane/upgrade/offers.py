"""The versions to which an upgrade may go, as far as the nodes themselves show: by their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.upgrade.findings import Running
from kubectl_selfhost.controlplane.upgrade.skew import skew
from kubectl_selfhost.controlplane.upgrade.version import Version, repository_of


def offered(nodes: Sequence[Mapping], running: Sequence[Running], now: Version) -> list[Version]:
    """Return the versions newer than ``now`` whose images of all three components are on each
    control-plane node, and that the skew policy allows; the oldest first.

    A kubelet reports its 50 largest images.
    """
    found: set[Version] | None = None
    for node in nodes:
        name = node["metadata"]["name"]
        there = _images(node)
        for component in COMPONENTS:
            own = {
                repository_of(one.image)
                for one in running
                if (one.component, one.node) == (component.name, name)
            }
            if not own:
                continue
            here = {
                version
                for image in there
                if repository_of(image) in own and (version := Version.of_image(image))
            }
            found = here if found is None else found & here
    return [
        version
        for version in sorted(found or ())
        if version > now and not any(one.blocks for one in skew(running, version))
    ]


def _images(node: Mapping) -> list[str]:
    images = (node.get("status") or {}).get("images") or []
    return [name for image in images for name in image.get("names") or []]

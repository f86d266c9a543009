"""The version to which a control plane goes, and the image of each component at this version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kubectl_selfhost.controlplane.upgrade.version import Version, repository_of


@dataclass(frozen=True)
class Target:
    """A version, and each component's image tag. A component without a tag stays as it is."""

    version: Version
    tags: Mapping[str, str] = field(default_factory=dict)

    def image(self, component: str, now: str) -> str:
        """Return the component's image at this version: from the registry and repository of the
        image that runs ``now``, without a digest, which only the present version has.
        """
        tag = self.tags.get(component)
        return f"{repository_of(now)}:{tag}" if tag else now

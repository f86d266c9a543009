"""A version as Kubernetes writes it: ``v1.37.3``, ``v1.38.0-alpha.0``, ``v1.37.2+vendor1``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import total_ordering

_FORM = re.compile(
    r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z.-]+))?"
)
#: A build's metadata follows "+" in a version, and "_" in an image's tag.
_IN_TAG = str.maketrans("_", "+")


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version. ``pre`` is the text of a pre-release, ``build`` a vendor's addition, which has no
    rank.
    """

    major: int
    minor: int
    patch: int
    pre: str = ""
    build: str = field(default="", compare=False)

    @staticmethod
    def parse(text: str) -> Version | None:
        """Return the version in ``text``; None for a text of another form."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        major, minor, patch = (int(found[number]) for number in (1, 2, 3))
        return Version(major, minor, patch, found[4] or "", found[5] or "")

    @staticmethod
    def of_image(image: str) -> Version | None:
        """Return the version in an image's tag; None for a tag of another form, or without a tag."""
        return Version.parse(tag_of(image).translate(_IN_TAG))

    @property
    def release(self) -> str:
        """Return the minor release: ``v1.37``."""
        return f"v{self.major}.{self.minor}"

    @property
    def tag(self) -> str:
        """Return the tag that an image of this version has."""
        return str(self).replace("+", "_")

    def minors_after(self, other: Version) -> int:
        """Return by how many minor releases this version is newer (less than 0: older)."""
        return (self.major - other.major) * 1000 + self.minor - other.minor

    def __lt__(self, other: Version) -> bool:
        return self._rank() < other._rank()

    def _rank(self) -> tuple[object, ...]:
        parts = self.pre.split(".") if self.pre else []
        # A number is older than a word, and a pre-release older than its release (semver.org, 11).
        ranks = tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)
        return self.major, self.minor, self.patch, not self.pre, ranks

    def __str__(self) -> str:
        pre, build = f"-{self.pre}" * bool(self.pre), f"+{self.build}" * bool(self.build)
        return f"v{self.major}.{self.minor}.{self.patch}{pre}{build}"


def repository_of(image: str) -> str:
    """Return an image's name without tag and digest."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]


def tag_of(image: str) -> str:
    """Return an image's tag; empty without a tag."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]

"""The releases that the bed can build, and how a person names one."""

from __future__ import annotations

import pytest
from bed import cluster, golang, nodeimage, versions
from bed.command import BedError


def test_an_empty_name_is_the_default_release():
    assert cluster.release_named("") == versions.DEFAULT


def test_a_release_is_found_by_its_version():
    assert cluster.release_named("v1.36.4").etcd == "v3.6.8"


def test_an_unknown_version_is_refused_with_the_known_ones():
    with pytest.raises(BedError, match=r"'v1\.2\.3'.*v1\.36\.4"):
        cluster.release_named("v1.2.3")


def test_there_is_one_release_for_each_minor_version_in_their_order():
    minors = [release.minor for release in versions.RELEASES]
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_releases_share_no_place_in_the_cache():
    others = [golang.kubernetes(release).place() for release in versions.RELEASES]
    assert len(set(others)) == len(versions.RELEASES)
    assert len({nodeimage.tag(release) for release in versions.RELEASES}) == len(others)


def test_an_alpha_release_tells_its_major_and_minor_version():
    flags = golang.kubernetes(versions.RELEASES[-1]).ldflags
    assert "version.gitMinor=38" in flags
    assert "version.gitVersion=v1.38.0-alpha.0" in flags

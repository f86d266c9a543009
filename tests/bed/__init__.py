"""The test bed: real kind clusters, also where no image registry can be reached.

``python3 -m bed`` (with ``tests`` on the path) is its command line, ``make cluster`` the usual way to it,
and ``tests/cluster`` drives it from pytest. Where the published node image can be had, kind gets that;
where it can't, a node image is made once from Debian and Go packages and kept in a cache.
"""

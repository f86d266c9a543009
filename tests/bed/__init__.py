"""The test bed: real kind clusters, also where no image registry can be reached.

``python3 -m bed`` (with ``tests`` on the path) is its command line, ``make cluster`` the usual way
to it, and ``tests/cluster`` drives it from pytest. If the published node image can be reached, kind
uses it. If not, the bed makes a node image once from Debian and Go packages and keeps it in a
cache.
"""

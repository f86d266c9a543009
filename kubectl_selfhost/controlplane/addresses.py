"""IP addresses, however they are spelled."""

from __future__ import annotations

import ipaddress


def same_address(a: str, b: str) -> bool:
    """Whether two texts mean one address; what is no address means itself."""
    try:
        return ipaddress.ip_address(a) == ipaddress.ip_address(b)
    except ValueError:
        return a == b

"""Addresses as logs write them, in one form."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address without its zone, and IPv4 that is written as IPv6 as IPv4; None if it is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found

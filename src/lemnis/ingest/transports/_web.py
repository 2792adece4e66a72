"""Addresses that may be called."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def loopback(url: str) -> bool:
    """Say whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Takes from samples what must not go into git: credentials, and the addresses of people and systems.

Addresses become documentation addresses (RFC 5737, RFC 3849), the same one each time, so that the sample
still shows which records belong together.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

_SECRETS = (
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,20}\b"),  # AWS access key ids
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}\b"),  # GitHub tokens
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),  # JSON Web Tokens
    re.compile(r"(?i)(?P<keep>bearer )[\w.~+/-]{8,}=*"),
    re.compile(r"(?i)(?P<keep>(?:password|passwd|secret|api_?key|token|session|sessid)=)[^&\s\"';]+"),
)
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])"
)
_DOCUMENTATION = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))


def scrub(records: Sequence[str]) -> list[str]:
    """Return the records without credentials and with documentation addresses."""
    seen: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        text = match.group()
        try:
            address = ipaddress.ip_address(text)
        except ValueError:  # looks like an address and is none, such as a version or a time
            return text
        if address.is_unspecified:
            return text
        network = _DOCUMENTATION[address.version == 6]  # noqa: PLR2004 - IP versions are 4 and 6
        return seen.setdefault(text, str(network[1 + len(seen) % 250]))

    cleaned = []
    for record in records:
        text = record
        for secret in _SECRETS:
            text = secret.sub(lambda found: found.groupdict().get("keep", "") + "[removed]", text)
        cleaned.append(_ADDRESS.sub(replace, text))
    return cleaned

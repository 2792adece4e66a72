"""Takes from samples what must not go into git: credentials, and the addresses of people and systems.

Addresses become documentation addresses (RFC 5737, RFC 3849), the same one each time, so that the sample
still shows which records belong together. Of ordinary records, what people wrote into requests goes too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import quote, unquote

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
_PRODUCT = re.compile(r"[\s\"(;][A-Za-z][\w-]*/\Z")  # a version stands after it, RFC 9110, section 10.1.5
_QUERY = re.compile(r"\?[^\s\"?#]+")
_PART = re.compile(r"((?:%[0-9A-Fa-f]{2})+|[^\W\d_]+|\d+)")
_DOCUMENTATION = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))


def scrub(records: Sequence[str]) -> list[str]:
    """Return the records without credentials and with documentation addresses."""
    seen: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        text = match.group()
        if _PRODUCT.search(match.string, max(0, match.start() - 40), match.start()):
            return text
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


def mask(records: Sequence[str]) -> list[str]:
    """Return the records with the values of their queries as shapes: letters ``x``, digits ``0``.

    What stands between them stays, raw or encoded: by that a detection tells an attack from ordinary use,
    and not by what someone is called or where they live.
    """
    return [_QUERY.sub(_mask_query, record) for record in records]


def _mask_query(found: re.Match[str]) -> str:
    parameters = []
    for parameter in found.group()[1:].split("&"):
        name, equals, value = parameter.partition("=")
        parameters.append(f"{name}{equals}{_PART.sub(_mask_part, value)}")
    return "?" + "&".join(parameters)


def _mask_part(found: re.Match[str]) -> str:
    text = found.group()
    if not text.startswith("%"):
        return ("0" if text[0].isdigit() else "x") * len(text)
    plain = "".join(_shape(character) for character in unquote(text, errors="replace"))
    return quote(plain, safe="x0")


def _shape(character: str) -> str:
    """Return what stands for a character: a letter or a digit, or itself if it is neither."""
    return (
        "x" if character.isalpha() or not character.isascii() else "0" if character.isdigit() else character
    )

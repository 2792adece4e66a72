"""Detections by where somebody came from: paths asked for from outside, countries that nobody works from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lemnis.contracts.ids import Json
from lemnis.lessons.derive import Candidate, Row
from lemnis.lessons.sequence import SPECIAL

METADATA = ("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128")
"""Where clouds give their machines credentials."""
PRIVATE = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip
"""RFC 1918, RFC 6598, RFC 1122, RFC 3927, RFC 4291, RFC 4193."""
_DEEPEST = 4
_DRESS = (".js", ".css", ".map", ".png", ".svg", ".gif", ".ico", ".webp", ".jpg", ".woff", ".woff2", ".ttf")
REQUESTS = ("c-ip", "cs-uri-stem", "sc-status")
ACTIONS = ("action", "actor_location.country_code", "user_agent")


def destination(address: str) -> str:
    """Return the class of an address: ``metadata``, ``private``, ``public``; empty for what is none."""
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return ""
    for name, networks in (("metadata", METADATA), ("private", PRIVATE)):
        if any(one in ipaddress.ip_network(network) for network in networks):
            return name
    return "public"


def from_outside(
    logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]
) -> list[Candidate]:
    """Derive below which paths the attack was answered from outside, and nobody else outside ever asked.

    Rows have the Sigma web fields ``c-ip``, ``cs-uri-stem`` and ``sc-status``. A path is cut where nobody
    else outside asked for it: what lies below it is refused too, on any host.
    """
    usual = {part for row in other if _outside(row) for part in _parts(row)}
    asked = [row for row in attack if _outside(row) and _answered(row)]
    cut = (next((part for part in _parts(row) if part not in usual), "") for row in asked)
    paths = sorted({one for one in cut if one})
    if not paths:
        return []
    forms: list[Json] = [form for one in map(_plain, paths) for form in (one, f"{one}/*")]
    return [
        Candidate(
            f"{', '.join(paths)} answered to the internet", logsource,
            {
                "asked": {"cs-uri-stem": forms},
                "answered": {"sc-status|startswith": "2"},
                "somebody": {"c-ip": "*"},
                "own": {"c-ip|cidr": list(PRIVATE)},
                "condition": "asked and answered and somebody and not own",
            },
            "the attack was answered there from the internet, and nobody else from there asked for it",
        )
    ]  # fmt: skip


def from_countries(
    logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]
) -> list[Candidate]:
    """Derive that something was done from a country, or with a program, that nobody works from or with.

    Rows have ``action``, ``actor_location.country_code`` and ``user_agent`` of GitHub's audit log.
    """
    _, country, agent = ACTIONS
    found = []
    usual = sorted(_values(other, country))
    if usual and _values(attack, country) - set(usual):
        found.append(
            Candidate(
                "work from a country that nobody works from", logsource,
                {
                    "known": {country: "*"}, "usual": {country: [_plain(one) for one in usual]},
                    "condition": "known and not usual",
                },
                f"the attack came from elsewhere, all others from {', '.join(usual)}",
            )
        )  # fmt: skip
    foreign = sorted(_programs(attack) - _programs(other))
    if foreign:
        found.append(
            Candidate(
                f"work with {', '.join(foreign)}", logsource,
                {
                    "program": {f"{agent}|startswith": [f"{_plain(one)}/" for one in foreign]},
                    "condition": "program",
                },
                f"the attack used {', '.join(foreign)}, nobody else did",
            )
        )  # fmt: skip
    return found


def _outside(row: Row) -> bool:
    return destination(row.get("c-ip") or "") == "public"


def _answered(row: Row) -> bool:
    """Say whether a request was answered with more than what a page is dressed in."""
    path = (row.get("cs-uri-stem") or "").lower()
    return (row.get("sc-status") or "").startswith("2") and not path.endswith(_DRESS)


def _parts(row: Row) -> Iterator[str]:
    """Yield the path of a request cut after its first, second … segment."""
    words = [word for word in (row.get("cs-uri-stem") or "").split("/") if word]
    yield from (f"/{'/'.join(words[:number])}" for number in range(1, min(len(words), _DEEPEST) + 1))


def _values(rows: Iterable[Row], name: str) -> set[str]:
    return {row.get(name) or "" for row in rows} - {""}


def _programs(rows: Iterable[Row]) -> set[str]:
    """Return the products of user agents (RFC 9110, section 10.1.5)."""
    return {agent.partition("/")[0] for row in rows if "/" in (agent := row.get("user_agent") or "")} - {""}


def _plain(text: str) -> str:
    """Return text as Sigma takes it literally."""
    return text.translate(SPECIAL)

"""Networks in SQL: whether a text is an address in one, by pure functions of DuckDB.

An IPv4 address may also be written as IPv6 (``::ffff:10.0.0.1``, ``::ffff:a00:1``): it is the same address.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

_LOOKS = re.compile(r"[0-9a-fA-F:.]+/\d{1,3}")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_MAPPED = 96
_V4 = ipaddress.IPv6Network("::ffff:0:0/96")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def looks(text: str) -> bool:
    """Say whether a text looks like a network."""
    return bool(_LOOKS.fullmatch(text)) and ("." in text or ":" in text)


def network(text: str) -> Network | None:
    """Read ``10.0.0.0/8`` or ``2001:db8::/32``; None for what looks otherwise.

    Raises ValueError for what looks like it and is none.
    """
    if not looks(text):
        return None
    found = ipaddress.ip_network(text, strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(_V4):
        low = int(found.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((low, found.prefixlen - _MAPPED))
    return found


def within(sql: str, inside: Network) -> tuple[str, list[Any]]:
    """Return the test that the text ``sql`` is an address in a network, and its values."""
    spelled = (
        f"CASE WHEN contains({sql}, ':') THEN coalesce({_hex(sql)} BETWEEN ? AND ?, false) ELSE false END"
    )
    if isinstance(inside, ipaddress.IPv6Network):
        ends = [f"{int(end):032x}" for end in (inside.network_address, inside.broadcast_address)]
        if not inside.overlaps(_V4):
            return spelled, list(ends)
        mapped = (
            f"CASE WHEN contains({sql}, ':') THEN coalesce(starts_with({_hex(sql)}, ?), false) ELSE false END"
        )
        return f"({spelled} AND NOT {mapped})", [*ends, "0" * 20 + "ffff"]
    low, high = inside.network_address.packed, inside.broadcast_address.packed
    octets = r"\.".join(_range(a, b) for a, b in zip(low, high, strict=True))
    ends = ["0" * 20 + "ffff" + end.hex() for end in (low, high)]
    return f"(regexp_full_match({sql}, ?) OR {spelled})", [octets, *ends]


def _range(low: int, high: int) -> str:
    if (low, high) == (0, 255):
        return _OCTET
    return str(low) if low == high else f"(?:{'|'.join(map(str, range(low, high + 1)))})"


def _hex(sql: str) -> str:
    """Return the SQL of an IPv6 address as 32 hex digits; null if the text is none."""
    tail = r"regexp_extract(a, '[0-9.]+$')"
    octets = [f"TRY_CAST(split_part({tail}, '.', {n}) AS UTINYINT)" for n in (1, 2, 3, 4)]
    pairs = (
        f"format('{{:x}}:{{:x}}', {octets[0]}::INT * 256 + {octets[1]}, {octets[2]}::INT * 256 + {octets[3]})"
    )
    strict = rf"regexp_full_match({tail}, '{_OCTET}(?:\.{_OCTET}){{3}}')"
    front = f"left(a, len(a) - len({tail}))"
    plain = f"CASE WHEN NOT contains(a, '.') THEN a WHEN {strict} THEN {front} || {pairs} END"
    part = (
        "CASE WHEN split_part(b, '::', {n}) = '' THEN [] ELSE string_split(split_part(b, '::', {n}), ':') END"
    )
    groups = (
        f"list_transform([[{part.format(n=1)}, {part.format(n=2)}]], lambda c: CASE "
        "WHEN contains(b, '::') AND len(string_split(b, '::')) = 2 AND len(c[1]) + len(c[2]) < 8 "
        "THEN list_concat(list_concat(c[1], "
        "list_transform(range(8 - len(c[1]) - len(c[2])), lambda n: '0')), c[2]) "
        "WHEN NOT contains(b, '::') AND len(c[1]) = 8 THEN c[1] END)[1]"
    )
    whole = (
        f"list_transform([{groups}], lambda d: CASE "
        "WHEN len(list_filter(d, lambda g: regexp_full_match(g, '[0-9a-f]{1,4}'))) = 8 "
        "THEN array_to_string(list_transform(d, lambda g: lpad(g, 4, '0')), '') END)[1]"
    )
    first = f"list_transform([{plain}], lambda b: {whole})[1]"
    return f"list_transform([lower(split_part({sql}, '%', 1))], lambda a: {first})[1]"

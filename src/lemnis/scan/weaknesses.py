"""Families of weaknesses: scanners name the same mistake by neighbouring CWE numbers.

A family holds what one line of code would be reported as by one tool or another. Numbers and names are
MITRE's (CWE 4.x, views 699 and 1000); how they are put together here is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

_FAMILIES: Mapping[str, tuple[int, ...]] = {
    "command injection": (77, 78, 88),
    "code injection": (94, 95, 96, 98, 470),
    "SQL injection": (89, 564, 943),
    "cross-site scripting": (79, 80, 83, 87, 116),
    "template injection": (1336,),
    "path traversal": (22, 23, 36, 73, 98, 377, 379),
    "deserialisation": (502, 915),
    "XML entities": (611, 776, 827),
    "request forgery": (918, 441),
    "cross-site request forgery": (352,),
    "open redirect": (601,),
    "weak cryptography": (326, 327, 328, 310, 780, 916, 1240),
    "randomness": (330, 331, 335, 338),
    "certificates not checked": (295, 297, 599),
    "clear text": (311, 319, 312, 523),
    "secret in code": (798, 259, 321, 522, 547, 256, 260),
    "permissions": (732, 276, 277, 278, 279, 280, 284, 285, 862, 863, 269, 250, 266),
    "exposure of information": (200, 209, 215, 489, 497, 532, 538, 548),
    "errors ignored": (390, 391, 703, 754, 755),
    "resources without bound": (400, 770, 1333, 730, 834),
    "bound to all interfaces": (605, 668, 1327),
    "memory": (119, 120, 121, 122, 125, 131, 190, 415, 416, 476, 787, 788),
    "supply chain": (494, 829, 830, 1104, 1357, 1395, 506, 353, 345),
}
FAMILY: Mapping[int, str] = MappingProxyType({cwe: name for name, cwes in _FAMILIES.items() for cwe in cwes})


def families(cwes: Iterable[int]) -> frozenset[str]:
    """Return the families that weaknesses are of; a number in none is its own (``CWE-1004``)."""
    return frozenset(FAMILY.get(cwe, f"CWE-{cwe}") for cwe in cwes)

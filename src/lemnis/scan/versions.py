"""The order of versions, by ecosystem: a text becomes a key that compares as the ecosystem says. Pure.

Python, Ruby, Maven, Debian and RPM orders are univers's; semantic versions, Composer's, apk's and dotted
numbers are here, as that library lets build metadata count, and reads no suffix of Alpine's own. An ecosystem
without an order here is one in which ranges cannot be decided.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from univers.versions import DebianVersion, MavenVersion, PypiVersion, RpmVersion, RubygemsVersion

_LONGEST = 256
_SEMVER = re.compile(
    r"[vV=]?(\d{1,18}(?:\.\d{1,18}){0,5})(?:-?((?<=-)[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*|[A-Za-z][0-9A-Za-z.-]*))?(?:\+[0-9A-Za-z.+-]*)?"
)
_APK = re.compile(r"(\d{1,18}(?:\.\d{1,18})*)([a-z]?)((?:_[a-z]+\d*)*)(?:~[0-9a-f]+)?(?:-r(\d{1,18}))?")
_APK_SUFFIXES = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
_COMPOSER = re.compile(
    r"v?(\d{1,18}(?:\.\d{1,18}){0,3})"
    r"(?:[-._]?(stable|beta|b|rc|alpha|a|patch|pl|p)(?:[.-]?(\d{1,18}))?)?([.-]?dev)?(?:\+.*)?"
)
_STAGES = {"dev": -5, "a": -4, "alpha": -4, "b": -3, "beta": -3, "rc": -2, "": 0, "stable": 0}
_STAGES |= dict.fromkeys(("p", "pl", "patch"), 2)
_DOTTED = re.compile(r"\d{1,18}(?:[.-]\d{1,18})*")
Key = Any
"""Compares with other keys of the same ecosystem."""


def ecosystem(name: str) -> str:
    """Return an ecosystem without its release: ``Debian`` of ``Debian:12``."""
    return name.partition(":")[0]


def ordered(name: str) -> bool:
    """Say whether versions of an ecosystem can be put in order here."""
    return ecosystem(name) in _ORDERS


def key(name: str, version: str) -> Key:
    """Return what a version compares by in an ecosystem; raises ValueError saying why it has no place."""
    return _key(ecosystem(name), version)


@lru_cache(maxsize=400_000)
def _key(base: str, version: str) -> Key:
    order = _ORDERS.get(base)
    if order is None:
        raise ValueError(f"versions of {base} have no order here")
    if not version or len(version) > _LONGEST:
        raise ValueError("no version" if not version else f"a version of {len(version)} characters")
    try:
        return order(version.strip())
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"{version[:80]!r} is no version of {base}") from error


def semantic(version: str) -> Key:
    """Return the key of a semantic version (SemVer 2.0.0, section 11).

    Build metadata does not count, fewer or more than three numbers are taken, trailing zeros are none.
    """
    found = _SEMVER.fullmatch(version)
    if found is None:
        raise ValueError(version)
    numbers = [int(one) for one in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    if found[2] is None:
        return (tuple(numbers), 1, ())
    names = tuple(
        (0, int(one), "") if one.isdigit() and one.isascii() else (1, 0, one) for one in found[2].split(".")
    )
    return (tuple(numbers), 0, names)


def _nuget(version: str) -> Key:
    return semantic(version.lower())


def _composer(version: str) -> Key:
    """Order as Composer does: numbers; then dev, alpha, beta, RC, the release, patches, by their number."""
    found = _COMPOSER.fullmatch(version.lower())
    if found is None:
        raise ValueError(version)
    numbers = [int(one) for one in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    stage = found[2] or ("dev" if found[4] else "")
    return (tuple(numbers), _STAGES[stage], int(found[3] or 0), not found[4])


def _apk(version: str) -> Key:
    """Order as apk-tools does: numbers, a letter, suffixes before or after the release, the revision."""
    found = _APK.fullmatch(version)
    if found is None:
        raise ValueError(version)
    suffixes = re.findall(r"_([a-z]+)(\d*)", found[3])
    ranked = tuple((_APK_SUFFIXES[name], int(number or 0)) for name, number in suffixes)
    numbers = tuple(int(one) for one in found[1].split("."))
    return (numbers, found[2], (*ranked, (0, 0)), int(found[4] or 0))


def _dotted(version: str) -> Key:
    if not _DOTTED.fullmatch(version):
        raise ValueError(version)
    return tuple(int(one) for one in re.split(r"[.-]", version))


def _of(kind: Callable[[str], Any]) -> Callable[[str], Key]:
    """Return the order of one of univers's versions: its value, which compares faster than its wrapper."""
    return lambda version: kind(version).value


_SEMANTIC = (
    "npm", "crates.io", "Go", "Hex", "Pub", "SwiftURL", "GitHub Actions", "Julia", "VSCode", "Bitnami",
    "Kubernetes", "SEMVER",
)  # fmt: skip
_RPM = (
    "Red Hat", "Rocky Linux", "AlmaLinux", "SUSE", "openSUSE", "Mageia", "openEuler", "Azure Linux",
    "Photon OS", "MinimOS", "RPM",
)  # fmt: skip
_ORDERS: Final[dict[str, Callable[[str], Key]]] = {
    **dict.fromkeys(_SEMANTIC, semantic),
    **dict.fromkeys(_RPM, _of(RpmVersion)),
    **dict.fromkeys(("Debian", "Ubuntu", "Echo"), _of(DebianVersion)),
    **dict.fromkeys(("Alpine", "Wolfi", "Chainguard", "Alpaquita", "BellSoft Hardened Containers"), _apk),
    **dict.fromkeys(("Hackage", "GHC", "CRAN", "Bioconductor"), _dotted),
    "PyPI": _of(PypiVersion), "RubyGems": _of(RubygemsVersion), "Maven": _of(MavenVersion), "NuGet": _nuget,
    "Packagist": _composer,
}  # fmt: skip

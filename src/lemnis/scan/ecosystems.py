"""From a package URL to the ecosystem and name by which OSV's advisories know the package. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from packageurl import PackageURL

from lemnis.scan.advisories import name_in
from lemnis.scan.sbom import purl as parsed

_PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pypi": "PyPI", "npm": "npm", "golang": "Go", "cargo": "crates.io", "gem": "RubyGems",
        "maven": "Maven", "nuget": "NuGet", "composer": "Packagist", "hex": "Hex", "pub": "Pub",
        "swift": "SwiftURL", "githubactions": "GitHub Actions", "hackage": "Hackage", "cran": "CRAN",
        "bitnami": "Bitnami", "julia": "Julia",
    }
)  # fmt: skip
_JOINED = {"Maven": ":"}
_RPM = {
    "redhat": "Red Hat", "rocky": "Rocky Linux", "rocky-linux": "Rocky Linux", "almalinux": "AlmaLinux",
    "suse": "SUSE", "sles": "SUSE", "opensuse": "openSUSE", "mageia": "Mageia", "openeuler": "openEuler",
    "azurelinux": "Azure Linux", "photon": "Photon OS",
}  # fmt: skip
_APK = {"alpine": "Alpine", "wolfi": "Wolfi", "chainguard": "Chainguard", "alpaquita": "Alpaquita"}
_RELEASE = re.compile(r"(\d+(?:\.\d+)*)")
_UPSTREAM = re.compile(r"([^@]+)(?:@(.+))?")
_WHOLES = frozenset({"oci", "docker", "generic", "github", "gitlab", "bitbucket", "file"})


@dataclass(frozen=True, slots=True)
class Package:
    """A package as OSV knows it: ecosystem (with its release, if it has any), name, and the version."""

    ecosystem: str
    name: str
    version: str


@lru_cache(maxsize=200_000)
def package(url: str) -> Package | None:
    """Return the package of a package URL; None where OSV has no ecosystem for its type."""
    one = parsed(url)
    if one is None:
        return None
    if one.type in {"deb", "apk", "rpm"}:
        return _of_system(one)
    ecosystem = _PLAIN.get(one.type)
    if ecosystem is None:
        return None
    name = _JOINED.get(ecosystem, "/").join(part for part in (one.namespace, one.name) if part)
    version = one.version or ""
    return Package(ecosystem, name_in(ecosystem, name), version)


def kind(url: str) -> str:
    """Return what a package URL is called where OSV has nothing for it: its type, and the distribution."""
    one = parsed(url)
    if one is None:
        return "no package URL"
    return f"{one.type}/{one.namespace}" if one.type in {"deb", "apk", "rpm"} and one.namespace else one.type


def matchable(url: str) -> bool:
    """Say whether a component is a package of code at all: an image or a file is its parts' whole."""
    one = parsed(url)
    return one is not None and one.type not in _WHOLES


def _of_system(one: PackageURL) -> Package | None:
    """Return a distribution's package under the name of its source, by which its advisories go."""
    distribution = one.qualifiers.get("distro", "")
    vendor = (one.namespace or distribution.partition("-")[0]).lower()
    found = _RELEASE.search(distribution)
    release = found[1] if found else ""
    upstream = _UPSTREAM.fullmatch(one.qualifiers.get("upstream", ""))
    name = upstream[1] if upstream else one.name
    version = (upstream[2] if upstream and upstream[2] else one.version) or ""
    if one.type == "rpm":
        base = _RPM.get(vendor)
        epoch = one.qualifiers.get("epoch")
        version = f"{epoch}:{version}" if epoch and ":" not in version else version
        major = release.partition(".")[0]
        return Package(f"{base}:{major}" if major else base, one.name, version) if base else None
    if one.type == "apk":
        base = _APK.get(vendor)
        short = ".".join(release.split(".")[:2])
        whole = f"{base}:v{short}" if base == "Alpine" and short else base
        return Package(whole, name, version) if base and whole else None
    if vendor not in {"debian", "ubuntu"}:
        return None
    base = vendor.title()
    major = release.partition(".")[0] if vendor == "debian" else release
    return Package(f"{base}:{major}" if major else base, name, version)

"""Values of a record as findings need them: texts, numbers, severities, package URLs. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

import re2
from packageurl import PackageURL

from lemnis.content.schemas.reader import Field, Grade, Value, When
from lemnis.contracts.alerts import Severity
from lemnis.scan.paths import Spot, getter

Text = Callable[[Spot], str]
_DEEP: Final = 64
_BRACES = re.compile(r"\{([^{}]*)\}")
_CWE = re.compile(r"CWE[-_ :]*(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LEADING_NUMBER = re.compile(r"\s*(\d+)")
WORDS: Final[Mapping[str, Severity]] = MappingProxyType(
    {
        "critical": Severity.CRITICAL, "blocker": Severity.CRITICAL, "very high": Severity.CRITICAL,
        "high": Severity.HIGH, "important": Severity.HIGH, "severe": Severity.HIGH, "error": Severity.HIGH,
        "major": Severity.HIGH,
        "medium": Severity.MEDIUM, "moderate": Severity.MEDIUM, "warning": Severity.MEDIUM,
        "warn": Severity.MEDIUM,
        "low": Severity.LOW, "minor": Severity.LOW, "note": Severity.LOW, "very low": Severity.LOW,
        "info": Severity.INFORMATIONAL, "informational": Severity.INFORMATIONAL,
        "information": Severity.INFORMATIONAL, "none": Severity.INFORMATIONAL,
        "negligible": Severity.INFORMATIONAL, "style": Severity.INFORMATIONAL,
    }
)  # fmt: skip
"""What tools call their severities."""
# CVSS 3.1, section 5: qualitative severity rating scale.
_BANDS: Final = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "npm": "npm", "yarn": "npm", "pnpm": "npm", "node": "npm", "nodejs": "npm", "node-pkg": "npm",
        "javascript": "npm", "npm_and_yarn": "npm", "js": "npm",
        "pypi": "pypi", "pip": "pypi", "python": "pypi", "python-pkg": "pypi", "poetry": "pypi",
        "pipenv": "pypi", "uv": "pypi",
        "go": "golang", "golang": "golang", "gomod": "golang", "gobinary": "golang", "go-module": "golang",
        "maven": "maven", "java": "maven", "gradle": "maven", "jar": "maven", "pom": "maven",
        "java-archive": "maven",
        "rubygems": "gem", "gem": "gem", "ruby": "gem", "bundler": "gem", "gemspec": "gem",
        "crates.io": "cargo", "cargo": "cargo", "rust": "cargo", "rustbinary": "cargo",
        "rust-crate": "cargo",
        "packagist": "composer", "composer": "composer", "php": "composer", "nuget": "nuget",
        "dotnet": "nuget", "dotnet-core": "nuget", ".net": "nuget",
        "debian": "deb", "ubuntu": "deb", "deb": "deb", "dpkg": "deb", "alpine": "apk", "apk": "apk",
        "rpm": "rpm", "redhat": "rpm", "rhel": "rpm", "centos": "rpm", "amazon": "rpm", "fedora": "rpm",
        "rocky": "rpm", "alma": "rpm", "oracle": "rpm", "suse": "rpm", "photon": "rpm",
        "hex": "hex", "pub": "pub", "swift": "swift", "cocoapods": "cocoapods", "conan": "conan",
        "conda": "conda", "docker": "docker", "github actions": "githubactions",
    }
)  # fmt: skip
"""What tools call ecosystems, by the type of their package URLs."""


def texts(value: Any, depth: int = 0) -> list[str]:
    """Return every text and number in a value, within up to 64 lists; objects and truths are none."""
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, int | float):
        return [str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)]
    if isinstance(value, list) and depth < _DEEP:
        return [text for item in value for text in texts(item, depth + 1)]
    return []


def plain(value: Any) -> str:
    """Return a value as one text; truths are ``true`` and ``false``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(texts(value))


def text(value: Value) -> Text:
    """Compile a value."""
    if isinstance(value, Field):
        return _field(value)
    if isinstance(value, str):
        if not value:
            return lambda _spot: ""
        get = getter(value)
        return lambda spot: plain(get(spot))
    ways = [text(one) for one in value]
    return lambda spot: next((found for way in ways if (found := way(spot))), "")


def _field(made: Field) -> Text:
    base = _template(made.text) if made.text else text(made.source)
    pattern = re2.compile(made.match) if made.match else None
    table = {key.lower(): value for key, value in made.map.items()}

    def get(spot: Spot) -> str:
        found = base(spot)
        if pattern is not None:
            hit = pattern.search(found)
            found = (hit.group(1) if pattern.groups else hit.group()) or "" if hit else ""
        if table:
            return table.get(found.lower(), made.default)
        return found or made.default

    return get


def _template(words: str) -> Text:
    """Compile a text with paths in braces; it is empty if none of them leads anywhere."""
    parts = _BRACES.split(words)
    gets = [text(path) for path in parts[1::2]]

    def get(spot: Spot) -> str:
        values = [one(spot) for one in gets]
        if gets and not any(values):
            return ""
        return "".join(
            between + value for between, value in zip(parts[::2], [*values, ""], strict=True)
        ).strip()

    return get


def paths_in(words: str) -> list[str]:
    """Return the paths of a template."""
    return _BRACES.findall(words)


def many(paths: tuple[str, ...]) -> Callable[[Spot], list[str]]:
    """Compile paths of which all count; a path may go through a list with ``[]``."""
    gets = [_all(path) for path in paths]
    return lambda spot: list(dict.fromkeys(one.strip() for get in gets for one in get(spot) if one.strip()))


def _all(path: str) -> Callable[[Spot], list[str]]:
    head, middle, tail = path.partition("[]")
    get = getter(head)
    if not middle:
        return lambda spot: texts(get(spot))
    inner = _all(tail.removeprefix(".")) if tail else None

    def each(spot: Spot) -> list[str]:
        value = get(spot)
        items = value if isinstance(value, list) else [value]
        return [t for item in items for t in (inner(Spot(item, up=spot)) if inner else texts(item))]

    return each


def number(value: Value) -> Callable[[Spot], int | None]:
    """Compile a line or column: None where there is none; raises ValueError for what is no number."""
    get = text(value)

    def read(spot: Spot) -> int | None:
        found = get(spot)
        if not found:
            return None
        hit = _LEADING_NUMBER.match(found)
        if hit is None:
            raise ValueError(f"{found[:40]!r} is no line or column number")
        return int(hit[1])

    return read


def decimal(value: Value) -> Callable[[Spot], float | None]:
    """Compile a score or probability; None where there is no number."""
    get = text(value)
    return lambda spot: float(hit[0]) if (hit := _NUMBER.search(get(spot))) else None


def cwes(paths: tuple[Value, ...]) -> Callable[[Spot], tuple[int, ...]]:
    """Compile weaknesses: ``CWE-79: …``, ``79`` and lists of such."""
    gets = [many((one,)) if isinstance(one, str) else _listed(text(one)) for one in paths]
    return lambda spot: tuple(dict.fromkeys(n for get in gets for one in get(spot) for n in cwe_numbers(one)))


def _listed(get: Text) -> Callable[[Spot], list[str]]:
    return lambda spot: [get(spot)]


def cwe_numbers(words: str) -> list[int]:
    """Return the numbers of the weaknesses that a text names."""
    found = _CWE.findall(words)
    return [int(one) for one in found or ([words] if words.isdigit() else []) if 0 < int(one) < 100_000]  # noqa: PLR2004 - as CWE numbers go


def severity(grade: Grade) -> Callable[[Spot], Severity]:
    """Compile a severity; raises ValueError for a word that is not known and has no default."""
    get = text(Field.model_validate({"from": grade.source, "match": grade.match}))
    own = {key.lower(): Severity[value.upper()] for key, value in grade.map.items()}
    default = Severity[grade.default.upper()] if grade.default else None

    def read(spot: Spot) -> Severity:
        said = get(spot).strip()
        word = said.lower()
        found = own.get(word) or (score(word) if grade.scores else None) or WORDS.get(word) or default
        if found is None:
            raise ValueError(f"severity {said[:40]!r} is not known")
        return found

    return read


def score(word: str) -> Severity | None:
    """Return the severity of a CVSS score; None for what is no number."""
    hit = _NUMBER.fullmatch(word)
    if hit is None:
        return None
    value = float(hit[0])
    return next((level for least, level in _BANDS if value >= least), Severity.INFORMATIONAL)


@lru_cache(maxsize=16_384)
def purl(kind: str, name: str, version: str) -> str:
    """Return a package's URL; empty without a name. A name may hold a namespace before ``/`` or ``:``."""
    if not name:
        return ""
    made = TYPES.get(kind.lower(), "generic")
    separator = ":" if made == "maven" and ":" in name else "/"
    space, _, last = name.rpartition(separator)
    return str(PackageURL(made, space or None, last or name, version or None).to_string())


def when(made: When) -> Callable[[Spot], bool]:
    """Compile a condition on a record."""
    get = getter(made.path)
    wanted = {plain(one).lower() for one in made.values}
    starts = made.starts.lower()
    refused = {plain(one).lower() for one in made.not_values}

    def holds(spot: Spot) -> bool:
        value = get(spot)
        if wanted:
            return plain(value).lower() in wanted
        if starts:
            return plain(value).lower().startswith(starts)
        if refused:
            return plain(value).lower() not in refused
        return bool(value) == made.there

    return holds


def unquoted(uri: str) -> str:
    """Return a URI reference without its percent signs, as files are named."""
    return unquote(uri) if "%" in uri else uri

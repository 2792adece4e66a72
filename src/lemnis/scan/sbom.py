"""Bills of materials as one model: components, what depends on what, what is said of vulnerabilities. Pure.

``read`` takes CycloneDX 1.2 to 1.7 (ECMA-424; JSON and XML) and SPDX 2.2 and 2.3 (JSON and tag-value), also
within an in-toto statement; lock files are read by ``sbom_locks`` into the same model.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
from packageurl import PackageURL

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.vex_statements import Statement

MAX_BYTES: Final = 200_000_000
MAX_COMPONENTS: Final = 1_000_000
MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Component:
    """One component as found: ``ref`` names it in its document, ``purl`` is its package URL with version.

    ``path`` and ``line`` (from 1, 0 if unknown) say where it is written; ``scope`` is ``runtime``, ``dev`` or
    ``optional``, empty if not told.
    """

    ref: str
    name: str
    version: str = ""
    purl: str = ""
    kind: str = "library"
    scope: str = ""
    path: str = ""
    line: int = 0
    licenses: tuple[str, ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sbom:
    """A bill of materials: its components, dependencies by reference, and what could not be read.

    ``root`` is the reference of what it is about; ``edges`` may hold cycles and may lead to nothing.
    """

    format: str
    components: tuple[Component, ...]
    edges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    root: Component | None = None
    serial: str = ""
    statements: tuple[Statement, ...] = ()
    errors: tuple[RecordError, ...] = ()

    def at(self, path: str) -> Sbom:
        """Return it with every component lying in the file ``path``, where it has no other place."""
        own = tuple(one if one.path else replace(one, path=path) for one in self.components)
        return replace(self, components=own)


def chains(sbom: Sbom, wanted: Collection[str] | None = None) -> Mapping[str, tuple[str, ...]]:
    """Return for references (all, if none are named) the shortest way from the root to them.

    Without a root, or if nothing hangs on it, ways begin at what nobody depends on. Of a way of more than
    ``MAX_DEPTH`` steps the last ones are told; what nothing leads to has none.
    """
    begin = [sbom.root.ref] if sbom.root and sbom.edges.get(sbom.root.ref) else _tops(sbom)
    before: dict[str, str | None] = dict.fromkeys(begin)
    waiting = deque(begin)
    while waiting:
        ref = waiting.popleft()
        for after in sbom.edges.get(ref, ()):
            if after not in before:
                before[after] = ref
                waiting.append(after)
    return {ref: _way(before, ref) for ref in (before if wanted is None else wanted) if ref in before}


def _way(before: Mapping[str, str | None], ref: str) -> tuple[str, ...]:
    made, now = [ref], before[ref]
    while now is not None and len(made) < MAX_DEPTH:
        made.append(now)
        now = before[now]
    return tuple(reversed(made))


def _tops(sbom: Sbom) -> list[str]:
    depended = {to for many in sbom.edges.values() for to in many}
    return [ref for ref in sbom.edges if ref not in depended] or list(sbom.edges)[:1]


def read(data: bytes, file: str = "") -> Sbom:
    """Read a bill of materials of any known format.

    A component that cannot be read is an error of the result, the others are kept. Raises RecordError, with
    the place, for what is no bill of materials, for one larger than ``MAX_BYTES``, and for unknown versions.
    """
    from lemnis.scan import sbom_cyclonedx, sbom_spdx, sbom_xml  # noqa: PLC0415 - they build on this module

    at = Location(file)
    if len(data) > MAX_BYTES:
        raise RecordError(
            f"{len(data):,} bytes, more than {MAX_BYTES:,}", at=at, fix="split it by application"
        )
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        data = data.decode("utf-16", "replace").encode()
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<"):
        return sbom_cyclonedx.of_xml(sbom_xml.parse(head, file), file)
    if not head.startswith(b"{"):
        return sbom_spdx.of_tags(head.decode("utf-8", "replace"), file)
    document = of_json(head, file)
    if isinstance(document.get("predicate"), dict):  # a statement about a bill of materials
        document = document["predicate"]
    if "spdxVersion" in document:
        return sbom_spdx.of_json(document, file)
    if "bomFormat" in document or "cyclonedx" in str(document.get("$schema", "")):
        return sbom_cyclonedx.of_json(document, file)
    if "spdx.org/rdf/3" in str(document.get("@context", "")):
        raise RecordError("SPDX 3 is not read", at=at, fix="write SPDX 2.3 or CycloneDX")
    raise RecordError("neither CycloneDX nor SPDX", at=at, fix="CycloneDX 1.4 to 1.7 and SPDX 2.3 are read")


def of_json(data: bytes, file: str = "") -> dict[str, Any]:
    """Read a JSON object; raises RecordError with line and column."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        document = _with_halves(data, file, error)
    if not isinstance(document, dict):
        raise RecordError("no JSON object", at=Location(file))
    return document


def _with_halves(data: bytes, file: str, error: orjson.JSONDecodeError) -> Any:
    """Read JSON that has half characters in it, which orjson refuses; raises RecordError for what is none."""
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise RecordError(f"no JSON: {error.msg}", at=Location(file, error.lineno, error.colno)) from error


def purl(text: str) -> PackageURL | None:
    """Return a package URL, None for a text that is none."""
    try:
        return PackageURL.from_string(text) if text else None
    except ValueError:
        return None


def made_purl(kind: str, name: str, version: str, namespace: str = "", **qualifiers: str) -> str:
    """Return the package URL of a package; empty where the parts make none."""
    try:
        return PackageURL(kind, namespace or None, name, version or None, qualifiers or None).to_string()
    except ValueError:
        return ""


def objects(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a list with their numbers from 1; nothing of what is no list."""
    for number, one in enumerate(value if isinstance(value, list) else [], 1):
        if isinstance(one, dict):
            yield number, one


def text(value: Any) -> str:
    """Return a text, empty for what is none; numbers are taken as written."""
    if isinstance(value, bool):
        return ""
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""

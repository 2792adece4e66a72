"""What scanners found in files that have not changed since: by the files' content and the scanner's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
import pydantic

from lemnis.contracts.findings import Finding, ScanHealth, Unjudged
from lemnis.contracts.ids import canonical, digest, stable_id

_FORMAT: Final = "2"
"""Changes when the same file is looked at in another way: what was kept before no longer counts."""


_FIELDS: Final = tuple(one.name for one in fields(Finding))


def plain(finding: Finding) -> dict[str, Any]:
    """Return a finding as ``dataclasses.asdict`` does, but for copies of what needs none: there are many."""
    return {name: _plain(getattr(finding, name)) for name in _FIELDS}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


class _Pack(pydantic.BaseModel):
    """All that one scanner found in one folder: per file its digest and findings, or once for the whole.

    ``unjudged`` has by file, or once for the whole, what could not be judged there.
    """

    files: dict[str, tuple[str, tuple[Finding, ...]]] = pydantic.Field(default_factory=dict)
    unjudged: dict[str, tuple[Unjudged, ...]] = pydantic.Field(default_factory=dict)
    health: ScanHealth | None = None


class Known:
    """What one scanner is known to find in a folder's files; empty where nothing is kept."""

    def __init__(self, kept: MutableMapping[str, bytes] | None, folder: Path, scanner: str) -> None:
        """``scanner`` names the scanner and all that its answer depends on beside the files."""
        self._kept = kept
        self._key = stable_id("pack", _FORMAT, str(folder.resolve()), scanner)
        self._pack = self._load()

    def _load(self) -> _Pack:
        if self._kept is None or self._key not in self._kept:
            return _Pack()
        try:
            return _Pack.model_validate_json(self._kept[self._key])
        except ValueError:  # damaged: as if nothing were kept
            return _Pack()

    def of(self, digests: Mapping[str, str]) -> Mapping[str, tuple[Finding, ...]]:
        """Return the findings of the files (or wholes) that are still as they were."""
        return {
            name: self._pack.files[name][1]
            for name, now in digests.items()
            if name in self._pack.files and self._pack.files[name][0] == now
        }

    def unjudged(self, names: Iterable[str]) -> tuple[Unjudged, ...]:
        """Return what could not be judged in files (or wholes) when they were last looked at."""
        return tuple(one for name in names for one in self._pack.unjudged.get(name, ()))

    @property
    def health(self) -> ScanHealth | None:
        """Return what the scanner said of itself when it last looked."""
        return self._pack.health

    def keep(self, digests: Mapping[str, str], findings: Sequence[Finding], health: ScanHealth) -> None:
        """Keep what was found in files that were looked at, in place of what was kept before."""
        if self._kept is None:
            return
        by_file: dict[str, list[dict[str, object]]] = {name: [] for name in digests}
        for one in findings:
            by_file[one.path if one.path in by_file else next(iter(by_file))].append(
                plain(one) | {"snippet": ""}  # the file has it, and it may be what another tool hides
            )
        files = {name: (digests[name], found) for name, found in by_file.items()}
        open_: dict[str, list[dict[str, object]]] = {}
        for other in health.unjudged:
            open_.setdefault(other.path if other.path in by_file else next(iter(by_file)), []).append(
                asdict(other)
            )
        told = asdict(replace(health, unjudged=()))
        self._kept[self._key] = orjson.dumps({"files": files, "health": told, "unjudged": open_})


WHOLE: Final = ""
"""The name under which all files count as one."""


def whole(digests: Mapping[str, str]) -> dict[str, str]:
    """Return one digest over all files and their names."""
    return {WHOLE: digest(canonical(sorted(digests.items())))}

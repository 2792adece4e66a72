"""What is kept of compiled rules: whole sets by the digest of their files, and single files by theirs.

A set that was loaded before is read as it is. Of one that changed only the files that changed are compiled.
All of it is JSON: data, never code; what cannot be read is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from lemnis.contracts.correlations import Correlation
from lemnis.contracts.errors import ContentError, Location, UnsupportedError
from lemnis.detect.atoms import Atom
from lemnis.detect.files import Compiled, Part
from lemnis.detect.ruleset import Rule, RuleSet
from lemnis.store import durable

_SETS, _FILES = 8, 20_000
"""So many sets and single files are kept, those that were used last."""
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


class Cache:
    """A folder that only this user can write; what another ``version`` compiled is not read."""

    def __init__(self, folder: Path, version: str) -> None:
        """Nothing is read before it is asked for."""
        self._folder, self._version = folder, version

    def recall(self, state: str) -> RuleSet | None:
        """Return the set that files of this digest made; None if there is none."""
        path = self._set(state)
        try:
            known = _read_set(orjson.loads(path.read_bytes()))
        except _UNREADABLE:
            return None
        with suppress(OSError):
            path.touch()  # it is in use
        return known

    def keep(self, state: str, known: RuleSet) -> None:
        """Keep a set; readers see all of it or none. The oldest ones make room for it."""
        durable.write(self._set(state), orjson.dumps(_written_set(known)))
        kept = sorted(self._folder.glob("rules-*.json"), key=_age)
        for old in kept[:-_SETS]:
            old.unlink(missing_ok=True)

    def files(self) -> dict[str, Compiled]:
        """Return the compiled files, by their digests; the one used last is the last."""
        try:
            document = orjson.loads(self._parts.read_bytes())
            if document["version"] != self._version:
                return {}
            return {key: _read_file(one) for key, one in document["files"].items()}
        except _UNREADABLE:
            return {}

    def keep_files(self, files: Mapping[str, Compiled]) -> None:
        """Keep compiled files, the last ones if they are too many."""
        some = list(files.items())[-_FILES:]
        document = {"version": self._version, "files": {key: _written_file(one) for key, one in some}}
        durable.write(self._parts, orjson.dumps(document))

    @property
    def _parts(self) -> Path:
        return self._folder / "rule-files.json"

    def _set(self, state: str) -> Path:
        return self._folder / f"rules-{state[:32]}.json"


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process made room
        return 0


def _written_set(known: RuleSet) -> dict[str, Any]:
    return {
        "digest": known.digest,
        "atoms": [list(atom) for atom in known.atoms],
        "rules": [
            [r.id, r.title, r.level, r.tags, r.logsource, r.path, r.expression, r.custom] for r in known.rules
        ],
        "correlations": [one.document() for one in known.correlations],
        "problems": _written_problems(known.problems),
    }


def _read_set(document: Mapping[str, Any]) -> RuleSet:
    return RuleSet(
        tuple(
            Rule(i, t, v, tuple(g), (s[0], s[1], s[2]), p, e, c)
            for i, t, v, g, s, p, e, c in document["rules"]
        ),
        _read_atoms(document["atoms"]),
        _read_problems(document["problems"]),
        document["digest"],
        tuple(Correlation.read(one) for one in document["correlations"]),
    )


def _written_file(made: Compiled) -> list[Any]:
    parts = [
        [p.logsource, p.expression, p.is_filter, p.refers, p.id, p.title, p.level, p.tags, p.name, p.custom]
        for p in made.parts
    ]
    return [[list(atom) for atom in made.atoms], parts, _written_problems(made.problems), made.correlates]


def _read_file(document: Sequence[Any]) -> Compiled:
    atoms, parts, problems, correlates = document
    return Compiled(
        _read_atoms(atoms),
        tuple(
            Part((s[0], s[1], s[2]), e, f, None if r is None else tuple(r), i, t, v, tuple(g), n, c)
            for s, e, f, r, i, t, v, g, n, c in parts
        ),
        _read_problems(problems),
        correlates,
    )


def _read_atoms(atoms: Sequence[Any]) -> tuple[Atom, ...]:
    return tuple(Atom(f, k, tuple(v) if isinstance(v, list) else v, c) for f, k, v, c in atoms)


def _written_problems(problems: Sequence[ContentError]) -> list[Any]:
    return [
        [type(p) is UnsupportedError, p.what, p.fix, p.at and [p.at.file, p.at.line, p.at.column]]
        for p in problems
    ]


def _read_problems(problems: Sequence[Any]) -> tuple[ContentError, ...]:
    return tuple(
        (UnsupportedError if unsupported else ContentError)(what, at=Location(*at) if at else None, fix=fix)
        for unsupported, what, fix, at in problems
    )

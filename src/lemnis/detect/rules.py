"""Rules: files read and compiled one by one, put together to one set over shared atoms, kept by digest.

A file that cannot be read, or a rule that cannot be evaluated exactly, is a problem with its place; the
others go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import orjson

from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.ids import digest
from lemnis.detect import correlations
from lemnis.detect.atoms import Atom
from lemnis.detect.cache import Cache
from lemnis.detect.files import Compiled, Part, compile_file, correlating, renumbered
from lemnis.detect.filters import Filter, tune
from lemnis.detect.ruleset import Rule, RuleSet

__all__ = ["Rule", "RuleSet", "compile_files", "load_rules", "rule_files"]

FORMAT = "6"
MAX_FILE = 2_000_000
_SUFFIXES = {".yml", ".yaml"}
_RULE, _TESTS = "rule.yml", "tests.yml"  # a detection's folder holds both


def rule_files(paths: Iterable[Path]) -> list[Path]:
    """Return the rule files in files and folders, sorted; links and tests of detections are left alone."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += (
                file
                for file in path.rglob("*")
                if file.suffix in _SUFFIXES
                and file.is_file()
                and not file.is_symlink()
                and not _is_tests(file)
            )
        else:
            found.append(path)
    return sorted(dict.fromkeys(found))


def _is_tests(file: Path) -> bool:
    """Say whether a file holds the tests of the detection that it lies beside."""
    return file.name == _TESTS and (file.parent / _RULE).is_file()


def load_rules(paths: Iterable[Path], *, cache: Path | None = None) -> RuleSet:
    """Load the rules in files and folders; ``cache`` is a folder that only this user can write.

    A path that is not there is a problem like any other. Of files that the cache knows none is compiled.
    """
    files: list[tuple[str, bytes]] = []
    problems: list[ContentError] = []
    for path in rule_files(paths):
        place = Location(str(path))
        try:
            if path.stat().st_size <= MAX_FILE:
                files.append((str(path), path.read_bytes()))
            else:
                problems.append(ContentError(f"larger than {MAX_FILE:,} bytes", at=place, fix="split it"))
        except OSError as error:
            problems.append(ContentError(f"cannot be read: {error.strerror}", at=place))
    known = compile_files(files) if cache is None else _cached(files, cache)
    return replace(known, problems=(*problems, *known.problems))


def _cached(files: Sequence[tuple[str, bytes]], folder: Path) -> RuleSet:
    """Put files together, or take from the cache what it has of them."""
    made_by = f"{FORMAT} {version('pysigma')}"
    cache = Cache(folder, made_by)
    state = hashlib.sha256(made_by.encode())
    for name, data in files:
        state.update(orjson.dumps([name, len(data)]) + data)
    known = cache.recall(state.hexdigest())
    if known is not None:
        return known
    before = cache.files()
    now: dict[str, Compiled] = {}
    for _, data in files:
        key = digest(data)
        if key not in now:
            now[key] = before.pop(key) if key in before else compile_file(data)
    known = _together(files, [now[digest(data)] for _, data in files])
    with suppress(OSError):  # a folder that cannot be written: everything is compiled each time
        cache.keep_files({**before, **now})
        cache.keep(state.hexdigest(), known)
    return known


def compile_files(files: Sequence[tuple[str, bytes]]) -> RuleSet:
    """Compile rule files (name, bytes). Pure."""
    return _together(files, [compile_file(data) for _, data in files])


@dataclass(slots=True)
class _Pack:
    """Rules on their way to one set; each by what makes it one rule, with its own name."""

    numbers: dict[Atom, int] = field(default_factory=dict)
    rules: dict[tuple[str, ...], tuple[Rule, str]] = field(default_factory=dict)
    filters: list[Filter] = field(default_factory=list)
    problems: list[ContentError] = field(default_factory=list)
    drafts: list[correlations.Draft] = field(default_factory=list)

    def add(self, name: str, data: bytes, compiled: Compiled) -> None:
        """Take what a file holds."""
        self.problems += (_placed(problem, name) for problem in compiled.problems)
        shared = [self.numbers.setdefault(atom, len(self.numbers)) for atom in compiled.atoms]
        for part in compiled.parts:
            self._part(name, part, shared)
        if compiled.correlates:
            try:
                found = list(correlating(name, data))
            except ContentError as error:
                self.problems.append(error)
                return
            self.drafts += (correlations.Draft(one.file, one.value, one.node) for one in found)

    def _part(self, name: str, part: Part, shared: list[int]) -> None:
        expression = renumbered(part.expression, shared)
        if part.is_filter:
            refers = None if part.refers is None else frozenset(part.refers)
            self.filters.append(Filter(part.logsource, refers, expression))
            return
        made = Rule(part.id, part.title, part.level, part.tags, part.logsource, name, expression, part.custom)
        # the same rule in several of the folders is one rule
        place = (made.id, made.title, str(made.logsource), str(expression))
        self.rules.setdefault(place if made.id else (name, str(len(self.rules))), (made, part.name))

    def whole(self, digest_: str) -> RuleSet:
        """Return the set: filters applied, correlations linked."""
        rules = tuple(
            replace(rule, expression=tune(rule, name, self.filters)) for rule, name in self.rules.values()
        )
        named = [
            correlations.Named(rule.id or rule.title, rule.id, name, rule.level)
            for rule, name in self.rules.values()
        ]
        linked = correlations.link(self.drafts, named, self.problems) if self.drafts else ()
        return RuleSet(rules, tuple(self.numbers), tuple(self.problems), digest_, linked)


def _together(files: Sequence[tuple[str, bytes]], compiled: Sequence[Compiled]) -> RuleSet:
    """Put compiled files together: atoms numbered over all, filters applied, correlations linked."""
    pack = _Pack()
    for (name, data), one in zip(files, compiled, strict=True):
        pack.add(name, data, one)
    return pack.whole(digest(b"".join(digest(data).encode() for _, data in files)))


def _placed(problem: ContentError, name: str) -> ContentError:
    """Return a problem of a file as one of the file of this name."""
    at = Location(name) if problem.at is None else replace(problem.at, file=name)
    return type(problem)(problem.what, at=at, fix=problem.fix)

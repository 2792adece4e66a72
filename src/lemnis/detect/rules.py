"""Rules: read with pySigma, compiled to atoms, kept compiled by the digest of their bytes.

A file that cannot be read, or a rule that cannot be evaluated exactly, is a problem with its place; the
others go on. What is kept on disk is JSON: data, never code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import yaml
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.policy.profiles import TrustedPolicy  # it only decides what compiles; RE2 does the matching
from sigma.rule import SigmaRule

from lemnis.contracts.errors import ContentError, Location, UnsupportedError
from lemnis.contracts.ids import digest
from lemnis.detect.atoms import Atom, Expression
from lemnis.detect.compiler import compile_rule, compile_searches
from lemnis.detect.filters import Filter, tune
from lemnis.store import durable

FORMAT = "2"
MAX_FILE = 2_000_000
_SUFFIXES = {".yml", ".yaml"}
_RULE, _TESTS = "rule.yml", "tests.yml"  # a detection's folder holds both


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule; ``logsource`` is (product, category, service), None where it does not care."""

    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    logsource: tuple[str | None, str | None, str | None]
    path: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Compiled rules over shared atoms, what was wrong with others, and the digest of all their bytes."""

    rules: tuple[Rule, ...]
    atoms: tuple[Atom, ...]
    problems: tuple[ContentError, ...]
    digest: str


class _Loader(yaml.CSafeLoader):
    """Safe and fast; a key may stand only once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - yaml's signature
        """Refuse repeated keys, with their place."""
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen and name != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {name!r} stands here twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


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

    A path that is not there is a problem like any other.
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
    state = hashlib.sha256(f"{FORMAT} {version('pysigma')}".encode())
    for name, data in files:
        state.update(orjson.dumps([name, len(data)]) + data)
    kept = cache / f"rules-{state.hexdigest()[:32]}.json" if cache is not None else None
    known = _recall(kept) if kept is not None else None
    if known is None:
        known = compile_files(files)
        if kept is not None:
            _keep(kept, known)
    return RuleSet(known.rules, known.atoms, (*problems, *known.problems), known.digest)


def compile_files(files: Sequence[tuple[str, bytes]]) -> RuleSet:
    """Compile rule files (name, bytes). Pure."""
    numbers: dict[Atom, int] = {}
    rules: dict[tuple[str, ...], Rule] = {}
    names: dict[str, str] = {}
    filters: list[Filter] = []
    problems: list[ContentError] = []
    for name, data in files:
        for parsed in _parse(name, data, problems):
            expression = _compile(name, data, parsed, numbers, problems)
            if expression is None:
                continue
            source = (parsed.logsource.product, parsed.logsource.category, parsed.logsource.service)
            if isinstance(parsed, SigmaFilter):
                wanted = parsed.filter.rules
                refers = None if isinstance(wanted, str) else frozenset(one.reference for one in wanted)
                filters.append(Filter(source, refers, expression))
                continue
            made = _rule(name, parsed, source, expression)
            # the same rule in several of the folders is one rule
            place = (
                (made.id, made.title, str(source), str(expression)) if made.id else (name, str(len(rules)))
            )
            if place not in rules and parsed.name:
                names[made.id] = parsed.name
            rules.setdefault(place, made)
    tuned = [replace(rule, expression=tune(rule, names.get(rule.id, ""), filters)) for rule in rules.values()]
    whole = digest(b"".join(digest(data).encode() for _, data in files))
    return RuleSet(tuple(tuned), tuple(numbers), tuple(problems), whole)


def _parse(name: str, data: bytes, problems: list[ContentError]) -> list[SigmaRule | SigmaFilter]:
    """Read one file with pySigma."""
    try:
        documents = list(yaml.load_all(data, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name)
        problems.append(ContentError(f"not YAML: {getattr(error, 'problem', None) or error}", at=place))
        return []
    except (ValueError, RecursionError) as error:
        problems.append(ContentError(f"not YAML: {error}", at=Location(name)))
        return []
    if not all(isinstance(document, dict | None) for document in documents):
        problems.append(ContentError("a rule is a mapping", at=Location(name, 1)))
        return []
    if any(document and "correlation" in document for document in documents):
        what = "a correlation is not evaluated in this version"
        problems.append(UnsupportedError(what, at=_place(name, data, "'correlation'")))
    if not any(documents):
        problems.append(ContentError("there is no rule in it", at=Location(name), fix="delete the file"))
    plain = [d for d in documents if d and "correlation" not in d]
    try:
        collection = SigmaCollection.from_dicts(
            plain, collect_errors=True, collect_filters=True, resolve_references=False, policy=TrustedPolicy
        )
    except (SigmaError, TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
        problems.append(_problem(name, data, error))
        return []
    problems.extend(_problem(name, data, error) for error in collection.errors)
    found = (*collection.rules, *collection.filters)
    return [one for one in found if isinstance(one, SigmaRule | SigmaFilter) and not one.errors]


def _compile(
    name: str,
    data: bytes,
    parsed: SigmaRule | SigmaFilter,
    numbers: dict[Atom, int],
    problems: list[ContentError],
) -> Expression | None:
    mine: dict[Atom, int] = {}

    def number(atom: Atom) -> int:
        return mine.setdefault(atom, len(mine))

    try:
        if isinstance(parsed, SigmaFilter):
            expression = compile_searches(parsed.filter, number)
        else:
            expression = compile_rule(parsed, number)
    except UnsupportedError as error:
        problems.append(UnsupportedError(error.what, at=_place(name, data, error.what), fix=error.fix))
        return None
    except (SigmaError, RecursionError) as error:
        problems.append(_problem(name, data, error))
        return None
    # Only a rule that compiled as a whole adds its atoms.
    shared = [numbers.setdefault(atom, len(numbers)) for atom in mine]
    return _renumber(expression, shared)


def _rule(
    name: str, parsed: SigmaRule, source: tuple[str | None, str | None, str | None], expression: Expression
) -> Rule:
    return Rule(
        id=str(parsed.id or ""),
        title=parsed.title,
        level=parsed.level.name.lower() if parsed.level else "",
        tags=tuple(str(tag) for tag in parsed.tags),
        logsource=source,
        path=name,
        expression=expression,
    )


def _renumber(expression: Expression, numbers: Sequence[int]) -> Expression:
    if isinstance(expression, int):
        return numbers[expression]
    return [expression[0], *(_renumber(part, numbers) for part in expression[1:])]


def _problem(name: str, data: bytes, error: Exception) -> ContentError:
    said = str(error.args[0]) if error.args else type(error).__name__
    return ContentError(said, at=_place(name, data, said))


def _place(name: str, data: bytes, said: str) -> Location:
    """Find the line that an error speaks of: the first that holds a text it quotes, or the detection."""
    lines = data.decode("utf-8", "replace").splitlines()
    for quoted in re.findall(r"""["']([^"']{2,})["']""", said):
        for number, line in enumerate(lines, 1):
            if quoted in line:
                return Location(name, number, line.index(quoted) + 1)
    start = next((number for number, line in enumerate(lines, 1) if line.startswith("detection")), None)
    return Location(name, start)


def _keep(path: Path, known: RuleSet) -> None:
    """Keep a compiled set; readers see all of it or none."""
    document = {
        "format": FORMAT,
        "digest": known.digest,
        "atoms": [list(atom) for atom in known.atoms],
        "rules": [[r.id, r.title, r.level, r.tags, r.logsource, r.path, r.expression] for r in known.rules],
        "problems": [
            [type(p) is UnsupportedError, p.what, p.fix, p.at and [p.at.file, p.at.line, p.at.column]]
            for p in known.problems
        ],
    }
    durable.write(path, orjson.dumps(document))


def _recall(path: Path) -> RuleSet | None:
    """Read a compiled set; None if there is none or it is no such file."""
    try:
        document = orjson.loads(path.read_bytes())
        atoms = tuple(
            Atom(f, k, tuple(v) if isinstance(v, list) else v, c) for f, k, v, c in document["atoms"]
        )
        rules = tuple(
            Rule(i, t, v, tuple(g), (s[0], s[1], s[2]), p, e) for i, t, v, g, s, p, e in document["rules"]
        )
        problems = tuple(
            (UnsupportedError if unsupported else ContentError)(
                what, at=Location(*at) if at else None, fix=fix
            )
            for unsupported, what, fix, at in document["problems"]
        )
        return RuleSet(rules, atoms, problems, document["digest"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not ours: it is made anew
        return None

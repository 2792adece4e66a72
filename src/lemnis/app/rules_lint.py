"""Rules are checked without events: what keeps them from matching, or from being found and kept apart.

An error is something that the rule cannot do its work with; a warning may be meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from lemnis.app import exceptions
from lemnis.app.rules_fields import Served, Vocabulary, alike, vocabulary
from lemnis.app.rules_listed import cases
from lemnis.app.rules_schema import Finding, document_findings
from lemnis.app.rules_test import read_sample
from lemnis.content.library import Item, Library
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import ContentError, LemnisError, Location, NotFoundError, UnsupportedError
from lemnis.detect import Rule, RuleSet, load_rules
from lemnis.detect.atoms import atoms_of
from lemnis.detect.reading import Document, read
from lemnis.detect.rules import rule_files
from lemnis.detect.unmatchable import duplicates, unreachable
from lemnis.ingest.sources import Sources


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found, and in how many rules."""

    rules: int
    findings: tuple[Finding, ...]


def lint(library: Library) -> Linted:
    """Check the library's detections, their tests too."""
    sources = Sources.load(library)
    items = {str(item.manifest): item for item in library.items("detections").values()}
    pack = _Pack.load([item.manifest for item in items.values()], vocabulary(sources))
    found = [*map(_error, sources.problems), *pack.findings(items, sources)]
    found += (
        Finding("logsource", _unserved(rule), pack.place(rule, "logsource"), _SERVE)
        for rule in pack.loaded.rules
        if not pack.known.of(*rule.logsource)
    )
    found += (_error(problem, "exception") for problem in exceptions.lint(library, pack.loaded))
    for item in items.values():
        try:
            cases(item)
        except LemnisError as error:
            found.append(_error(error, "tests"))
    return Linted(len(pack.loaded.rules), tuple(sorted(found, key=_place)))


def lint_paths(
    library: Library, paths: Sequence[Path], *, cache: Path | None = None, known: Vocabulary | None = None
) -> Linted:
    """Check the rules in files and folders; raises NotFoundError for a path that is not there.

    Log sources that no source of the library serves are told once each. ``known`` is what the sources serve,
    where that is at hand.
    """
    for path in paths:
        if not path.exists():
            raise NotFoundError("no such file or folder", at=Location(str(path)))
    sources = Sources.load(library)
    pack = _Pack.load(paths, vocabulary(sources) if known is None else known, cache)
    return Linted(
        len(pack.loaded.rules), tuple(sorted((*pack.findings({}, sources), *pack.unserved()), key=_place))
    )


_LIST = "if the logs have it, list it in the source's fields.txt"
_SERVE = "add a route to a source.yaml"
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True)
class _Pack:
    """Rules compiled, and their documents as they were written."""

    loaded: RuleSet
    documents: dict[str, list[Document]]
    known: Vocabulary

    @classmethod
    def load(cls, paths: Sequence[Path], known: Vocabulary, cache: Path | None = None) -> _Pack:
        """Read and compile; what cannot be read is among the problems of the compiled."""
        documents = {}
        for path in rule_files(paths):
            try:
                documents[str(path)] = read(str(path), path.read_bytes())
            except (ContentError, OSError):  # loading says so, with its place
                continue
        return cls(load_rules(paths, cache=cache), documents, known)

    def findings(self, items: dict[str, Item], sources: Sources) -> Iterator[Finding]:
        """Yield what is wrong with the rules, each by itself and as a whole."""
        yield from map(_error, self.loaded.problems)
        for documents in self.documents.values():
            templated = False
            for document in documents:
                templated = templated or "action" in document.value
                yield from document_findings(document, templated=templated)
        yield from self._ids()
        for first, other in duplicates(self.loaded.rules, self.loaded.atoms):
            what = f"it asks the same as {first.title!r} in {first.path}"
            yield Finding("duplicate", what, self.place(other, "detection"), "keep one of them", warning=True)
        for rule in self.loaded.rules:
            served = self.known.of(*rule.logsource)
            several = frozenset[str]().union(*(one.several for one in served))
            why = unreachable(rule, self.loaded.atoms, several=several)
            if why is not None:
                yield Finding("unreachable", why, self.place(rule, "detection", "condition"))
            asked = _Asked(self._names(rule), served, self._document(rule), rule.path)
            yield from _unknown(asked, items.get(rule.path), sources)
        yield from self._correlated(items, sources)

    def unserved(self) -> Iterator[Finding]:
        """Yield the log sources that nothing serves, each at its first rule."""
        found: dict[object, list[Rule]] = defaultdict(list)
        for rule in self.loaded.rules:
            if not self.known.of(*rule.logsource):
                found[rule.logsource].append(rule)
        for first, *more in found.values():
            what = _unserved(first) + (f" (nor that of {counted(len(more), 'rule')} more)" if more else "")
            yield Finding("logsource", what, self.place(first, "logsource"), _SERVE, warning=True)

    def place(self, rule: Rule, *path: str) -> Location:
        """Return where a key of a rule is."""
        document = self._document(rule)
        return document.at(*path) if document is not None else Location(rule.path)

    def _document(self, rule: Rule) -> Document | None:
        mine = self.documents.get(rule.path, [])
        return next((one for one in mine if str(one.value.get("id", "")) == rule.id), next(iter(mine), None))

    def _all(self) -> Iterator[Document]:
        for several in self.documents.values():
            yield from several

    def _ids(self) -> Iterator[Finding]:
        """Yield documents that are the copy of another one, and ids that two have."""
        seen: dict[bytes, Document] = {}
        ids: dict[str, Document] = {}
        for document in self._all():
            key = orjson.dumps(document.value, default=str, option=_SORTED)
            other = seen.setdefault(key, document)
            if other is not document:
                what = f"an exact copy of what stands in {other.file}"
                yield Finding("copy", what, document.at(), "delete it", warning=True)
                continue
            id_ = str(document.value.get("id") or "")
            other = ids.setdefault(id_, document)
            if id_ and other is not document:
                what = f"id {id_} is also that of {other.file}"
                yield Finding("id", what, document.at("id"), "give it one of its own")

    def _correlated(self, items: dict[str, Item], sources: Sources) -> Iterator[Finding]:
        """Yield the fields by which correlations group and reckon that the rules beneath do not have."""
        rules = {rule.id or rule.title: rule for rule in self.loaded.rules}
        for one in self.loaded.correlations:
            mine = self.documents.get(one.path, [])
            document = next((doc for doc in mine if str(doc.value.get("id", "")) == one.id), None)
            told: set[str] = set()
            for ref, groups, values in zip(one.references, one.groups, one.values, strict=True):
                rule = rules.get(ref.key)
                if rule is None:  # a correlation, whose fields are known, or whatever is of a level
                    continue
                names = [name for name in dict.fromkeys((*groups, *values)) if name not in told]
                asked = _Asked(names, self.known.of(*rule.logsource), document, one.path)
                for found in _unknown(asked, items.get(one.path), sources):
                    told.update(name for name in names if repr(name) in found.what)
                    yield found

    def _names(self, rule: Rule) -> list[str]:
        """Return the fields that a rule looks at."""
        found: dict[str, None] = {}
        for number in atoms_of(rule.expression):
            atom = self.loaded.atoms[number]
            if atom.field is not None:
                found[atom.field] = None
            if atom.kind == "field":
                found[atom.value[0]] = None
        return list(found)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Fields that a rule or correlation asks for, of which sources, and where it stands."""

    names: Sequence[str]
    served: Sequence[Served]
    document: Document | None
    path: str


def _unknown(asked: _Asked, item: Item | None, sources: Sources) -> Iterator[Finding]:
    """Yield the fields that none of the sources serves; those of the detection's own samples are known."""
    served = asked.served
    unknown = [name for name in asked.names if served and not any(one.has(name) for one in served)]
    if unknown and item is not None:
        sampled = _sampled(item, sources)
        unknown = [name for name in unknown if name not in sampled]
    for name in unknown:
        at = Location(asked.path) if asked.document is None else asked.document.about(f"'{name}'")
        meant = alike(name, (one for source in served for one in source.names))
        yield Finding(
            "field", f"no source of its log source is known to serve the field {name!r}", at,
            f"did you mean {meant!r}?" if meant else _LIST, warning=not all(one.fixed for one in served),
        )  # fmt: skip


def _sampled(item: Item, sources: Sources) -> set[str]:
    """Return the fields of a detection's own samples; none where they cannot be read, which is told apart."""
    names: set[str] = set()
    try:
        for case in cases(item):
            for batch, _ in read_sample(item.folder, case, sources).batches:
                names.update(batch.fields.column_names)
    except LemnisError:
        return names
    return names


def _unserved(rule: Rule) -> str:
    parts = zip(("product", "category", "service"), rule.logsource, strict=True)
    said = ", ".join(f"{name} {value}" for name, value in parts if value is not None)
    return f"no source serves the rule's logsource: {said}"


def _error(error: LemnisError, check: str = "") -> Finding:
    unsupported = "unsupported" if isinstance(error, UnsupportedError) else "schema"
    return Finding(check or unsupported, error.what, error.at or Location(), error.fix)


def _place(finding: Finding) -> tuple[str, int, int, str]:
    at = finding.at
    return at.file, at.line or 0, at.column or 0, finding.what

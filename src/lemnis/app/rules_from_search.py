r"""A search as a detection: the rule, in Sigma, that finds the same events of one log source.

A search names OCSF attributes, a rule the fields of a log source. So the events that the search finds are
looked at first: of which source they are, to which Sigma log source its routes give them, and by which Sigma
fields its mapping filled the attributes that the search asks for. What no field of the source says is left
out, and told.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import yaml as pyyaml

from lemnis import app
from lemnis.app import query as asking
from lemnis.app import searches, trying
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.clock import to_iso
from lemnis.contracts.detection import Offers
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.events import EventBatch
from lemnis.enrich.view import FIELDS
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.ingest.frames import event_frames, names
from lemnis.ingest.mapping_lines import plain
from lemnis.ingest.mapping_plan import FILLED, plans
from lemnis.ingest.sources import Sources
from lemnis.store.columns import leaf
from lemnis.store.rows import table_name
from lemnis.store.searching import addresses, known, pipes
from lemnis.store.searching.compiling import bounds
from lemnis.store.searching.fields import Classes
from lemnis.store.searching.tree import Group, Node, Not, Query, Term, Where

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.store.lakes import Readable
    from lemnis.store.search import Search
    from lemnis.store.searching.veils import Veil

LOOKED, SECONDS = 2_000, 20.0
"""So many of the events that a search finds are looked at, for so long."""
_DEEPEST = 12
_COMPARED = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_OF_OURS = ("source", "class", "uid", "metadata.log_name", "metadata.uid", "class_name", "class_uid")
_SOURCE = ("source", "metadata.log_name")
Body = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A rule's text, the source that it is for, and what of the search it leaves out and why."""

    text: str
    source: str
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What a rule may ask of a source: its log source, and the Sigma fields that say an attribute."""

    source: str
    logsource: Mapping[str, str]
    by_path: Mapping[str, tuple[str, ...]]
    paths: Callable[[str], Sequence[str]]

    def fields(self, name: str) -> list[str]:
        """Return the Sigma fields that say what a search calls so."""
        if name in FIELDS or known.SHORT.get(name) in FIELDS:
            return [known.SHORT.get(name, name)]
        return list(dict.fromkeys(one for path in self.paths(name) for one in self.by_path.get(path, ())))


def drawn(
    workspace: app.Workspace,
    library: Library,
    text: str,
    *,
    since: str = "",
    until: str = "",
    number: uuid.UUID,
    veil: Veil | None = None,
) -> Drawn:
    """Return the rule that finds what a search finds; raises InputError that points into the query.

    Of a search that finds events of several sources, the rule is for the one that most of them are of.
    """
    whole, saved = searches.expand(workspace, text)
    query = pipes.parse(whole)
    now = workspace.clock.now()
    node, _, _ = bounds(query.filter, now)
    test, left = _tests(node, query)
    asked = asking.asked(
        workspace, Query(query.filter, _first(query)), since=since or saved.since, until=until or saved.until,
        limit=LOOKED, timeout=SECONDS, veil=veil,
    )  # fmt: skip
    batches = list(_events(asked))
    counts: Counter[str] = Counter()
    for one in batches:
        counts[one.source] += len(one)
    if not counts:
        left.append("the log source: the search finds no event in this time, so nobody knows of which it is")
        return Drawn(written({}, {}, "selection", whole, number, now), "", tuple(left))
    source, _ = max(counts.items(), key=lambda pair: (pair[1], pair[0]))
    left += [f"events of {one}: a rule is of one log source" for one in sorted(counts) if one != source]
    view = view_of(workspace, library, source, [one for one in batches if one.source == source])
    rule = Rule(view)
    condition = rule.of(test) if test is not None else ""
    if not condition:
        left.append("a condition: nothing in the search asks for what a rule can ask for")
    return Drawn(
        written(view.logsource, rule.selections, condition or "selection", whole, number, now), source,
        (*left, *rule.left),
    )  # fmt: skip


def _tests(node: Node | None, query: Query) -> tuple[Node | None, list[str]]:
    """Return what a query demands of events, as one filter, and the stages that are not of it. Pure."""
    first = _first(query)
    wanted = [*([node] if node is not None else []), *(one.test for one in first)]
    left = [
        f"| {type(one).__name__.lower()}: a rule finds events, and makes no rows of them"
        for one in query.stages[len(first) :]
    ]
    if not wanted:
        return None, left
    return (wanted[0] if len(wanted) == 1 else Group("AND", tuple(wanted))), left


def _first(query: Query) -> tuple[Where, ...]:
    """Return the tests that a query's stages begin with. Pure."""
    found: list[Where] = []
    for one in query.stages:
        if not isinstance(one, Where):
            break
        found.append(one)
    return tuple(found)


def _events(found: Search) -> Iterator[EventBatch]:
    """Yield the newest events that a query finds, by class and source; findings of our own are none."""
    for _, table in found.batches():
        sources = leaf(table, "metadata.log_name")
        said = sources.to_pylist() if sources is not None else []
        for name in sorted({one for one in said if one and one != OWN}):
            mine = table.filter(pa.array([one == name for one in said]))
            yield EventBatch(int(mine["class_uid"][0].as_py()), name, "search", mine)


# -- what a source says --------------------------------------------------------------------------------------


def view_of(workspace: app.Workspace, library: Library, name: str, batches: Sequence[EventBatch]) -> View:
    """Return what a rule may ask of a source's events, as its routes and mapping have it.

    Raises NotFoundError for a source that is no more.
    """
    found = Sources.load(library).by_name.get(name)
    if found is None:
        raise NotFoundError(
            f"there is no source {name!r} any more", fix="a rule needs a source that is there"
        )
    classes = Classes({one: s.schema for one, s in app.events(workspace).snapshots().items()})
    mine = {table_name(one.class_uid) for one in batches} & classes.schemas.keys()

    def paths(field_name: str) -> list[str]:
        return list(dict.fromkeys(path for one in sorted(mine) for path in classes.paths(one, field_name)))

    offers: Counter[Offers] = Counter()
    for batch in batches:
        for frame in event_frames(batch, found):
            offers[frame.offers] += len(frame.rows)
    return View(name, logsource(offers), by_path(found, offers), paths)


def logsource(offers: Counter[Offers]) -> dict[str, str]:
    """Return a Sigma log source of all of the rows, as narrow as can be, else of most of them. Pure."""
    if not any(one != Offers() for one in offers):
        return {}
    shared = {key: frozenset.intersection(*map(of, offers)) for key, of in _PARTS.items()}
    found = {key: min(values) for key, values in shared.items() if values}
    if found:
        return found
    best = max(
        (one for one in offers if one != Offers()), key=lambda one: (offers[one], sorted(one.products))
    )
    return {key: min(of(best)) for key, of in _PARTS.items() if of(best)}


_PARTS: Mapping[str, Callable[[Offers], frozenset[str]]] = {
    "product": lambda one: one.products, "category": lambda one: one.categories,
    "service": lambda one: one.services,
}  # fmt: skip


def by_path(source: LoadedSource, offers: Iterable[Offers]) -> dict[str, tuple[str, ...]]:
    """Return, by the attribute, the Sigma fields of a source that hold its value as it is. Pure."""
    served = list(offers)
    routes = [
        route for route in source.file.sigma.routes
        if any(all(frozenset(getattr(route, key)) <= of(one) for key, of in _PARTS.items()) for one in served)
    ]  # fmt: skip
    named = names(source, routes)
    found: dict[str, dict[str, None]] = {}
    for name, one in named.items():
        if one.ocsf is not None:
            found.setdefault(one.ocsf, {})[name] = None
    for plan in plans(source):
        for raw, where in plan.kept.items():
            for path in where:
                for name in _called(raw, named):
                    if path not in FILLED:
                        found.setdefault(path, {})[name] = None
    return {path: tuple(some) for path, some in found.items()}


def _called(raw: str, named: Mapping[str, Any]) -> Iterator[str]:
    """Yield the Sigma fields that copy a raw field: those named for it, or itself."""
    copies = [
        name for name, one in named.items()
        if one.line is not None and plain(one.line) and tuple(one.line.source) == (raw,)
    ]  # fmt: skip
    if copies:
        yield copies[0]
    elif raw not in named:
        yield raw


# -- what a rule says ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Rule:
    """A filter made into a rule's searches and their condition; what cannot be said is noted."""

    view: View
    selections: dict[str, Body] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def of(self, node: Node, depth: int = 0) -> str:
        """Return the condition that a filter is; empty where nothing of it can be said."""
        if isinstance(node, Not):
            inner = self.of(node.operand, depth + 1)
            return f"not {_bracketed(inner)}" if inner else ""
        if isinstance(node, Term):
            body = self.term(node)
            return self._name("selection", body) if body else ""
        if depth > _DEEPEST:
            self.left.append("a part that is nested too deep")
            return ""
        return self._all(node, depth) if node.operator == "AND" else self._any(node, depth)

    def _all(self, node: Group, depth: int) -> str:
        """Return what demands every part: tests of fields are one search."""
        together: dict[str, Any] = {}
        rest: list[str] = []
        for one in node.operands:
            body = self._map(one)
            if body is None or together.keys() & body.keys():
                inner = self.of(one, depth + 1)
                rest += [_bracketed(inner)] if inner else []
            else:
                together |= body
        first = [self._name("selection", together)] if together else []
        return " and ".join([*first, *rest])

    def _any(self, node: Group, depth: int) -> str:
        """Return what demands one of the parts: tests of fields are one search, and so are words."""
        if body := self._map(node):
            return self._name("selection", body)
        maps: list[Any] = []
        said: list[str] = []
        for one in node.operands:
            body = self._map(one)
            if body:
                maps.append(body)
            elif inner := self.of(one, depth + 1):
                said.append(_bracketed(inner))
        first = [self._name("selection", maps if len(maps) > 1 else maps[0])] if maps else []
        return " or ".join([*first, *said])

    def _map(self, node: Node) -> dict[str, Any] | None:
        """Return a test of one field, or of one of several values, as a map; None where it is not one."""
        if isinstance(node, Term):
            if not node.field or _ours(node.field):
                return None
            body = self.term(node, told=False)
            return body if isinstance(body, dict) else None
        if isinstance(node, Group) and node.operator == "OR":
            some = [self._map(one) for one in node.operands]
            keys = {key for one in some if one for key in one}
            if all(some) and len(keys) == 1:
                (key,) = keys
                values = [value for one in some if one for value in one.values()]
                return {key: values}
        return None

    def term(self, term: Term, *, told: bool = True) -> Body:
        """Return the search that is one test; empty where it cannot be said."""
        if not term.field:
            if term.regex:
                return self._leave(f"/{term.value}/: a keyword is no regular expression", told=told)
            return [written_value(term)]
        name, said = term.field, f"{term.field}{term.operator}{term.value}"
        if _ours(name):
            mine = name in _SOURCE and term.value == self.view.source
            return {} if mine else self._leave(f"{said}: the log source stands in its place", told=told)
        there = self.view.fields(name)
        key, value = _tested(term)
        if not there or key is None:
            why = "no rule compares texts" if there else f"no field of {self.view.source} says it as it is"
            return self._leave(f"{said}: {why}", told=told)
        tests = [{f"{one}{key}": value} for one in there]
        return tests[0] if len(tests) == 1 else tests

    def _leave(self, what: str, *, told: bool) -> Body:
        if told:
            self.left.append(what)
        return {}

    def _name(self, stem: str, body: Body) -> str:
        words = isinstance(body, list) and all(isinstance(one, str) for one in body)
        stem = "keywords" if words else stem
        taken = sum(one.startswith(stem) for one in self.selections)
        name = stem if not taken else f"{stem}_{taken + 1}"
        self.selections[name] = body
        return name


def _ours(name: str) -> bool:
    return name in _OF_OURS


def _bracketed(condition: str) -> str:
    return f"({condition})" if " and " in condition or " or " in condition else condition


def _tested(term: Term) -> tuple[str | None, Any]:
    """Return the modifiers and the value of a test of a field; None where a rule cannot test so. Pure."""
    if term.operator != ":":
        number = _number(term.value)
        return (None, None) if number is None else (f"|{_COMPARED[term.operator]}", number)
    if term.regex:
        return "|re|i", term.value
    if term.pattern == "%":
        return "|exists", True
    if term.pattern is None and not term.quoted and addresses.looks(term.value):
        return "|cidr", term.value
    return "", written_value(term)


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < 1e300 else None  # noqa: PLR2004 - neither infinite nor nearly so


def written_value(term: Term) -> str:
    r"""Return a value as Sigma writes it; ``*`` and ``?`` are wildcards, and plain after a ``\``. Pure."""
    if term.pattern is None:
        return _escaped(term.value)
    text, signs = "", iter(term.pattern)
    for one in signs:
        text += {"%": "*", "_": "?"}.get(one) or _escaped(next(signs, "") if one == "\\" else one)
    return text


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def written(  # noqa: PLR0917 - the parts of a rule
    logsource: Mapping[str, str], selections: Mapping[str, Body], condition: str, query: str,
    number: uuid.UUID, now: int,
) -> str:  # fmt: skip
    """Return the text of a rule that is drawn from a search, or of a new one. Pure."""
    told = " ".join(query.split())[:300]
    about = f"Drawn from the search: {told}" if told else "What it looks for, and why that matters."
    searched = selections or {"selection": {"CommandLine|contains": "change me"}}
    document = {
        "title": "A new detection",
        "id": str(number),
        "status": "experimental",
        "description": about,
        "date": to_iso(now)[:10],
        "logsource": dict(logsource) or {"category": "process_creation", "product": "linux"},
        "detection": {**searched, "condition": condition},
        "level": "medium",
        "tags": [],
    }  # fmt: skip
    return pyyaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000)


# -- proof ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alike:
    """A search and a rule over the same time: what both find, and what only one of them does."""

    both: int
    search: tuple[str, ...]
    rule: tuple[str, ...]
    whole: bool = True

    @property
    def same(self) -> bool:
        """Say whether they find the same."""
        return not self.search and not self.rule


def proven(
    workspace: app.Workspace, library: Library, query: str, text: str, *, since: str = "", until: str = "",
    veil: Veil | None = None, lake: Readable | None = None,
) -> Alike:  # fmt: skip
    """Run a search and a rule over the same time; raises InputError for a query or a time that is none.

    ``veil`` and ``lake`` are what whoever asks does not see, and what is left for the rule.
    """
    whole, saved = searches.expand(workspace, query)
    parsed = pipes.parse(whole)
    asked = asking.asked(
        workspace, Query(parsed.filter, _first(parsed)), since=since or saved.since,
        until=until or saved.until, limit=trying.MOST, timeout=SECONDS, veil=veil,
    )  # fmt: skip
    found = {hit.uid for some in asked.found() for hit in some if _source(hit.event) != OWN}
    tried = trying.tried(workspace, library, text, start=asked.start, end=asked.end, lake=lake)
    fired = {uid for one in tried.alerts for uid in one.event_uids}
    return alike(found, fired, whole=tried.whole and not asked.more)


def _source(event: Mapping[str, Any]) -> str:
    return str((event.get("metadata") or {}).get("log_name", ""))


def alike(found: Iterable[str], fired: Iterable[str], *, whole: bool) -> Alike:
    """Compare the events of a search with those of a rule. Pure."""
    asked, told = set(found), set(fired)
    return Alike(len(asked & told), tuple(sorted(asked - told)), tuple(sorted(told - asked)), whole)

"""Which sources, in which tables, rules can match at all: by log source, and by the fields that they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource, SigmaField
from lemnis.detect.atoms import Atom, needed
from lemnis.detect.rules import Rule
from lemnis.ingest.frames import offered
from lemnis.store.columns import leaf

_OF_ABSENCE = frozenset({"null", "exists"})
"""The kinds of question to which a field that is not there can be the right answer."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The sources by table that some rule can match, and the rules that no source serves."""

    sources: Mapping[str, frozenset[str]]
    unserved: tuple[Rule, ...]


def reach(
    rules: Sequence[Rule],
    atoms: Sequence[Atom],
    sources: Mapping[str, LoadedSource],
    schemas: Mapping[str, pa.Schema],
) -> Reach:
    """Find out where rules can match. Pure, and never too narrow: what it leaves out cannot match.

    A rule needs a source whose routes offer its log source. Of a field that the source takes from an OCSF
    path, the table must have that column, unless the rule can hold without the field.
    """
    serving = {
        name: [rule for rule in rules if offered(source).serves(*rule.logsource)]
        for name, source in sources.items()
    }
    served = {id(rule) for some in serving.values() for rule in some}
    found: dict[str, frozenset[str]] = {}
    for table, schema in schemas.items():
        empty = schema.empty_table()
        found[table] = frozenset(
            name
            for name, some in serving.items()
            if any(_can(rule, atoms, _paths(sources[name]), empty) for rule in some)
        )
    return Reach(found, tuple(rule for rule in rules if id(rule) not in served))


def _paths(source: LoadedSource) -> Mapping[str, frozenset[str]]:
    """Return the fields that a source takes from OCSF paths only, on whatever route, with the paths."""
    view = source.file.sigma
    named: dict[str, list[SigmaField]] = {}
    for some in (view.fields, *(route.fields for route in view.routes)):
        for name, one in some.items():
            named.setdefault(name, []).append(one)
    return {
        name: frozenset(path for one in some if (path := one.ocsf) is not None)
        for name, some in named.items()
        if all(one.ocsf is not None for one in some)
    }


def _can(rule: Rule, atoms: Sequence[Atom], paths: Mapping[str, frozenset[str]], empty: pa.Table) -> bool:
    """Say whether one of the questions of which some must be answered with yes can be."""
    some = needed(rule.expression)
    return some is None or any(_may(atoms[number], paths, empty) for number in some)


def _may(atom: Atom, paths: Mapping[str, frozenset[str]], empty: pa.Table) -> bool:
    if atom.field is None or atom.kind in _OF_ABSENCE or atom.field not in paths:
        return True
    return any(leaf(empty, path) is not None for path in paths[atom.field])

"""Rules that would confirm people: they look for a value where somebody's name stands. Pure.

What a rule finds, and how often, tells whether the value is there. So rules are tried as searches are: a
field that is or holds personal data takes a purpose. Who asks whether a field is there at all, or is as
another field is, has named nobody. Words are looked for in records without people (``nameless``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lemnis.app.access.masking import Masker
from lemnis.content.schemas.source import LoadedSource, Route
from lemnis.detect.atoms import MANY, Atom, atoms_of
from lemnis.detect.ruleset import Rule, RuleSet
from lemnis.ingest.frames import offered

_NAMELESS = frozenset({"null", "exists", "field"})
_RECORDS = "the whole record"


def asked(rules: RuleSet, sources: Iterable[LoadedSource], masker: Masker) -> str:
    """Return the first field in which a rule looks for somebody, as the sources serve it; empty: in none."""
    every = tuple(sources)
    return next((name for one in rules.rules for name in _named(one, rules.atoms, every, masker)), "")


def _named(
    rule: Rule, atoms: tuple[Atom, ...], sources: tuple[LoadedSource, ...], masker: Masker
) -> Iterator[str]:
    mine = seen_by(rule, sources)
    for atom in (atoms[number] for number in atoms_of(rule.expression)):
        if _names_somebody(atom) and mine:
            if atom.field is None:
                if atom.kind != "text":
                    yield _RECORDS
            elif holds(masker, mine, atom.field, rule):
                yield atom.field


def words(rules: RuleSet) -> frozenset[str]:
    """Return what stands in every record that has one of the words that rules look for."""
    numbers = {number for rule in rules.rules for number in atoms_of(rule.expression)}
    parts = (rules.atoms[one].value for one in numbers if rules.atoms[one].field is None)
    literal = ([part for part in some if isinstance(part, str) and part] for some in parts)
    return frozenset(max(some, key=len) for some in literal if some)


def seen_by(rule: Rule, sources: Iterable[LoadedSource]) -> list[LoadedSource]:
    """Return the sources whose events a rule looks at."""
    return [one for one in sources if offered(one).serves(*rule.logsource)]


def holds(masker: Masker, sources: Iterable[LoadedSource], field: str, rule: Rule) -> bool:
    """Say whether a rule's field is, holds or is made of personal data in the events of these sources."""
    return any(masker.holds(one.name, places(one, field, rule)) for one in sources)


def _names_somebody(atom: Atom) -> bool:
    """Say whether a question has a value that could be somebody's."""
    if atom.kind == "text":
        return any(part != MANY for part in atom.value)
    return atom.kind not in _NAMELESS


def places(source: LoadedSource, field: str, rule: Rule) -> frozenset[str]:
    """Return what a rule's field is in a source: a raw field, those that it is made of, or an OCSF path."""
    view, found = source.file.sigma, {field}
    for named in (view.fields, *(route.fields for route in view.routes if _fits(route, rule))):
        if (one := named.get(field)) is not None:
            found |= {one.ocsf} if one.ocsf is not None else set()
            found |= set(one.line.source) if one.line is not None else set()
    return frozenset(found)


def _fits(route: Route, rule: Rule) -> bool:
    """Say whether rows of a route may be among those that a rule looks at."""
    parts = zip(rule.logsource, (route.product, route.category, route.service), strict=True)
    return all(asked is None or not offers or asked in offers for asked, offers in parts)

"""Which detections are blind while a source is: those it feeds, or those that read a field of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from lemnis.app.coverage_attack import tags
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.correlations import Correlation
from lemnis.contracts.detection import Offers
from lemnis.detect.atoms import atoms_of
from lemnis.detect.rules import Rule, RuleSet
from lemnis.ingest.frames import offered
from lemnis.ingest.mapping_plan import plans

_LEVELS = ("critical", "high", "medium", "low", "informational")


@dataclass(frozen=True, slots=True)
class Blind:
    """One detection that does not see: its name, rule, level and techniques, and what it does instead.

    ``elsewhere`` are other living sources that still feed it. An ``absence`` does not fire meanwhile: it is
    withheld, because a silent source has not told that nothing happened.
    """

    name: str
    rule_id: str
    title: str
    level: str
    techniques: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    withheld: bool = False


@dataclass(frozen=True)
class Seeing:
    """The rules of a workspace and the sources that feed them."""

    loaded: RuleSet
    sources: Mapping[str, LoadedSource]
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _offers(self) -> dict[str, Offers]:
        return {name: offered(source) for name, source in self.sources.items()}

    @cached_property
    def _reads(self) -> list[frozenset[str]]:
        """The Sigma fields that each rule asks for."""
        return [
            frozenset(
                name
                for number in atoms_of(rule.expression)
                if (name := self.loaded.atoms[number].field) is not None
            )
            for rule in self.loaded.rules
        ]

    def without(self, source: str, living: Collection[str]) -> tuple[Blind, ...]:
        """Return what a source feeds; ``living`` are the sources that still speak."""
        return self._blind(source, living, None)

    def without_fields(
        self, source: str, fields: Collection[str], living: Collection[str]
    ) -> tuple[Blind, ...]:
        """Return what reads one of a source's raw fields."""
        known = self.sources.get(source)
        return () if known is None or not fields else self._blind(source, living, _sigma(known, fields))

    def feeding(self) -> Iterator[tuple[Blind, tuple[frozenset[str], ...]]]:
        """Yield each detection with the sources that can feed it: of a correlation, for each of its rules."""
        by_logsource: dict[tuple[str | None, str | None, str | None], frozenset[str]] = {}
        keys: dict[str, frozenset[str]] = {}
        for rule in self.loaded.rules:
            if rule.logsource not in by_logsource:
                by_logsource[rule.logsource] = frozenset(
                    name for name, offers in self._offers.items() if offers.serves(*rule.logsource)
                )
            keys[rule.id or rule.title] = by_logsource[rule.logsource]
            yield self._one(rule, ()), (by_logsource[rule.logsource],)
        for one in self.loaded.correlations:  # those that chain on others are fed by what feeds these
            parts = tuple(keys[part.key] for part in one.references if part.key in keys)
            yield self._one(one, ()), parts

    def _blind(
        self, source: str, living: Collection[str], fields: frozenset[str] | None
    ) -> tuple[Blind, ...]:
        offers = self._offers.get(source)
        if offers is None:
            return ()
        found = []
        keys: dict[str, tuple[str, ...]] = {}
        for rule, reads in zip(self.loaded.rules, self._reads, strict=True):
            if not offers.serves(*rule.logsource) or (fields is not None and not reads & fields):
                continue
            others = tuple(name for name in sorted(living) if name != source and self._serves(name, rule))
            keys[rule.id or rule.title] = others
            found.append(self._one(rule, others))
        for one in self.loaded.correlations:
            hit = [keys[part.key] for part in one.references if part.key in keys]
            if hit:
                others = tuple(sorted(set(hit[0]).intersection(*hit[1:])))
                keys[one.key] = others
                found.append(self._one(one, others, withheld=one.kind == "absence"))
        return tuple(sorted(found, key=lambda one: (bool(one.elsewhere), _rank(one.level), one.name)))

    def _serves(self, name: str, rule: Rule) -> bool:
        offers = self._offers.get(name)
        return offers is not None and offers.serves(*rule.logsource)

    def _one(self, rule: Rule | Correlation, others: tuple[str, ...], *, withheld: bool = False) -> Blind:
        name = self.names.get(rule.path, rule.path)
        return Blind(name, rule.id, rule.title, rule.level, tags(rule)[0], others, withheld)


def techniques(blind: Iterable[Blind]) -> tuple[str, ...]:
    """Return the techniques that nothing sees any more; those still fed from elsewhere are left out."""
    return tuple(sorted({one for rule in blind if not rule.elsewhere for one in rule.techniques}))


def _rank(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else len(_LEVELS)


def _sigma(source: LoadedSource, fields: Collection[str]) -> frozenset[str]:
    """Return the Sigma fields that are made of raw fields of a source."""
    raw = frozenset(fields)
    paths = {path for plan in plans(source) for path, lines in plan.lines.items() if _of(lines, raw)}
    return raw | frozenset(_named(source, raw, paths))


def _of(lines: Iterable[object], raw: frozenset[str]) -> bool:
    return any(raw.intersection(getattr(line, "source", ())) for line in lines)


def _named(source: LoadedSource, raw: frozenset[str], paths: Collection[str]) -> Iterator[str]:
    view = source.file.sigma
    for named in (view.fields, *(route.fields for route in view.routes)):
        for name, one in named.items():
            if (one.ocsf in paths) or (one.line is not None and raw.intersection(one.line.source)):
                yield name

"""Proposes an exception for a noisy rule, and measures it: what it takes away, what it hides from the rule.

A candidate is the value of an entity that many of the rule's alerts are about, in the Sigma field that held
it. Every candidate is compiled and run over the lake as the exception that it would be. One that would take
away an alert of an incident that was judged real, or most events of the log source, is not proposed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import yaml as pyyaml

from lemnis.app import exceptions
from lemnis.app.detection import Detection, detection, times
from lemnis.app.exceptions import Compiled, compiled
from lemnis.app.exceptions_report import Progress, quiet
from lemnis.app.noise import Noise, uids_of
from lemnis.app.rates import DAY
from lemnis.content.library import Item, Library
from lemnis.content.schemas.rule_exception import KIND
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.counting import counted
from lemnis.contracts.events import EventBatch
from lemnis.detect.matcher import Matcher
from lemnis.detect.rules import Rule, load_rules
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.store.lakes import Readable

LEAST = 3  # alerts that a value must account for
SHARE = 0.2
WIDE = 0.5  # of the log source's events: more, and the rule is as good as off
_TRIED = 3
_NOISIEST = 20
_DAYS = 90
_UNFIT = frozenset({EntityKind.OWNER, EntityKind.BUILD, EntityKind.COMMIT, EntityKind.SOURCE_LINE})


@dataclass(slots=True)
class Proposal:
    """A filter for a rule, as the file that would be written, and what it did over the lake.

    It takes away ``removed`` of the ``fired`` events for which the rule fires; of the ``events`` of its log
    source, the rule would see nothing in ``hidden``; ``real`` are removed ones that were judged real.
    """

    rule: Rule
    entity: Entity
    field: str
    text: str
    fired: int = 0
    removed: int = 0
    hidden: int = 0
    events: int = 0
    real: int = 0

    @property
    def against(self) -> str:
        """Say why it should not be taken, or nothing."""
        if self.real:
            return (
                f"it would take away {counted(self.real, 'alert')} of incidents that are open or judged real"
            )
        if not self.removed:
            return "it takes nothing away"
        if self.hidden > WIDE * self.events:
            return f"{self.field} is so in {100 * self.hidden / self.events:.0f} % of the log source's events"
        return ""


def candidates(noise: Mapping[str, Noise], *, owner: str, now: int) -> list[Proposal]:
    """Return what could be proposed for the noisiest rules, not measured yet."""
    found: list[Proposal] = []
    for one in sorted(noise.values(), key=lambda one: (-one.alerts, one.name))[:_NOISIEST]:
        known = reference(one.rule)
        named = [(e, n) for e, n in one.entities.most_common(50) if e in one.fields and e.kind not in _UNFIT]
        enough = max(LEAST, SHARE * one.alerts)
        for entity, count in named[:_TRIED] if known else ():
            if count >= enough:
                name = field_of(one, entity)
                text = written(one, entity, name, count, owner=owner, now=now)
                found.append(Proposal(one.rule, entity, name, text))
    return found


def field_of(noise: Noise, entity: Entity) -> str:
    """Return the field that held the entity's value most often; of equals, what the rule's kind calls it."""
    counts = noise.fields[entity]
    return min(counts, key=lambda name: (-counts[name], len(name), name))


def reference(rule: Rule) -> str:
    """Return how an exception names a rule, or nothing where it cannot."""
    path = Path(rule.path)
    return rule.id or (path.parent.name if path.name == "rule.yml" else "")


def written(noise: Noise, entity: Entity, name: str, count: int, *, owner: str, now: int) -> str:
    """Return the exception's file."""
    rule = noise.rule
    parts = zip(("product", "category", "service"), rule.logsource, strict=True)
    first, last, expires = (
        datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
        for at in (noise.span.first, noise.span.last, now + _DAYS * DAY)
    )
    document = {
        "title": f"{rule.title}: not for {entity.kind} {entity.value}",
        "logsource": {part: value for part, value in parts if value is not None},
        "filter": {
            "rules": [reference(rule)],
            "selection": {name: escaped(entity.value)},
            "condition": "not selection",
        },
        "x-lemnis": {
            "owner": owner, "expires": expires,
            "reason": f"PROPOSED, to be confirmed: {entity.value} is in {count} of {noise.alerts} alerts of "
            f"{first} to {last}",
        },
    }  # fmt: skip
    return pyyaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def escaped(value: str) -> str:
    r"""Return a value as Sigma writes it: ``\``, ``*`` and ``?`` stand for themselves after a ``\``."""
    return value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def measured(
    lake: Readable,
    library: Library,
    proposals: Sequence[Proposal],
    *,
    real: Collection[str] = (),
    start: int | None = None,
    end: int | None = None,
    progress: Progress = quiet,
    cache: Path | None = None,
) -> list[Proposal]:
    """Run candidates over the lake and fill in what each did; ``real`` are events of what was judged real."""
    if not proposals:
        return []
    with _running(library, proposals, cache) as running:
        seen = 0
        for batch in lake.scan(start=start, end=end):
            if batch.source != OWN:
                running.count(batch, real)
                seen += len(batch)
                progress(seen, int(times(batch)[-1]))
    return list(proposals)


def best(proposals: Sequence[Proposal], rule: str) -> Proposal | None:
    """Return the proposal for a rule that takes most away, and least from sight; None if there is none."""
    mine = [one for one in proposals if (one.rule.id or one.rule.title) == rule]
    fit = [one for one in mine if not one.against]
    return min(fit or mine, key=lambda one: (-one.removed, one.hidden), default=None)


@dataclass(frozen=True, slots=True)
class _Running:
    """Rules with their exceptions, and candidates laid over both."""

    detecting: Detection
    over: exceptions.Excepting
    proposals: Mapping[str, Proposal]

    def count(self, batch: EventBatch, real: Collection[str]) -> None:
        """Count what each candidate does to a batch."""
        matches = self.detecting.all_matches(batch)
        for frame in self.detecting.frames(batch):
            for one in self.proposals.values():
                if frame.offers.serves(*one.rule.logsource):
                    one.events += len(frame)
        away: dict[int, set[int]] = {}
        for match in matches:
            if match.rule >= self.over.count:
                away.setdefault(match.rule, set()).update(match.rows)
        for place, rows in away.items():
            self.proposals[self.over.over[place].name].hidden += len(rows)
        told = [match for match in matches if match.rule < self.over.count]
        if self.detecting.excepting is not None:
            told = self.detecting.excepting.kept(told, times(batch))
        for match in told:
            for place in self.over.meant.get(match.rule, ()):
                rows = away.get(place, set()).intersection(match.rows)
                mine = self.proposals[self.over.over[place].name]
                mine.fired += len(match.rows)
                mine.removed += len(rows)
                mine.real += sum(uid in real for uid in uids_of(batch, rows)) if real else 0


@contextmanager
def _running(library: Library, proposals: Sequence[Proposal], cache: Path | None) -> Iterator[_Running]:
    """Compile the candidates, as files that lie in a folder of their own meanwhile."""
    with tempfile.TemporaryDirectory(prefix="lemnis-noise-") as name:
        made: list[Compiled] = []
        for number, one in enumerate(proposals):
            folder = Path(name) / f"proposal-{number}"
            folder.mkdir()
            file = folder / "filter.yml"
            file.write_text(one.text, encoding="utf-8")
            made.append(compiled(Item(KIND, folder.name, folder, file, own=True)))
        wanted = {(one.rule.path, one.rule.id) for one in proposals}
        base = detection(library, only=lambda rule: (rule.path, rule.id) in wanted, cache=cache)
        loaded = load_rules([item.manifest for item in library.items("detections").values()], cache=cache)
        mine = tuple(rule for rule in loaded.rules if (rule.path, rule.id) in wanted)
        rules, atoms = (
            (base.excepting.rules, base.excepting.atoms) if base.excepting else (mine, loaded.atoms)
        )
        over = exceptions.over(replace(loaded, rules=rules, atoms=atoms), made)
        named = {f"proposal-{number}": one for number, one in enumerate(proposals)}
        yield _Running(replace(base, matcher=Matcher(over.rules, over.atoms)), over, named)

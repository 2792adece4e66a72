"""The mutation score of a detection's tests: how many changes of its logic some case notices.

The samples are read once. The rule and all of its mutants are matched together, so they share their atoms and
each distinct value is looked at once for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sigma.exceptions import SigmaError

from lemnis.app.rules_conditions import Logic, read
from lemnis.app.rules_correlated import Correlating
from lemnis.app.rules_mutants import WANTS, Mutant, canonical, compiled, mutants
from lemnis.app.rules_mutants_correlated import correlation_mutants
from lemnis.app.rules_test import Sample, Tested, as_wanted, test_rule
from lemnis.content.library import Item, Library
from lemnis.contracts.errors import ContentError, LemnisError, Location
from lemnis.detect import Matcher, Rule, RuleSet, load_rules
from lemnis.detect.atoms import Atom
from lemnis.detect.correlations import silenced
from lemnis.detect.reading import plain
from lemnis.detect.reading import read as read_documents
from lemnis.ingest.sources import Sources

MINIMUM = 0.9


@dataclass(frozen=True, slots=True)
class Mutated:
    """A detection's test and its mutants: how many were made, and those that no case noticed."""

    tested: Tested
    made: int = 0
    survivors: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def killed(self) -> int:
        """How many mutants some case noticed."""
        return self.made - len(self.survivors)

    @property
    def score(self) -> float:
        """The share of the mutants that some case noticed; 0 where the tests fail, or there can be none."""
        if self.trouble or not self.tested.passed:
            return 0.0
        return self.killed / self.made if self.made else 1.0

    def good(self, minimum: float) -> bool:
        """Say whether the tests pass and notice enough."""
        return self.tested.passed and not self.trouble and self.score >= minimum


def mutate_rules(library: Library, names: Sequence[str] = ()) -> Iterator[Mutated]:
    """Test detections and their mutants, all unless named; raises NotFoundError for a name there is not."""
    sources = Sources.load(library)
    for name in names or library.items("detections"):
        yield mutate_rule(library.get("detections", name), sources)


def mutate_rule(item: Item, sources: Sources) -> Mutated:
    """Test one detection, and if it passes, its mutants on the raw records of the same cases."""
    samples: list[Sample] = []
    tested = test_rule(item, sources, samples=samples)
    if not tested.passed:
        return Mutated(tested)
    try:
        loaded = load_rules([item.manifest])
        numbers = {atom: number for number, atom in enumerate(loaded.atoms)}
        made = [
            (place, mutant)
            for place, logic in enumerate(_logics(item, loaded, numbers))
            for mutant in mutants(logic, numbers)
        ]
    except LemnisError as error:
        return Mutated(tested, trouble=str(error))
    if loaded.correlations:
        silent = silenced(loaded.correlations)  # a change does not make what was silent speak
        changed = list(_changed(loaded, made, tuple(numbers)))
        alive = [words for words, whole in changed if _unnoticed(whole, samples, silent)]
        return Mutated(tested, len(changed), tuple(alive))
    survivors = _survivors(loaded.rules, made, tuple(numbers), samples)
    return Mutated(tested, len(made), tuple(str(one) for one in survivors))


def _changed(
    loaded: RuleSet, made: Sequence[tuple[int, Mutant]], atoms: tuple[Atom, ...]
) -> Iterator[tuple[str, RuleSet]]:
    """Yield each change of a set with correlations: of one rule, or of one correlation."""
    for place, mutant in made:
        rules = list(loaded.rules)
        rules[place] = replace(rules[place], expression=mutant.expression)
        yield f"{rules[place].title}: {mutant}", replace(loaded, rules=tuple(rules), atoms=atoms)
    beneath = {ref.key for one in loaded.correlations for ref in one.references if ref.chained}
    for place, one in enumerate(loaded.correlations):
        for changed, words, effect in correlation_mutants(one):
            if one.key in beneath and changed.group_by != one.group_by:
                continue  # who draws on it names these fields: it would be no rule that one could write
            correlations = (*loaded.correlations[:place], changed, *loaded.correlations[place + 1 :])
            if changed.digest != one.digest:
                yield f"{one.title}: {words}; {WANTS[effect]}", replace(loaded, correlations=correlations)


def _unnoticed(loaded: RuleSet, samples: Sequence[Sample], silent: frozenset[str]) -> bool:
    """Say whether every case goes as it should with a changed set."""
    correlating = Correlating(loaded, Matcher(loaded.rules, loaded.atoms), silent=silent)
    for sample in samples:
        raw = correlating.raw(sample.batches, sample.times, sample.key)
        if not as_wanted(correlating.alerts(raw), sample.case.fires, sample.wanted):
            return False
    return True


def _logics(item: Item, loaded: RuleSet, numbers: dict[Atom, int]) -> Iterator[Logic]:
    """Yield the logic of each rule in the file; raises ContentError where it is not the compiled one."""
    file = str(item.manifest)
    documents = [one for one in read_documents(file, item.manifest.read_bytes()) if "detection" in one.value]
    if len(documents) != len(loaded.rules):
        raise ContentError(
            "no mutants can be made of rules that are made of several documents", at=Location(file)
        )
    for rule, document in zip(loaded.rules, documents, strict=True):
        try:
            logic = read(plain(document, document.value)["detection"])
            fits = canonical(compiled(logic, numbers)) == canonical(rule.expression)
        except (ContentError, SigmaError) as error:
            raise ContentError(
                f"no mutants can be made of it: {error}", at=document.at("detection")
            ) from error
        if not fits:
            what = "no mutants can be made of it: its condition is read in two ways"
            raise ContentError(what, at=document.at("detection"))
        yield logic


def _survivors(
    rules: Sequence[Rule],
    made: Sequence[tuple[int, Mutant]],
    atoms: Sequence[Atom],
    samples: Sequence[Sample],
) -> Iterator[Mutant]:
    """Yield the mutants for which every case goes as it should; each stands in for the rule of its place."""
    changed = [replace(rules[place], expression=mutant.expression) for place, mutant in made]
    matcher = Matcher([*rules, *changed], atoms)
    alive = set(range(len(made)))
    for sample in samples:
        counts = Counter[int]()
        for frame in sample.raw():
            for match in matcher.match(frame):
                counts[match.rule] += len(match.rows)
        whole = sum(counts[place] for place in range(len(rules)))
        alive = {
            one
            for one in alive
            if as_wanted(
                whole - counts[made[one][0]] + counts[len(rules) + one], sample.case.fires, sample.wanted
            )
        }
    yield from (made[one][1] for one in sorted(alive))

"""What is known of a rule beyond what it says: the digest of what it asks, and how its alerts fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lemnis.contracts.ids import canonical, digest
from lemnis.detect import custom
from lemnis.detect.alerts import Facts
from lemnis.detect.atoms import Atom, Expression
from lemnis.detect.fingerprint import BY_ENTITIES, Fingerprint
from lemnis.detect.ruleset import Rule
from lemnis.detect.suppress import Suppression

EVERY = "*"
Setting = tuple[Sequence[str], Suppression]
"""Rules, by id or title (``*`` for all), and how their alerts fold."""
Print = tuple[Sequence[str], Fingerprint]
"""Rules, in the same way, and what makes their alerts the same."""


class FactsOf:
    """Gives the facts of a rule by its place; made when they are asked for, for most rules never fire."""

    def __init__(
        self,
        rules: Sequence[Rule],
        atoms: Sequence[Atom],
        settings: Iterable[Setting] = (),
        prints: Iterable[Print] = (),
    ) -> None:
        """``settings`` and ``prints`` apply to rules that do not say it themselves.

        The first of each that names a rule counts.
        """
        self._rules = rules
        self._atoms = atoms
        self._folds: dict[str, Suppression] = {}
        for names, suppression in settings:
            for name in names:
                self._folds.setdefault(name, suppression)
        self._prints: dict[str, Fingerprint] = {}
        for names, fingerprint in prints:
            for name in names:
                self._prints.setdefault(name, fingerprint)
        self._ids = Counter(rule.id for rule in rules)
        self._made: dict[int, Facts] = {}

    def __call__(self, place: int) -> Facts:
        """Return a rule's facts."""
        if place not in self._made:
            self._made[place] = self._make(self._rules[place])
        return self._made[place]

    def _make(self, rule: Rule) -> Facts:
        own = custom.suppression(rule.custom)
        folds = own or next(
            (self._folds[name] for name in (rule.id, rule.title, EVERY) if name in self._folds), None
        )
        return Facts(
            rule_digest(rule, self._atoms),
            folds,
            self._print(rule, folds),
            custom.confidence(rule.custom),
            ambiguous=not rule.id or self._ids[rule.id] > 1,
        )

    def _print(self, rule: Rule, folds: Suppression | None) -> Fingerprint:
        """Return what makes a rule's alerts the same, as it says itself, or the content does.

        Of alerts that fold, only what is the same in all events of one counts: it must not depend on which
        of them came first.
        """
        own, default = custom.fingerprint(rule.custom), self._prints.get(EVERY, BY_ENTITIES)
        said = Fingerprint(own) if own else self._prints.get(rule.id) or self._prints.get(rule.title)
        if folds is None:
            return said or default
        if said and said.by and set(said.by) <= set(folds.by):
            return said
        return Fingerprint(folds.by) if folds.by else default


def rule_digest(rule: Rule, atoms: Sequence[Atom]) -> str:
    """Return the digest of what a rule asks: its log source and condition, with the filters laid over it.

    A new title, level or tag leaves it as it is, and so does the place of the file.
    """
    return digest(canonical([rule.logsource, _spelled(rule.expression, atoms)]))


def _spelled(expression: Expression, atoms: Sequence[Atom]) -> object:
    if isinstance(expression, int):
        return list(atoms[expression])
    return [expression[0], *(_spelled(part, atoms) for part in expression[1:])]

"""Rules that say nothing: conditions that no record or every record meets, and rules that repeat each other.

A condition is a formula over atoms; what two atoms of one field have to do with each other (the one implies
the other, or excludes it) is known from what they ask. A search for an assignment that fits decides. It only
says "never" or "always" where that follows; where it would take too long, it says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lemnis.detect.atoms import Atom, Expression
from lemnis.detect.explain import spell
from lemnis.detect.relations import excludes, hopeless, implies, presence

if TYPE_CHECKING:
    from lemnis.detect.rules import Rule

_STEPS = 200_000
"""After comparing so many pairs the search gives up."""
Literal = tuple[Atom, bool]


def unreachable(rule: Rule, atoms: Sequence[Atom], *, several: Collection[str] = ()) -> str | None:
    """Say why no record can meet a rule's condition, or why every record does; None if neither is so.

    ``several`` are fields that hold more than one value in a record: of them one value may be this, the
    other that.
    """
    never = _Search(atoms, several).clash(rule.expression, wanted=True)
    if never:
        return "no record can meet the condition: " + _together(never)
    always = _Search(atoms, several).clash(rule.expression, wanted=False)
    return "every record meets the condition: " + _either(always) if always else None


def duplicates(rules: Sequence[Rule], atoms: Sequence[Atom]) -> list[tuple[Rule, Rule]]:
    """Return pairs of rules (the first of its kind, another) that ask the same of the same log source."""
    first: dict[Any, Rule] = {}
    found = []
    for rule in rules:
        key = (rule.logsource, canonical(rule.expression, atoms))
        other = first.setdefault(key, rule)
        if other is not rule:
            found.append((other, rule))
    return found


def canonical(expression: Expression, atoms: Sequence[Atom], *, wanted: bool = True) -> Any:
    """Return a condition in a form that does not depend on order, nesting, or where a ``not`` stands."""
    if isinstance(expression, int):
        return _literal(atoms[expression], wanted=wanted)
    if expression[0] == "!":
        return canonical(expression[1], atoms, wanted=not wanted)
    sign = expression[0] if wanted else {"&": "|", "|": "&"}[expression[0]]
    parts: set[Any] = set()
    for part in expression[1:]:
        made = canonical(part, atoms, wanted=wanted)
        parts |= made[1] if made[0] == sign else {made}
    return next(iter(parts)) if len(parts) == 1 else (sign, frozenset(parts))


def _literal(atom: Atom, *, wanted: bool) -> Literal:
    """Return an atom with its sign; all that ask whether a field is there ask it in one way."""
    there = presence(atom)
    return (atom, wanted) if there is None else (Atom(atom.field, "null", None), there != wanted)


@dataclass(slots=True)
class _State:
    """What has been assumed of atoms, by field, and what is still to be met."""

    known: dict[str | None, dict[Atom, bool]] = field(default_factory=lambda: defaultdict(dict))
    choices: list[list[tuple[Expression, bool]]] = field(default_factory=list)

    def copy(self) -> _State:
        made = _State(choices=list(self.choices))
        for name, mine in self.known.items():
            made.known[name] = dict(mine)
        return made


class _Search:
    """Looks for an assignment of atoms that meets an expression."""

    def __init__(self, atoms: Sequence[Atom], several: Collection[str]) -> None:
        self._atoms, self._several = atoms, several
        self._left = _STEPS
        self._clashed: tuple[Literal, ...] = ()

    def clash(self, expression: Expression, *, wanted: bool) -> tuple[Literal, ...]:
        """Return questions that clash if the expression can never be as wanted; nothing if it can."""
        try:
            return () if self._meets(_State(), [(expression, wanted)]) else self._clashed
        except (_GaveUpError, RecursionError):
            return ()

    def _meets(self, state: _State, todo: list[tuple[Expression, bool]]) -> bool:
        """Say whether all of ``todo`` and the open choices can be met together."""
        if not self._assume(state, todo):
            return False
        if not state.choices:
            return True
        options = [self._options(state, choice) for choice in state.choices]
        place = min(range(len(options)), key=lambda at: len(options[at]))
        del state.choices[place]
        return any(self._meets(state.copy(), [option]) for option in options[place])

    def _assume(self, state: _State, todo: list[tuple[Expression, bool]]) -> bool:
        """Take all that must hold into the state; False if it clashes."""
        while todo:
            part, wanted = todo.pop()
            if isinstance(part, int):
                atom, sign = _literal(self._atoms[part], wanted=wanted)
                if self._clashes(state, (atom, sign)):
                    return False
                state.known[atom.field][atom] = sign
            elif part[0] == "!":
                todo.append((part[1], not wanted))
            elif (part[0] == "&") == wanted:
                todo += ((one, wanted) for one in reversed(part[1:]))
            else:
                state.choices.append([(one, wanted) for one in part[1:]])
        return True

    def _options(self, state: _State, choice: list[tuple[Expression, bool]]) -> list[tuple[Expression, bool]]:
        """Return what of a choice does not clash at once; of a choice that is met already, what meets it."""
        fitting = []
        for part, wanted in choice:
            if isinstance(part, int):
                atom, sign = _literal(self._atoms[part], wanted=wanted)
                if state.known[atom.field].get(atom) is sign:
                    return [(part, wanted)]
                if self._clashes(state, (atom, sign)):
                    continue
            fitting.append((part, wanted))
        return fitting

    def _clashes(self, state: _State, literal: Literal) -> bool:
        """Say whether a literal cannot go with the known ones, and keep the first such pair as reason."""
        atom, sign = literal
        known = state.known[atom.field]
        self._left -= 1 + len(known)
        if self._left < 0:
            raise _GaveUpError
        if sign and hopeless(atom):
            self._clashed = self._clashed or (literal,)
            return True
        single = atom.field not in self._several
        for other in known.items():
            if _clash(literal, other, single=single):
                self._clashed = self._clashed or (other, literal)
                return True
        return False


class _GaveUpError(Exception):
    """The search took too long."""


def _clash(one: Literal, two: Literal, *, single: bool) -> bool:
    """Say whether two literals of a field cannot hold at once."""
    if one[0] == two[0]:
        return one[1] is not two[1]
    if one[1] and two[1]:
        return excludes(one[0], two[0], single=single)
    if one[1]:
        return implies(one[0], two[0])
    return two[1] and implies(two[0], one[0])


def _together(literals: tuple[Literal, ...]) -> str:
    """Say that literals are impossible together."""
    if len(literals) == 1:
        return f"{spell(literals[0][0])} is never so"
    return " and ".join(_spelled(atom, so=sign) for atom, sign in literals) + " exclude each other"


def _either(literals: tuple[Literal, ...]) -> str:
    """Say that the opposite of one literal always holds."""
    return " or ".join(_spelled(atom, so=not sign) for atom, sign in literals) + " always holds"


def _spelled(atom: Atom, *, so: bool) -> str:
    return spell(atom) if so else f"not ({spell(atom)})"

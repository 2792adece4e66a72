"""Walks a plan's program: does its actions in order, and lets conditions choose among what was approved.

Everything that decides is in the ledger or in the plan, so a walk that begins anew after a crash takes the
same way: what was done is looked up, and it goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lemnis.contracts.response import Act, Choice, EffectClass, End, Loop, Node, PlannedAction, Together
from lemnis.respond import expressions, records, rego
from lemnis.respond.effects import Outcome
from lemnis.respond.expressions import ExpressionError
from lemnis.respond.records import Planned
from lemnis.respond.waiting import WaitingError

_AT_ONCE = 8
_SHORT_MS = 5_000


class EndError(Exception):
    """The run ends here, with this outcome; ``why`` is for people."""

    def __init__(self, outcome: str, why: str = "") -> None:
        """``outcome`` is as the run's entry has it."""
        super().__init__(outcome)
        self.outcome, self.why = outcome, why


@dataclass(slots=True)
class Walk:
    """One walk. ``do`` does an action; ``halt`` says why the run must stop, if it must."""

    planned: Planned
    do: Callable[[PlannedAction], Outcome]
    halt: Callable[[], str]
    now: Callable[[], int]
    sleep: Callable[[float], None]
    done: Callable[[PlannedAction], bool]
    taken: list[tuple[str, str]] = field(default_factory=list)
    _questions: Mapping[str, rego.Question] = field(default_factory=dict)
    _values: dict[str, Any] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)
    _last: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin with every step of the run not done."""
        asked: Any = self.planned.plan.terms.get("rego", {})
        self._questions = {name: rego.read(one) for name, one in asked.items()}
        many = set(self.planned.plan.terms.get("many", ()))  # type: ignore[arg-type]
        for one in self.planned.plan.actions:
            if one.late or one.effect is not EffectClass.READ or one.action == records.COLLECT:
                self._values[one.step] = [] if one.step in many else dict(records.SKIPPED)

    def node(self, node: Node, turn: int = 0) -> None:
        """Do a node; raises EndError where the run ends, WaitingError where it can go no further now."""
        if isinstance(node, Act):
            self._act(self.planned.plan.actions[node.number])
        elif isinstance(node, Together):
            self._together(node, turn)
        elif isinstance(node, Choice):
            self._choose(node, turn)
        elif isinstance(node, Loop):
            self._loop(node)
        else:
            self._end(node)

    def nodes(self, nodes: Sequence[Node], turn: int = 0) -> None:
        """Do nodes one after the other."""
        for node in nodes:
            self.node(node, turn)

    def _act(self, one: PlannedAction) -> None:
        why = self.halt()
        if why and not self.done(one):
            raise EndError(why)
        outcome = self.do(one)
        self._note(one, outcome)
        if not outcome.good and one.step not in self.planned.carry_on:
            raise EndError("stopped", f"{one.step}: {outcome.error}")

    def _note(self, one: PlannedAction, outcome: Outcome) -> None:
        """Keep what conditions may ask of an action."""
        value = {**outcome.output, "outcome": outcome.name, "error": outcome.error}
        with self._lock:
            self._last = max(self._last, outcome.at)
            known = self._values.get(one.step)
            if isinstance(known, list):
                if self._turns.get(one.step) != one.turn:
                    known = []
                self._turns[one.step] = one.turn
                self._values[one.step] = [*known, {**value, "item": one.item}]
            elif known is not None:
                self._values[one.step] = value

    def _together(self, node: Together, turn: int) -> None:
        """Do branches at the same time: all of them come to their end before one of them ends the run."""

        def branch(nodes: tuple[Node, ...]) -> Exception | None:
            try:
                self.nodes(nodes, turn)
            except (EndError, WaitingError) as end:
                return end
            return None

        with ThreadPoolExecutor(max_workers=min(len(node.branches), _AT_ONCE)) as pool:
            ends = [end for end in pool.map(branch, node.branches) if end is not None]
        ended = [end for end in ends if isinstance(end, EndError)]
        waiting = [end for end in ends if isinstance(end, WaitingError)]
        if waiting and not ended:
            raise min(waiting, key=lambda one: one.until)
        if ended:
            raise ended[0]

    def _choose(self, node: Choice, turn: int) -> None:
        try:
            found = expressions.chosen(node.expression, self._seen(node.expression, node.step, turn))
        except ExpressionError as error:
            raise EndError("stopped", f"{node.step}: {error.what}") from error
        self.taken.append((node.step, found if found in node.cases else "else"))
        self.nodes(node.cases.get(found, node.otherwise), turn)

    def _loop(self, node: Loop) -> None:
        for number, nodes in enumerate(node.turns, start=1):
            if not self._goes_on(node, number):
                return
            if number > 1:
                self._pause(node, nodes)
            self.taken.append((node.step, "do"))
            self.nodes(nodes, number)
        if self._goes_on(node, len(node.turns) + 1) and node.step not in self.planned.carry_on:
            raise EndError("stopped", f"{node.step}: still so after {len(node.turns)} turns")

    def _goes_on(self, node: Loop, turn: int) -> bool:
        try:
            return expressions.holds(node.expression, self._seen(node.expression, node.step, turn))
        except ExpressionError as error:
            raise EndError("stopped", f"{node.step}: {error.what}") from error

    def _pause(self, node: Loop, nodes: tuple[Node, ...]) -> None:
        """Wait between turns; a turn that has begun waits no more."""
        first = next((self.planned.plan.actions[one.number] for one in nodes if isinstance(one, Act)), None)
        left = self._last + round(node.every_s * 1000) - self.now()
        if left <= 0 or (first is not None and self.done(first)):
            return
        if left > _SHORT_MS:
            raise WaitingError(self.now() + left, f"{node.step} waits for its next turn")
        self.sleep(left / 1000)

    def _end(self, node: End) -> None:
        raise EndError("done" if node.outcome == "done" else "failed", node.step)

    def _seen(self, expression: str, step: str, turn: int) -> Mapping[str, Any]:
        """Return what an expression sees: what there is in its scope, and what its questions in Rego say."""
        values, asked = self._scope(step, turn), self._questions
        names = [name for name in rego.NAME.findall(expression) if name in asked]
        said = {name: rego.holds(asked[name], values) for name in names}
        return {**values, **said}

    def _scope(self, step: str, turn: int) -> Mapping[str, Any]:
        """Return what a condition of a step sees: its own playbook's values."""
        prefix = step[: step.rfind("/") + 1]
        known: Any = self.planned.plan.terms.get("known", {})
        with self._lock:
            own = {
                name[len(prefix) :]: value
                for name, value in self._values.items()
                if name.startswith(prefix) and "/" not in name[len(prefix) :]
            }
        return {**known.get(prefix, {}), **own, "turn": turn}

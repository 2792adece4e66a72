"""Evaluates checked Rego: a module becomes functions once, and then any number of documents are asked.

Each literal of a query becomes a step that goes on to the next for every way in which it holds, and says
whether enough was found. Names are places in a list; a rule's value is worked out once a document. Nothing
is looked up by name and nothing is undefined by accident: ``check.py`` has refused that before.

What a policy costs is counted in steps, so that the same policy ends at the same place on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lemnis.contracts.errors import ContentError
from lemnis.policy.parser import parse
from lemnis.policy.rules import compile_rules
from lemnis.policy.tokens import Source
from lemnis.policy.tree import Module
from lemnis.policy.values import UNDEFINED, Budget, inward, outward

STEPS = 20_000_000
"""About a second of work."""
_KEPT = 512


class Program:
    """Modules that were compiled together: a policy, or a policy and its tests."""

    def __init__(self, modules: Sequence[tuple[Module, Source]]) -> None:
        """Raises ContentError, with the place, for what cannot be evaluated."""
        self._rules = compile_rules(modules)

    def names(self, package: str) -> list[str]:
        """Return the rules of a package that have a value without arguments."""
        return [name for where, name in self._rules if where == package]

    def ask(self, package: str, rule: str, document: Any, *, steps: int = STEPS) -> Any:
        """Return a rule's value over a document of JSON values (lists, not tuples), or ``UNDEFINED``.

        Sets come back as sorted arrays. Raises ContentError if it cannot be evaluated: a builtin refuses its
        argument, a rule has two values, or it takes more than ``steps``.
        """
        found = self._rules.get((package, rule))
        if found is None:
            return UNDEFINED
        state = Run(document, Budget(steps))
        try:
            return outward(found(state), state.budget)
        except RecursionError as error:
            raise ContentError("not evaluated: nested too deeply") from error


class Run:
    """One document under evaluation: the values that rules turned out to have, and what may be spent."""

    __slots__ = ("budget", "document", "known")

    def __init__(self, document: Any, budget: Budget) -> None:
        self.document = document
        self.budget = budget
        self.known: dict[int, Any] = {}

    def under(self, document: Any) -> Run:
        """Return a run over another document that pays from the same budget."""
        return Run(document, self.budget)


@lru_cache(maxsize=_KEPT)
def program(texts: tuple[str, ...], files: tuple[str, ...] = ()) -> Program:
    """Return the program of modules by their text; raises ContentError or UnsupportedError with the place."""
    sources = [Source(files[n] if n < len(files) else "", text) for n, text in enumerate(texts)]
    return Program([(parse(source), source) for source in sources])


def evaluate(texts: Sequence[str], query: str, document: Mapping[str, Any], *, steps: int = STEPS) -> Any:
    """Return the value of ``data.PACKAGE.RULE`` over a document, or ``UNDEFINED``; see ``Program.ask``."""
    package, _, rule = query.removeprefix("data.").rpartition(".")
    return program(tuple(texts)).ask(package, rule, inward(document), steps=steps)


__all__ = ["STEPS", "UNDEFINED", "Program", "Run", "evaluate", "program"]

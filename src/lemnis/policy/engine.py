"""Rego over documents: one question after the other.

What a question may cost is a number of steps, not of seconds. Nothing is gained by asking several things at
once: modules are compiled once and kept, a question costs what it looks at (1,000 findings and 50 policies:
40 ms). ``evaluate.program(...).ask`` takes documents that are JSON values already as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from lemnis.policy.evaluate import STEPS, evaluate
from lemnis.policy.values import UNDEFINED


class Engine:
    """Evaluates queries within a number of steps each."""

    def __init__(self, *, steps: int = STEPS) -> None:
        self._steps = steps

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def evaluate(self, modules: Sequence[str], query: str, document: Any) -> Any:
        """Return a query's value over the modules and the input ``document``, or ``UNDEFINED``."""
        return evaluate(modules, query, document, steps=self._steps)


__all__ = ["UNDEFINED", "Engine"]

"""Sigma filters: tuning that lies beside a pack and narrows its rules without changing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lemnis.detect.atoms import Expression

LogSource = tuple[str | None, str | None, str | None]


class Tuned(Protocol):
    """What a filter looks at of a rule."""

    @property
    def id(self) -> str:
        """Return the rule's id."""
        ...

    @property
    def logsource(self) -> LogSource:
        """Return its product, category and service."""
        ...

    @property
    def expression(self) -> Expression:
        """Return its condition."""
        ...


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition that must hold too, for the rules named (None: all) of a log source (None: any)."""

    logsource: LogSource
    rules: frozenset[str] | None
    expression: Expression

    def means(self, rule: Tuned, name: str) -> bool:
        """Say whether it narrows a rule; ``name`` is the rule's own, if it has one."""
        covers = all(
            mine is None or mine == own for mine, own in zip(self.logsource, rule.logsource, strict=True)
        )
        return covers and (self.rules is None or rule.id in self.rules or (name != "" and name in self.rules))


def tune(rule: Tuned, name: str, filters: Sequence[Filter]) -> Expression:
    """Return a rule's condition, narrowed by every filter that means it."""
    meant = [one.expression for one in filters if one.means(rule, name)]
    return ["&", rule.expression, *meant] if meant else rule.expression

"""Compiled rules: what a matcher takes."""

from __future__ import annotations

from dataclasses import dataclass

from lemnis.contracts.correlations import Correlation
from lemnis.contracts.errors import ContentError
from lemnis.detect.atoms import Atom, Expression
from lemnis.detect.filters import LogSource


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule; ``logsource`` is (product, category, service), None where it does not care."""

    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    logsource: LogSource
    path: str
    expression: Expression
    custom: str = ""
    """What the rule says to Lemnis alone (``x-lemnis-…``), as JSON; see ``custom``."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Compiled rules over shared atoms, what was wrong with others, and the digest of all their bytes."""

    rules: tuple[Rule, ...]
    atoms: tuple[Atom, ...]
    problems: tuple[ContentError, ...]
    digest: str
    correlations: tuple[Correlation, ...] = ()

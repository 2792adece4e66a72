"""Which files a scanner reads that goes by the user's own rules: those of the languages that they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lemnis.content import yaml
from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts.errors import ContentError


def narrowed(scanner: Scanner) -> Scanner:
    """Return a scanner that reads only the files its rules are for; all of its files if one may be for any.

    Rules that cannot be read are left to the program, which says what is wrong with them.
    """
    if not scanner.languages or not scanner.rules:
        return scanner
    wanted = list(dict.fromkeys(name for path in scanner.rules for name in _named(Path(path))))
    if not all(name in scanner.languages for name in wanted):
        return scanner
    files = tuple(dict.fromkeys(one for name in wanted for one in scanner.languages[name]))
    return scanner.model_copy(update={"files": files}) if files else scanner


def _named(path: Path) -> Iterator[str]:
    """Yield the languages that a file's rules name; an empty name where that cannot be told."""
    try:
        document = yaml.parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
    except ContentError:
        yield ""
        return
    rules = document.get("rules") if isinstance(document, dict) else None
    for rule in rules if isinstance(rules, list) else [None]:
        named = rule.get("languages") if isinstance(rule, dict) else None
        yield from (str(one).lower() for one in (named if isinstance(named, list) else [""]))

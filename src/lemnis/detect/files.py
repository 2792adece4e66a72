"""One rule file compiled on its own: nothing depends on its path or on other files, so it can be kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sigma.exceptions import SigmaConditionError, SigmaError
from sigma.filters import SigmaFilter
from sigma.modifiers import SigmaWideModifier, modifier_mapping
from sigma.policy.profiles import TrustedPolicy  # it only decides what compiles; RE2 does the matching
from sigma.rule import SigmaRule

from lemnis.contracts.errors import ContentError, Location, UnsupportedError
from lemnis.detect import custom
from lemnis.detect.atoms import Atom, Expression
from lemnis.detect.compiler import compile_rule, compile_searches
from lemnis.detect.filters import LogSource
from lemnis.detect.reading import Document, plain, read

CORRELATION, _FILTER, _ACTION = "correlation", "filter", "action"
_FAILURES = (SigmaError, TypeError, AttributeError, KeyError, ValueError, RecursionError)
"""What pySigma raises for documents that are no rules."""

modifier_mapping.setdefault("utf16le", SigmaWideModifier)  # Sigma 2.1 has both names for it


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled rule, or a filter (``refers``: the rules it means, none for all); atoms are its file's."""

    logsource: LogSource
    expression: Expression
    is_filter: bool = False
    refers: tuple[str, ...] | None = None
    id: str = ""
    title: str = ""
    level: str = ""
    tags: tuple[str, ...] = ()
    name: str = ""
    custom: str = ""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of a file: its atoms and parts, its problems (places without the file's name).

    ``correlates`` says that it has correlations, which are linked when all rules are known.
    """

    atoms: tuple[Atom, ...] = ()
    parts: tuple[Part, ...] = ()
    problems: tuple[ContentError, ...] = ()
    correlates: bool = False


def compile_file(data: bytes) -> Compiled:
    """Compile the rules and filters of one file. Pure."""
    atoms: dict[Atom, int] = {}
    parts: list[Part] = []
    problems: list[ContentError] = []
    correlates = False
    try:
        documents = read("", data)
    except ContentError as error:
        return Compiled(problems=(error,))
    for document, value in _merged(documents, problems):
        if CORRELATION in value:
            correlates = True
        else:
            parts += _document(document, value, atoms, problems)
    if not (parts or problems or correlates):
        what = "there is no rule in it"
        problems.append(ContentError(what, at=Location("", 1), fix="delete the file"))
    return Compiled(tuple(atoms), tuple(parts), tuple(problems), correlates)


def correlating(name: str, data: bytes) -> Iterator[Document]:
    """Yield the documents of a file that are correlations."""
    for document in read(name, data):
        if CORRELATION in document.value:
            yield Document(name, plain(document, document.value), document.node)


def _merged(
    documents: list[Document], problems: list[ContentError]
) -> Iterator[tuple[Document, dict[str, Any]]]:
    """Yield each document with what holds in it: ``action`` makes it a template of others, or a variant.

    ``global`` holds in all that follow, until ``reset``; ``repeat`` is the one before it with other parts.
    """
    template: dict[str, Any] = {}
    before: dict[str, Any] = {}
    for document in documents:
        value = dict(document.value)
        action = value.pop(_ACTION, None)
        if action is None:
            if CORRELATION not in value and _FILTER not in value:
                value = before = _updated(value, template)
            yield document, value
        elif action == "global":
            template = before = value
        elif action == "reset":
            template = {}
        elif action == "repeat":
            before = _updated(before, value)
            yield document, before
        else:
            what = f"there is no action {action!r}"
            problems.append(ContentError(what, at=document.at(_ACTION), fix="say global, repeat or reset"))


def _updated(mapping: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the values of another, mappings in it alike."""
    made = dict(mapping)
    for key, value in other.items():
        old = made.get(key)
        made[key] = _updated(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return made


def _document(
    document: Document, value: dict[str, Any], atoms: dict[Atom, int], problems: list[ContentError]
) -> Iterator[Part]:
    """Yield the rule or filter of a document, if it can be compiled."""
    kind: type[SigmaFilter | SigmaRule] = SigmaFilter if _FILTER in value else SigmaRule
    try:
        parsed = kind.from_dict(plain(document, value), collect_errors=True, policy=TrustedPolicy)
    except ContentError as error:
        problems.append(error)
        return
    except _FAILURES as error:
        problems.append(_problem(document, error))
        return
    problems.extend(_problem(document, error) for error in parsed.errors)
    if not parsed.errors:
        part = _part(document, parsed, atoms, problems)
        if part is not None:
            yield part


def _part(
    document: Document,
    parsed: SigmaRule | SigmaFilter,
    atoms: dict[Atom, int],
    problems: list[ContentError],
) -> Part | None:
    mine: dict[Atom, int] = {}

    def number(atom: Atom) -> int:
        return mine.setdefault(atom, len(mine))

    try:
        if isinstance(parsed, SigmaFilter):
            expression = compile_searches(parsed.filter, number)
        else:
            expression = compile_rule(parsed, number)
    except UnsupportedError as error:
        problems.append(UnsupportedError(error.what, at=document.about(error.what), fix=error.fix))
        return None
    except _FAILURES as error:
        problems.append(_problem(document, error))
        return None
    try:
        said = custom.written(getattr(parsed, "custom_attributes", {}))
    except ContentError as error:
        problems.append(ContentError(error.what, at=document.about(error.what), fix=error.fix))
        return None
    # Only a rule that compiled as a whole adds its atoms.
    shared = [atoms.setdefault(atom, len(atoms)) for atom in mine]
    source = (parsed.logsource.product, parsed.logsource.category, parsed.logsource.service)
    if isinstance(parsed, SigmaFilter):
        wanted = parsed.filter.rules
        refers = None if isinstance(wanted, str) else tuple(str(one.reference) for one in wanted)
        return Part(source, renumbered(expression, shared), is_filter=True, refers=refers)
    return Part(
        source,
        renumbered(expression, shared),
        id=str(parsed.id or ""),
        title=parsed.title,
        level=parsed.level.name.lower() if parsed.level else "",
        tags=tuple(str(tag) for tag in parsed.tags),
        name=parsed.name or "",
        custom=said,
    )


def renumbered(expression: Expression, numbers: list[int]) -> Expression:
    """Return an expression with other numbers for its atoms."""
    if isinstance(expression, int):
        return numbers[expression]
    return [expression[0], *(renumbered(part, numbers) for part in expression[1:])]


def _problem(document: Document, error: Exception) -> ContentError:
    said = str(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, SigmaConditionError):
        return ContentError(said, at=document.at(*document.section, "condition"))
    return ContentError(said, at=document.about(said))

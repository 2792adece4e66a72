"""What text an event must hold to be found by a filter: for the index, which then spares row groups.

It never asks for more than the filter does: a part of it that says nothing of this kind is left out.
"""

from __future__ import annotations

import re

import pyarrow as pa

from lemnis.store.index import Clauses, Needle
from lemnis.store.searching import terms
from lemnis.store.searching.fields import TEXT, Classes
from lemnis.store.searching.tree import Node, Not, Term

_PLAIN = re.compile(r"[^\\.^$*+?{}\[\]()|]+(?![*?{])")
_AWKWARD = re.compile(r"[|()\[\]]")
_ESCAPED = re.compile(r"\\[^\W\d_]")
MAX_CLAUSES = 16


def clauses(classes: Classes, name: str, node: Node | None) -> Clauses:
    """Return what the events of a class that a filter finds have to hold."""
    return [] if node is None else _of(classes, name, node)[:MAX_CLAUSES]


def _of(classes: Classes, name: str, node: Node) -> list[tuple[Needle, ...]]:
    if isinstance(node, Not):
        return []
    if isinstance(node, Term):
        return _term(classes, name, node)
    parts = [_of(classes, name, operand) for operand in node.operands]
    if node.operator == "AND":
        return [clause for part in parts for clause in part]
    if not all(parts):
        return []
    longest = [max(part, key=lambda clause: len(clause[0].text)) for part in parts]
    return [tuple(dict.fromkeys(needle for clause in longest for needle in clause))]


def _term(classes: Classes, name: str, term: Term) -> list[tuple[Needle, ...]]:
    """Return the literals of a term, each in any of the columns that it may be in."""
    leaves = classes.leaves(name)
    paths = classes.paths(name, term.field) if term.field else tuple(p for p in TEXT if p in leaves)
    if term.field == "class" or not all(
        path in leaves and pa.types.is_string(leaves[path]) for path in paths
    ):
        return []
    return [tuple(Needle(path, text) for path in paths) for text in _literals(term) if paths]


def _literals(term: Term) -> list[str]:
    """Return texts that a value must hold for a term, in small letters."""
    if term.operator != ":" or (term.field and not (terms.plain(term) or term.pattern or term.regex)):
        return []
    if term.regex:
        if _AWKWARD.search(term.value):
            return []
        return [one.lower() for one in _PLAIN.findall(_ESCAPED.sub(".", re.sub(r"\\\W", ".", term.value)))]
    if term.pattern is not None:
        parts = re.findall(r"(?:\\.|[^%_\\])+", term.pattern)
        return [re.sub(r"\\(.)", r"\1", part).lower() for part in parts]
    return [term.value.lower()]

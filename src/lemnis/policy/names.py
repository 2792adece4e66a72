"""Which names a part of a Rego module brings in, and which it reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lemnis.policy.tree import Binary, Call, Comprehension, Items, Literal, Ref, Term


def declared(literal: Literal) -> Iterator[str]:
    """Yield the names that a literal brings into its query."""
    if literal.kind == "some":
        for term in literal.declared:
            yield from names_in(term)
    if isinstance(literal.term, Binary) and literal.term.operator == ":=":
        yield from names_in(literal.term.left)


def names_in(pattern: Term) -> Iterator[str]:
    """Yield the names in a pattern."""
    if isinstance(pattern, Ref) and not pattern.path and pattern.name != "_":
        yield pattern.name
    elif isinstance(pattern, Items):
        for item in pattern.items:
            yield from names_in(item)


def free(literal: Literal) -> Iterator[str]:
    """Yield the names that a literal reads, among them some that it declares within itself."""
    for part in (literal.term, literal.over, *(one.value for one in literal.withs)):
        if part is not None:
            yield from read(part)
    for inner in literal.body:
        yield from free(inner)


def read(term: Term) -> Iterator[str]:
    """Yield the names that a term reads."""
    if isinstance(term, Ref):
        yield term.name
    if isinstance(term, Comprehension):
        inside = {name for literal in term.body for name in declared(literal)}
        yield from (name for head in term.head for name in read(head) if name not in inside)
        yield from (name for literal in term.body for name in free(literal) if name not in inside)
        return
    for part in _parts(term):
        if not isinstance(part, str):
            yield from read(part)


def _parts(term: Term) -> Sequence[str | Term]:
    if isinstance(term, Ref):
        return term.path
    if isinstance(term, Call):
        return (*term.arguments, *term.path)
    if isinstance(term, Binary):
        return (term.left, term.right)
    return term.items if isinstance(term, Items) else ()

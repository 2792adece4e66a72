"""SQL that reads only some leaves of nested columns: a struct is kept as one, without its other fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from lemnis.store.searching.fields import quote, text


def selected(schema: pa.Schema, paths: Iterable[str]) -> str:
    """Return what to SELECT for rows that have these dotted paths and no more, nested as they are.

    Paths that the schema lacks are left out, and so are those into lists. Empty if none is there.
    """
    fields = _fields(list(schema), [path.split(".") for path in paths], "")
    return ", ".join(f"{sql} AS {quote(name)}" for name, sql in fields)


def _fields(
    there: Iterable[pa.Field[pa.DataType]], paths: Sequence[Sequence[str]], at: str
) -> Iterator[tuple[str, str]]:
    """Yield those of some fields that are wanted, each with the SQL of it."""
    for field in there:
        below = [path[1:] for path in paths if path[0] == field.name]
        sql = at + quote(field.name)
        if [] in below:
            yield field.name, sql
        elif below and pa.types.is_struct(field.type):
            inner = [f"{text(name)}: {one}" for name, one in _fields(field.type, below, f"{sql}.")]
            if inner:
                yield field.name, f"{{{', '.join(inner)}}}"

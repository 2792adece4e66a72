"""What a page is asked for: filters, order and place, all in its address. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from lemnis.interfaces.web.words import Ours, query

Row = TypeVar("Row")
_MOST_AFTER, _DIGITS = 1_000_000, 9
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a table: its name in the address, its title, what it sorts by, which way at first."""

    name: str
    title: str
    key: Callable[[Row], Any]
    up: bool = True
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for. ``after`` is how many rows come before those of the page."""

    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    up: bool = True
    after: int = 0

    def of(self, name: str) -> str:
        """Return what a filter is set to; empty if it is not."""
        return self.filters.get(name, "")

    def address(self, **changed: str) -> str:
        """Return the query of an address with other filters, from the first page on."""
        return Ours(query({**self._parts(), **changed, "after": ""}))

    def sorted_by(self, name: str) -> str:
        """Return the query that sorts by a column, the other way if it does already."""
        turned = name == self.sort and self.up
        return Ours(query({**self._parts(), "sort": Ours(f"-{name}" if turned else name), "after": ""}))

    def first_page(self) -> str:
        """Return the query of the first page."""
        return Ours(query({**self._parts(), "after": ""}))

    def next_page(self, after: int) -> str:
        """Return the query of the page that begins there."""
        return Ours(query({**self._parts(), "after": after}))

    def _parts(self) -> dict[str, object]:
        sort = Ours(f"{'' if self.up else '-'}{self.sort}" if self.sort else "")
        return {**self.filters, "sort": sort}


def asked(given: Mapping[str, str], filters: Sequence[str], *, sort: str = "") -> Asked:
    """Read an address: only filters that the page knows, cut to a sane length. ``sort`` is the page's own.

    What was typed is shown as it was typed: were it masked, a name could be guessed by it.
    """
    found = {name: Ours(given[name][:_LONGEST]) for name in filters if given.get(name)}
    wanted = given.get("sort", sort)[:_LONGEST]
    after = given.get("after", "")
    place = min(int(after[:_DIGITS]), _MOST_AFTER) if after.isascii() and after.isdigit() else 0
    return Asked(found, wanted.removeprefix("-"), not wanted.startswith("-"), place)


def ordered(rows: Sequence[Row], columns: Sequence[Column[Row]], how: Asked) -> tuple[list[Row], Asked]:
    """Return rows in the order that was asked for, and how that was understood; else as they are."""
    column = next((one for one in columns if one.name == how.sort), None)
    if column is None:
        return list(rows), replace(how, sort="")
    return sorted(rows, key=column.key, reverse=not how.up), how


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The rows of a page, how many there are in all, and where the next page begins (0: there is none)."""

    rows: tuple[Row, ...]
    total: int
    after: int


def paged(rows: Sequence[Row], how: Asked, size: int) -> Page[Row]:
    """Return one page of rows."""
    end = how.after + size
    return Page(tuple(rows[how.after : end]), len(rows), end if end < len(rows) else 0)

"""Lists in pages: a cursor is where a page ended; it holds while the list changes. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Generic, TypeVar

import orjson
import pydantic

from lemnis.contracts.errors import UsageError

Item = TypeVar("Item")
MOST, USUAL = 500, 50
_LONGEST = 2000
_MOST_NUMBER = 2**63
"""What a database takes."""


class Page(pydantic.BaseModel, Generic[Item]):
    """A page of a list. ``next`` is the cursor of the next page; none where this is the last."""

    items: list[Item]
    next: str | None = None


def encode(place: list[Any]) -> str:
    """Return a place as a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).rstrip(b"=").decode()


def decode(cursor: str, like: str) -> list[Any]:
    """Return the place of a cursor; ``like`` has a letter a part: ``i`` a number, ``s`` a text.

    Raises UsageError for what is no cursor of this list.
    """
    wrong = UsageError("the cursor is none of this list", fix="leave it out, and begin with the first page")
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        place = orjson.loads(raw)
    except (binascii.Error, ValueError) as error:
        raise wrong from error
    if len(cursor) > _LONGEST or not isinstance(place, list) or len(place) != len(like):
        raise wrong
    for part, kind in zip(place, like, strict=True):
        if isinstance(part, bool) or not isinstance(part, int if kind == "i" else str):
            raise wrong
        if isinstance(part, int) and not -_MOST_NUMBER <= part < _MOST_NUMBER:
            raise wrong
    return place


def paged(
    items: Iterable[Item],
    key: Callable[[Item], list[Any]],
    *,
    like: str,
    after: str = "",
    limit: int = USUAL,
    keep: Callable[[Item], bool] | None = None,
) -> tuple[list[Item], str | None]:
    """Return so many items that come after a cursor, in the order of their keys, and the next cursor.

    Keys have the parts that ``like`` says (see ``decode``), and the last part is the item's own. ``keep``
    says which are shown; it is asked of no more items than a page takes.
    """
    place = decode(after, like) if after else None
    keyed = ((key(one), one) for one in items)
    left = sorted((pair for pair in keyed if place is None or pair[0] > place), key=lambda pair: pair[0])
    kept = (pair for pair in left if keep is None or keep(pair[1]))
    shown = list(islice(kept, limit + 1))
    page = shown[:limit]
    return [one for _, one in page], encode(page[-1][0]) if len(shown) > limit else None

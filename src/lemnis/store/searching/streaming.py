"""Which searches show rows before all were looked at, and how much these look at first."""

from __future__ import annotations

from collections.abc import Sequence

from lemnis.store.searching.tree import Dedup, Eval, Fields, Group, Head, Node, Not, Sort, Stage, Where
from lemnis.store.searching.windows import FIRST_ROWS

_NEWEST, _A_ROW = 2_000, 4
_OF_TEXTS = 50_000
"""So many rows are looked at first where texts are: these take longest to unpack."""


def streams(stages: Sequence[Stage]) -> bool:
    """Say whether rows can be shown before all were looked at."""
    headed = False
    for stage in stages:
        if isinstance(stage, Head):
            if headed:
                return False
            headed = True
        elif not isinstance(stage, Eval | Fields) and (headed or not isinstance(stage, Where)):
            return False
    return True


def events(stages: Sequence[Stage]) -> bool:
    """Say whether a query's rows are events still."""
    return all(isinstance(stage, Where | Eval | Head | Dedup | Sort) for stage in stages)


def first_rows(node: Node | None, stages: Sequence[Stage], most: int) -> int:
    """Return about how many rows are to be looked at first, of which ``most`` are wanted.

    Nearly each of them is found where there is no filter.
    """
    if any(isinstance(stage, Where) for stage in stages):
        return FIRST_ROWS
    if node is None:
        return min(FIRST_ROWS, max(_NEWEST, _A_ROW * most))
    return _OF_TEXTS if _texts(node) else FIRST_ROWS


def _texts(node: Node) -> bool:
    """Say whether a filter looks into texts."""
    if isinstance(node, Not):
        return _texts(node.operand)
    if isinstance(node, Group):
        return any(map(_texts, node.operands))
    return not node.field

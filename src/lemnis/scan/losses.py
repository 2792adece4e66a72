"""What of a report has no place in a finding: counted by path, never by value. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

DEEPEST: Final = 64
"""Objects within objects are told as one field from here on."""
_ANY: Final = "*"
_END: Final = "\0"
"""Marks where a path ends: all that lies below is read."""
Tree = dict[str, Any]


def tree(paths: Iterable[tuple[str, ...]]) -> Tree:
    """Make a tree of paths that are read; ``*`` is any item of a list and any key of an object."""
    top: Tree = {}
    for path in paths:
        node = top
        for step in path:
            node = node.setdefault(step, {})
        node[_END] = True
    return top


def lost(document: Any, read: Tree) -> Mapping[str, int]:
    """Return the paths that hold something and are not read, with how often; ``[]`` is any item.

    A value under a path that is read counts as read, however it is nested; empty values are no loss.
    """
    found: Counter[str] = Counter()
    _look(document, [read], "", found, 0)
    return dict(found.most_common())


def _look(value: Any, nodes: list[Tree], path: str, found: Counter[str], depth: int) -> None:
    """Descend with the branches of the tree that are still open: by name, and by ``*``."""
    if value is None or value in ("", [], {}):
        return
    if any(_END in node for node in nodes):
        return
    if not isinstance(value, dict | list) or depth >= DEEPEST:
        found[path or "."] += 1
    elif isinstance(value, dict):
        for name, item in value.items():
            below = [node[name] for node in nodes if name in node]
            below += [node[_ANY] for node in nodes if _ANY in node]
            _look(item, below, f"{path}.{name}" if path else str(name), found, depth + 1)
    else:
        below = [*nodes, *(node[_ANY] for node in nodes if _ANY in node)]  # a list may stand for its item
        for item in value:
            _look(item, below, f"{path}[]", found, depth + 1)

"""Answers to questions that only files were asked: these never change, so neither do the answers.

What is asked again, by a page that is opened once more or by the next person who follows a link, is not
worked out again. Who may see what is in the question: another's is another question.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lemnis.store.query import Relation

_PART = 16
"""One answer may have so large a part of all that is kept."""
_MOST_S = 600.0
"""What was taken out of the lake is in no answer for longer."""


@dataclass
class Answers:
    """The answers that were asked for last, of so many bytes at most; none are kept where that is 0."""

    most: int = 0
    clock: Callable[[], float] = time.monotonic
    _known: dict[Hashable, tuple[float, pa.Table]] = field(default_factory=dict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable) -> pa.Table | None:
        """Return the answer to a question, if it is kept."""
        with self._lock:
            found = self._known.pop(key, None)
            if found is None:
                return None
            if self.clock() - found[0] >= _MOST_S:
                self._bytes -= found[1].nbytes
                return None
            self._known[key] = found
            return found[1]

    def keep(self, key: Hashable, answer: pa.Table) -> None:
        """Keep an answer, unless it is too large; those that were asked for longest ago go for it."""
        if answer.nbytes > self.most // _PART:
            return
        with self._lock:
            before = self._known.pop(key, None)
            self._bytes += answer.nbytes - (before[1].nbytes if before else 0)
            self._known[key] = self.clock(), answer
            while self._bytes > self.most:
                oldest = next(iter(self._known))
                self._bytes -= self._known.pop(oldest)[1].nbytes


KEPT = Answers()
"""Those of this process; who answers many people lets some be kept."""


def known(
    relations: Mapping[str, Relation],
    sql: str,
    values: Sequence[object],
    limit: int,
    ask: Callable[[], pa.Table],
) -> pa.Table:
    """Return the answer to a question as it is kept, or what ``ask`` gives."""
    question = _question(relations, sql, values, limit) if KEPT.most else None
    if question is None:
        return ask()
    found = KEPT.get(question)
    if found is None:
        found = ask()
        KEPT.keep(question, found)
    return found


def _question(
    relations: Mapping[str, Relation], sql: str, values: Sequence[object], limit: int
) -> Hashable | None:
    """Return what stands for a question; None for one that asks more than files."""
    if any(not isinstance(one.spooled, pa.Table) or one.spooled.num_rows for one in relations.values()):
        return None
    asked = tuple((name, tuple(one.files), one.schema, one.placed) for name, one in sorted(relations.items()))
    return sql, repr(values), limit, asked

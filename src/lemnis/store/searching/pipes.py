"""The stages of a query, after ``|``; docs/search.md describes them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from lemnis.store.searching import expressions
from lemnis.store.searching.fields import ENTITIES
from lemnis.store.searching.filters import Filters
from lemnis.store.searching.instants import span
from lemnis.store.searching.tree import (
    Aggregate,
    Dedup,
    Eval,
    Fields,
    Head,
    Join,
    Name,
    Query,
    Sort,
    Stage,
    Stats,
    Timechart,
    Top,
    Where,
    problem,
)  # fmt: skip

FUNCTIONS = (
    "count", "dc", "sum", "avg", "min", "max", "median", "stdev", "p50", "p95", "p99", "values", "first",
    "last",
)  # fmt: skip
STAGES = (
    "where", "eval", "stats", "timechart", "top", "rare", "dedup", "sort", "head", "fields", "table", "join",
)  # fmt: skip
MAX_STAGES, MAX_JOINS, MAX_NAMES, MAX_ROWS = 20, 2, 50, 1_000_000
_WORD = re.compile(r"[A-Za-z_]\w*")
_NAME = re.compile(r'([A-Za-z_][\w.]*)|"((?:\\.|[^"\\])+)"')
_CALL = re.compile(r"([a-z]+(?:\d{1,2}(?:\.\d{1,3})?)?)\b\s*(\(\s*)?")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")
_NUMBER = re.compile(r"\d{1,9}\b")
_SPAN, _MOST = re.compile(r"span\s*=\s*(\S+)"), re.compile(r"limit\s*=\s*(\d{1,3})\b")
_WITHIN = re.compile(r"within\s+(\w+)")
_COMMA, _OPEN, _CLOSE, _EQUALS = re.compile(","), re.compile(r"\["), re.compile(r"\)"), re.compile("=(?!=)")
_SIGN = re.compile("[-+]")
_KEEP = re.compile(r"keep\s+(\w+)")
_TOP, _SERIES, _WITHIN_MS = 10, 10, 600_000


def parse(text: str) -> Query:
    """Parse a query; raises InputError that points to the column (from 1)."""
    reader = _Pipes(text)
    query = reader.query()
    if not reader.ended():
        reader.astray()
    return query


def test_of(text: str) -> Where:
    """Parse what a ``where`` would hold."""
    reader = _Pipes(text)
    stage = reader.where(1)
    if not reader.ended():
        reader.astray()
    return stage


class _Pipes(Filters):
    """Reads stages."""

    def query(self) -> Query:
        """Read a filter and its stages."""
        node = self.filter()
        stages: list[Stage] = []
        while self.next() == "|":
            self.place += 1
            if len(stages) == MAX_STAGES:
                raise problem(self.place, f"the query has more than {MAX_STAGES} stages")
            stages.append(self.stage())
            if not self.over():
                self.astray()
        if sum(isinstance(stage, Join) for stage in stages) > MAX_JOINS:
            raise problem(1, f"the query joins more than {MAX_JOINS} times")
        return Query(node, tuple(stages))

    def stage(self) -> Stage:
        """Read one stage by its command."""
        self.ended()
        start = self.place
        found = self.take(_WORD)
        readers: dict[str, Callable[[int], Stage]] = {
            "where": self.where, "eval": self.eval, "stats": self.stats, "timechart": self.timechart,
            "top": self.top, "rare": self.rare, "dedup": self.dedup, "sort": self.sort, "head": self.head,
            "fields": self.fields, "table": self.fields, "join": self.join,
        }  # fmt: skip
        word = found[0] if found else ""
        if word not in readers:
            near = difflib.get_close_matches(word, STAGES, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(STAGES)}"
            fix += '; to search for | put it in quotes ("a|b")'
            raise problem(start + 1, f"there is no stage {word}" if word else "a stage is missing here", fix)
        return readers[word](start + 1)

    # -- one reader a stage --------------------------------------------------------------------------------

    def where(self, _: int) -> Where:
        """``where count > 5 user.name:a*``."""
        before, self.columns = self.columns, True
        try:
            if self.over():
                raise problem(self.place + 1, "where needs a test", "write where count > 5")
            return Where(self.alternatives(0))
        finally:
            self.columns = before

    def eval(self, column: int) -> Eval:
        """``eval name = expression``."""
        name = self.name("eval names a column", "write eval x = lower(user.name)")
        if not self.take(_EQUALS):
            raise problem(self.place + 1, "= is missing here", "write eval x = lower(user.name)")
        value, self.place = expressions.read(self.text, self.place)
        del column
        return Eval(name.text, value)

    def stats(self, column: int) -> Stats:
        """``stats count, dc(user.name) as users by source``."""
        return Stats(self.aggregates(column), self.by())

    def timechart(self, column: int) -> Timechart:
        """``timechart span=5m limit=5 count by source``."""
        width, most = 0, _SERIES
        while True:
            self.ended()
            start = self.place
            if found := self.take(_SPAN):
                try:
                    width = span(found[1])
                except ValueError as error:
                    raise problem(start + 1, f"{found[1]} is no span", "write span=5m, 1h, 1d") from error
            elif found := self.take(_MOST):
                most = max(1, int(found[1]))
            else:
                break
        some = self.aggregates(column)
        by = self.by()
        if len(by) > 1 or (by and len(some) > 1):
            raise problem(column, "timechart draws one aggregate by one field, or several without by")
        return Timechart(some, by[0] if by else None, width, most, column)

    def top(self, _: int) -> Top:
        """``top 10 field by other``."""
        return self._top(rare=False)

    def rare(self, _: int) -> Top:
        """``rare 10 field by other``."""
        return self._top(rare=True)

    def dedup(self, _: int) -> Dedup:
        """``dedup a, b keep newest``."""
        names = self.names(until="keep")
        self.ended()
        start = self.place
        keep = self.take(_KEEP)
        if keep and keep[1] not in {"newest", "oldest"}:
            raise problem(start + 1, f"dedup keeps newest or oldest, not {keep[1]}")
        return Dedup(names, bool(keep) and keep is not None and keep[1] == "oldest")

    def sort(self, column: int) -> Sort:
        """``sort -count, name``."""
        keys: list[tuple[Name, bool]] = []
        while not self.over():
            sign = self.take(_SIGN)
            keys.append(
                (
                    self.name("sort names columns", "write sort -count, name"),
                    bool(sign) and sign is not None and sign[0] == "-",
                )
            )
            self.take(_COMMA)
        if not keys:
            raise problem(column, "sort names columns", "write sort -count, name")
        return Sort(tuple(keys))

    def head(self, _: int) -> Head:
        """``head 10``."""
        return Head(self.number(_TOP))

    def fields(self, _: int) -> Fields:
        """``fields a, b`` and ``fields - c``."""
        sign = self.take(_SIGN)
        return Fields(self.names(), bool(sign) and sign is not None and sign[0] == "-")

    def join(self, column: int) -> Join:
        """``join user [ query ] within 10m``."""
        entity = self.name("join names an entity", f"one of {', '.join(ENTITIES)}")
        if entity.text not in ENTITIES:
            near = difflib.get_close_matches(entity.text, ENTITIES, n=1)
            fix = f"did you mean {near[0]}?" if near else f"one of {', '.join(ENTITIES)}"
            raise problem(entity.column, f"there is no entity {entity.text}", fix)
        self.ended()
        start = self.place
        if not self.take(_OPEN):
            raise problem(
                self.place + 1, "join needs a query in brackets", "write join user [ class:auth* ] within 10m"
            )
        if self.brackets:
            raise problem(column, "a join cannot be inside another", "join one after the other")
        self.brackets += 1
        before, self.columns = self.columns, False
        query = self.query()
        self.columns = before
        self.brackets -= 1
        if self.next() != "]":
            raise problem(start + 1, "this [ is never closed", "close it with ]")
        self.place += 1
        bad = next((s for s in query.stages if not isinstance(s, Where | Eval | Fields)), None)
        if bad is not None:
            raise problem(start + 1, "the query that is joined can have where, eval and fields only")
        self.ended()
        place = self.place
        found = self.take(_WITHIN)
        try:
            within = span(found[1]) if found else _WITHIN_MS
        except ValueError as error:
            raise problem(place + 1, f"{found[1] if found else ''} is no span", "write within 10m") from error
        return Join(entity.text, query, within, column)

    # -- parts ---------------------------------------------------------------------------------------------

    def name(self, what: str, fix: str) -> Name:
        """Read the name of a field or column."""
        self.ended()
        start = self.place
        found = self.take(_NAME)
        if not found:
            raise problem(start + 1, what, fix)
        return Name(found[1] or re.sub(r'\\(["\\])', r"\1", found[2]), start + 1)

    def names(self, until: str = "") -> tuple[Name, ...]:
        """Read names, with commas between them or blanks, up to the stage's end or a word."""
        found: list[Name] = []
        while not found or not (self.over() or (until and self.ahead(until))):
            found.append(self.name("a field is missing here", "write field, other.field"))
            self.take(_COMMA)
            if len(found) > MAX_NAMES:
                raise problem(found[-1].column, f"a stage names at most {MAX_NAMES} fields")
        return tuple(found)

    def number(self, default: int) -> int:
        """Read a number of rows."""
        self.ended()
        start = self.place
        found = self.take(_NUMBER)
        if found and not 1 <= int(found[0]) <= MAX_ROWS:
            raise problem(start + 1, f"{found[0]} is not between 1 and {MAX_ROWS}")
        return int(found[0]) if found else default

    def by(self) -> tuple[Name, ...]:
        """Read ``by a, b``."""
        return self.names() if self.keyword("by") else ()

    def aggregates(self, column: int) -> tuple[Aggregate, ...]:
        """Read ``count, p95(x) as y`` up to ``by``."""
        found: list[Aggregate] = []
        while not self.over() and not self.ahead("by"):
            found.append(self.aggregate())
            self.take(_COMMA)
            if len(found) > MAX_NAMES:
                raise problem(column, f"a stage has at most {MAX_NAMES} aggregates")
        if not found:
            raise problem(column, "an aggregate is missing", "write stats count, dc(user.name) by source")
        if len({one.name for one in found}) < len(found):
            raise problem(column, "two aggregates have the same name", "name one with `as`")
        return tuple(found)

    def aggregate(self) -> Aggregate:
        """Read ``function(field) as name``."""
        self.ended()
        start = self.place
        called = self.take(_CALL)
        function = called[1] if called else ""
        percentile = _PERCENTILE.fullmatch(function)
        if not percentile and (function not in FUNCTIONS or not called):
            near = difflib.get_close_matches(function, FUNCTIONS, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(FUNCTIONS)}"
            raise problem(
                start + 1,
                f"there is no aggregate {function}" if function else "an aggregate is missing here",
                fix,
            )
        field: Name | None = None
        if called and called[2]:
            if self.next() != ")":
                field = self.name(f"{function}( needs a field", f"write {function}(field)")
            if not self.take(_CLOSE):
                raise problem(self.place + 1, "a ) is missing here", f"write {function}(field)")
        if field is None and function != "count":
            raise problem(start + 1, f"{function} needs a field", f"write {function}(field)")
        name = f"{function}_{field.text}" if field else function
        if self.keyword("as"):
            name = self.name("as needs a name", "write count as n").text
        fraction = float(percentile[1]) / 100 if percentile else 0.5
        return Aggregate("percentile" if percentile else function, field, name, start + 1, fraction)

    def _top(self, *, rare: bool) -> Top:
        most = self.number(_TOP)
        return Top(self.names(until="by"), self.by(), most, rare)

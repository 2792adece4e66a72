"""Dead letters and the sources' past in a cluster: what the tables of its lake say of them.

There is no spool whose transactions could count along. Records that were not taken are rows of ``rejects``;
how sources spoke follows from the times of their events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.errors import Location, ServiceError
from lemnis.contracts.watching import ALL, HOUR, LISTENING, STEP, Beat, History
from lemnis.store import rows
from lemnis.store.compaction import Rewriting
from lemnis.store.deadletters import ARROW, DeadCount, DeadGroup, DeadLetter
from lemnis.store.deltalog import now

if TYPE_CHECKING:
    from lemnis.store.delta import DataFile, Table
    from lemnis.store.remote import RemoteLake

LETTERS = ARROW.append(pa.field("fields", pa.string()))
"""The table's columns: as SQL sees dead letters, with the parsed fields that the raw record does not say."""
SETTLE = "settle"
_MOST = 100_000
_DAYS = 35
_EXAMPLES = 3
_TRIES = 5
_NUMBER = "CAST(hash(metadata.uid) >> 2 AS BIGINT)"
_SIZE = "octet_length(raw) + strlen(coalesce(fields, ''))"
_WHOLE = "octet_length(raw) > 0 AND record IS NOT NULL"
_ONE = (  # the same record of the same origin counts once, however often it was refused
    "SELECT DISTINCT ON (metadata.uid) *, split_part(reason, ':', 1) AS head, "  # noqa: S608 - constants
    f"coalesce(metadata.log_name, '') AS source, {_NUMBER} AS number, {_SIZE} AS size, "
    f"({_WHOLE}) AS whole FROM rejects ORDER BY time"
)


@dataclass(slots=True)
class Letters:
    """The dead letters of a cluster's lake. A letter's number is made of its uid."""

    lake: RemoteLake
    _uids: dict[int, str] = field(default_factory=dict)

    def page(self, source: str | None, *, after: int, limit: int) -> list[DeadLetter]:
        """Return letters with numbers above ``after``, by number."""
        asked = "number > ? AND source = coalesce(?, source) ORDER BY number"
        return list(self._read(asked, [after, source], limit))

    def groups(self, source: str | None) -> list[DeadGroup]:
        """Return letters by source and reason, the most frequent first within a source."""
        found = self._asked(
            "SELECT source, head, count(*) AS n, sum(size) AS bytes, min(time) AS first, max(time) AS last, "  # noqa: S608 - constant
            f"sum(CAST(whole AS INTEGER)) AS whole FROM ({_ONE}) WHERE source = coalesce(?, source) "
            "GROUP BY ALL ORDER BY source, n DESC, head",
            [source], _MOST,
        )  # fmt: skip
        return [
            DeadGroup(
                one["source"], one["head"], one["n"], int(one["bytes"]), one["first"], one["last"],
                int(one["whole"]), tuple(self._examples(one["source"], one["head"])),
            )
            for one in found
        ]  # fmt: skip

    def counts(self) -> list[DeadCount]:
        """Return what each source has; nothing is forgotten but by retention."""
        found = self._asked(
            f"SELECT source, count(*) AS n, sum(size) AS bytes FROM ({_ONE}) GROUP BY ALL ORDER BY source",  # noqa: S608 - constant
            [], _MOST,
        )  # fmt: skip
        return [DeadCount(one["source"], one["n"], int(one["bytes"]), 0) for one in found]

    def change(self, settled: Sequence[int], restated: Mapping[int, tuple[str, str]]) -> None:
        """Let go of letters by their numbers, and say of others anew why (reason, content), in one commit.

        Numbers are of letters that were read here. Raises ServiceError where others change the same files
        again and again.
        """
        gone = {self._uids[number] for number in settled}
        said = {self._uids[number]: about for number, about in restated.items()}
        for _ in range(_TRIES):
            if self._changed(gone, said):
                return
        raise ServiceError(
            "the dead letters are changed by others all the time",
            at=Location(str(self.lake.tables.folder(rows.REJECTS))), fix="run it again later",
        )  # fmt: skip

    # -- inside --------------------------------------------------------------------------------------------

    def _changed(self, gone: set[str], said: Mapping[str, tuple[str, str]]) -> bool:
        table = self.lake.opened().get(rows.REJECTS)
        if table is None or not (gone or said):
            return True
        rewriting = Rewriting(self.lake.tables, rows.REJECTS, SETTLE)
        files: list[DataFile] = []
        names: pa.Array[Any] = pa.array([*gone, *said], pa.string())
        for file in table.files():
            whole = table.read([file])
            uids: Any = rows.uids(whole)
            if not pc.any(pc.is_in(uids, names)).as_py():
                continue
            files.append(file)
            rest = whole.filter(pc.invert(pc.is_in(uids, pa.array([*gone], pa.string()))))
            if rest.num_rows:
                rewriting.stage(file.day, [_restated(rest, said)])
        return not files or rewriting.commit(files, changed=True) is not None

    def _examples(self, source: str, head: str) -> Iterator[DeadLetter]:
        return self._read("source = ? AND head = ? ORDER BY time DESC", [source, head], _EXAMPLES)

    def _read(self, which: str, values: list[object], limit: int) -> Iterator[DeadLetter]:
        sql = f"SELECT *, metadata.uid AS uid FROM ({_ONE}) WHERE {which} LIMIT {limit}"  # noqa: S608 - constant
        for one in self._asked(sql, values, limit):
            self._uids[one["number"]] = one["uid"]
            at = Location(one["file"] or "", line=one["line"], record=one["record"])
            yield DeadLetter(
                one["number"], one["source"], one["time"], one["origin_key"] or "", at, one["reason"],
                one["content"] or "", one["fields"] or "", one["raw"] or b"",
            )  # fmt: skip

    def _asked(self, sql: str, values: list[object], limit: int) -> list[dict[str, Any]]:
        table: Table | None = self.lake.opened().get(rows.REJECTS)
        if table is None:
            return []
        if "fields" not in table.schema.names:  # written by an older version
            sql = sql.replace("FROM rejects", "FROM (SELECT *, '' AS fields FROM rejects)")
        return self.lake.query(sql, parameters=values, limit=limit).to_pylist()


def _restated(table: pa.Table, said: Mapping[str, tuple[str, str]]) -> pa.Table:
    """Return rows of letters with what is now said of some of them."""
    uids: list[Any] = rows.uids(table).to_pylist()
    if not said.keys() & set(uids):
        return table
    for place, name in enumerate(("reason", "content")):
        old: list[Any] = table.column(name).to_pylist()
        new = [said[uid][place] if uid in said else was for uid, was in zip(uids, old, strict=True)]
        number = table.column_names.index(name)
        table = table.set_column(number, table.schema.field(number), pa.array(new, pa.string()))
    return table


def histories(lake: RemoteLake, source: str | None) -> list[History]:
    """Return how sources spoke over the last five weeks, by the hour, and that of all of them together.

    Told by the times of events, which a sender that comes late fills in later. That Lemnis listened is taken
    from that anything came. Only files with a row of these weeks are read, of those only times and sources.
    """
    newest = max((min(one.last, now()) for one in lake.status() if one.last is not None), default=None)
    if newest is None:
        return []
    sql = (
        f"SELECT coalesce(metadata.log_name, '') AS name, time // {HOUR} * {HOUR} AS hour, count(*) AS n, "  # noqa: S608 - constants
        f"count(DISTINCT time // {STEP}) AS active, max(time) AS last FROM events "
        "WHERE time >= ? AND metadata.log_name = coalesce(?, metadata.log_name) GROUP BY ALL "
        "ORDER BY name, hour"
    )
    since = newest - _DAYS * 24 * HOUR
    found = lake.query(sql, parameters=[since, source], start=since, limit=10 * _MOST).to_pylist()
    beats: dict[str, list[Beat]] = {}
    every: dict[int, Beat] = {}
    for one in found:
        at, active = one["hour"], one["active"]
        beats.setdefault(one["name"], []).append(Beat(at, HOUR, one["n"], 0, active, one["last"]))
        known = every.get(at, Beat(at, HOUR, 0, 0, 0, 0))
        every[at] = Beat(
            at, HOUR, known.events + one["n"], 0, max(known.active, active), max(known.last, one["last"])
        )
    told = [History(name, ALL, some[0].at, tuple(some)) for name, some in sorted(beats.items())]
    own = tuple(every[at] for at in sorted(every))
    return [*told, History(*LISTENING, own[0].at, own)] if own else told

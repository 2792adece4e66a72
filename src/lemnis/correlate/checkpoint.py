"""What a correlator holds as one file, and back: after a restart it goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from lemnis.contracts.errors import IntegrityError
from lemnis.correlate.held import Held
from lemnis.correlate.incremental import Before, Correlator, Report
from lemnis.correlate.windows import Carry, Episode, Rows

FORMAT = 1
_SCHEMA = pa.schema(
    [
        ("held", pa.int32()), ("origin", pa.int32()), ("group", pa.int32()), ("time", pa.int64()),
        ("ref", pa.int16()), ("value", pa.int64()), ("uid", pa.int64()), ("source", pa.int32()),
    ]
)  # fmt: skip
_META = b"lemnis"


def dump(correlator: Correlator, facts: Mapping[str, Any]) -> bytes:
    """Return all that it holds, and ``facts`` (JSON) of where it is, as an Arrow file."""
    parts: list[pa.Table] = []
    described: list[dict[str, Any]] = []
    for number, (digest, held) in enumerate(correlator.held.items()):
        origins = list(held.derived)
        for place, rows in ((-1, held.own()), *enumerate(held.derived.values())):
            parts.append(_table(number, place, rows))
        described.append(
            {
                "digest": digest, "groups": held.groups, "origins": origins, "floor": held.floor,
                "latest": held.latest, "answering": sorted(held.answering), "after": held.after,
                "terms": list(held.terms.items()), "dirty": sorted(held.dirty),
                "carried": [[code, _carry(one)] for code, one in held.carried.items()],
                "told": [
                    [name, b.group, b.opened, b.revision, b.said, b.withdrawn]
                    for name, b in correlator.told[digest].items()
                ],
            }
        )  # fmt: skip
    meta = {
        "format": FORMAT, "facts": dict(facts), "held": described, "places": correlator.sources.places,
        "clocks": correlator.clocks, "odd": list(correlator.uids.odd.items()),
        "report": asdict(correlator.report),
    }  # fmt: skip
    table = pa.concat_tables([_SCHEMA.empty_table(), *parts])
    table = table.replace_schema_metadata({_META: orjson.dumps(meta)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def load(data: bytes, correlator: Correlator) -> dict[str, Any]:
    """Fill a new correlator with what was held; return the facts. Correlations that are gone are left out.

    Raises IntegrityError for what is no such file.
    """
    try:
        table = pa.ipc.open_stream(data).read_all()
        meta = orjson.loads((table.schema.metadata or {})[_META])
        if meta["format"] != FORMAT:
            raise _foreign(f"it is of format {meta['format']}")
        for source, class_uid in meta["places"]:
            correlator.sources.code(source, class_uid)
        correlator.clocks = {str(source): int(time) for source, time in meta["clocks"].items()}
        correlator.uids.odd = {int(key): text for key, text in meta["odd"]}
        correlator.report = Report(**meta["report"])
        numbers: Any = table.column("held").to_numpy()
        for number, described in enumerate(meta["held"]):
            held = correlator.held.get(described["digest"])
            if held is not None:
                _fill(correlator, held, described, table.filter(pa.array(numbers == number)))
        return dict(meta["facts"])
    except (pa.ArrowInvalid, ValueError, KeyError, TypeError, IndexError) as error:
        raise _foreign(str(error)) from error


def _foreign(why: str) -> IntegrityError:
    return IntegrityError(
        f"what correlation held cannot be read: {why}",
        fix="put the file aside: what was going on is then forgotten, what was told stays",
    )


def _fill(correlator: Correlator, held: Held, described: Mapping[str, Any], table: pa.Table) -> None:
    held.coded(described["groups"])
    origins: Any = table.column("origin").to_numpy()
    for place, origin in ((-1, None), *enumerate(described["origins"])):
        rows = _rows(table.filter(pa.array(origins == place)), real=held.real)
        if origin is None:
            held.append(rows)
        else:
            held.derive((origin[0], origin[1]), rows, held.floor)
    held.floor, held.latest, held.after = described["floor"], described["latest"], described["after"]
    held.answering = set(described["answering"])
    held.terms = {int(code): text for code, text in described["terms"]}
    held.dirty = set(described["dirty"])
    held.carried = {int(code): _carried(one) for code, one in described["carried"]}
    for name, group, opened, revision, said, withdrawn in described["told"]:
        before = Before(group, opened, revision, tuple(said), withdrawn)
        correlator.know(described["digest"], name, before, mark=False)


def _table(number: int, place: int, rows: Rows) -> pa.Table:
    count = len(rows)
    value = np.ascontiguousarray(rows.value).view(np.int64)
    columns: list[Any] = [
        np.full(count, number, np.int32), np.full(count, place, np.int32), rows.group.astype(np.int32),
        rows.time, rows.ref.astype(np.int16), value, rows.uid, rows.source.astype(np.int32),
    ]  # fmt: skip
    return pa.table([pa.array(column) for column in columns], schema=_SCHEMA)


def _rows(table: pa.Table, *, real: bool) -> Rows:
    got: dict[str, Any] = {name: table.column(name).to_numpy() for name in _SCHEMA.names}
    value = np.ascontiguousarray(got["value"])
    return Rows(
        got["group"].astype(np.int64), got["time"], got["ref"].astype(np.int64),
        value.view(np.float64) if real else value, got["uid"], got["source"].astype(np.int64),
    )  # fmt: skip


def _carry(one: Carry) -> list[Any]:
    episode = None if one.episode is None else {**asdict(one.episode), "moments": []}
    return [episode, one.level.hex(), one.at]


def _carried(said: Any) -> Carry:
    episode, level, at = said
    if episode is not None:
        named = tuple(tuple(one) for one in episode["evidence"])
        final = tuple(episode["final"]) if episode["final"] else None
        episode = Episode(**{**episode, "evidence": named, "moments": (), "final": final})
    return Carry(episode, float.fromhex(level), at)

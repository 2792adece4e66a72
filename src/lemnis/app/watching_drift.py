"""What to change in a mapping when a source's fields drift: drafted from values seen, as a diff to apply."""

from __future__ import annotations

import difflib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from lemnis import app
from lemnis.app.normalising import Normalising
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import ContentError, NotFoundError
from lemnis.contracts.watching import ALL
from lemnis.ingest import parsers
from lemnis.ingest.drafting import Amendment, amend
from lemnis.ingest.health_fields import MISSING, NEW, RETYPED, Drift, Drifting, drift, names
from lemnis.ingest.mapping_columns import RawColumns
from lemnis.ingest.parsers import Start
from lemnis.ingest.streams import Stream

_MAPPING = "mapping.yaml"
_RECORDS = 400
_VALUES = 50


@dataclass(frozen=True, slots=True)
class Change:
    """The drift of a source and a drafted change of its mapping.

    ``diff`` applies at the root of a workspace or checkout (``patch -p1``); it is empty where nothing can be
    drafted. ``by_hand`` are drafted changes that do not fit a line of the file as it is written, ``problem``
    says what keeps the changed mapping from being read.
    """

    source: str
    drift: tuple[Drift, ...]
    amendments: tuple[Amendment, ...]
    diff: str
    by_hand: tuple[Amendment, ...] = ()
    problem: str = ""


def drifted(workspace: app.Workspace, name: str) -> Drifting:
    """Return the drift of a source; raises NotFoundError for one that never spoke."""
    for one in app.events(workspace).histories(name):
        if one.host == ALL:
            return drift(one.fields, one.sampled, workspace.clock.now())
    raise NotFoundError(f"nothing of {name!r} ever came", fix="`lemnis sources health` says what did")


def change(workspace: app.Workspace, name: str) -> Change:
    """Draft how a source's mapping follows its drift; raises NotFoundError for a source that there is not."""
    source = Normalising(workspace.content).sources.get(name)
    found = drifted(workspace, name).found
    values = _values(workspace, source, [*names(found, NEW), *names(found, RETYPED)]) if found else {}
    new = {field: values[field] for field in names(found, NEW) if field in values}
    retyped = {field: values[field] for field in names(found, RETYPED) if field in values}
    drafted = amend(source, new, names(found, MISSING), retyped)
    folder = source.mapping_file.parent
    before = source.mapping_file.read_text(encoding="utf-8")
    after, by_hand = patched(before, drafted)
    return Change(
        name, found, drafted, _diff(folder.name, before, after), by_hand, _problem(folder, before, after)
    )


def patched(text: str, amendments: Sequence[Amendment]) -> tuple[str, tuple[Amendment, ...]]:
    """Return a mapping with amendments put in, and those that fit no line as it is written. Pure."""
    lines = text.splitlines()
    by_hand: list[Amendment] = []
    added: dict[int, list[str]] = {}
    for one in amendments:
        place = (one.at.line or 0) - 1
        if not 0 <= place < len(lines):
            by_hand.append(one)
        elif not one.old:
            indent = _indent(lines[place + 1]) if place + 1 < len(lines) else ""
            added.setdefault(place, []).append(f"{indent}{one.new}  # {one.why}")
        elif (line := _replaced(lines, place, one)) is not None:
            lines[place] = line
        else:
            by_hand.append(one)
    made = []
    for place, line in enumerate(lines):
        made += [line, *added.get(place, ())]
    return "\n".join(made) + "\n", tuple(by_hand)


def _replaced(lines: Sequence[str], place: int, one: Amendment) -> str | None:
    """Return a line with what an amendment makes of its value; None if that is not on this line alone."""
    found = re.match(rf"(\s*['\"]?{re.escape(one.path)}['\"]?:\s+)(.*)", lines[place])
    if found is None:
        return None
    following = lines[place + 1] if place + 1 < len(lines) else ""
    if following.strip() and len(_indent(following)) > len(_indent(lines[place])):
        return None
    try:
        same = yaml.safe_load(found[2]) == yaml.safe_load(one.old)
    except yaml.YAMLError:
        return None
    return f"{found[1]}{one.new}  # {one.why}" if same else None


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _diff(name: str, before: str, after: str) -> str:
    path = f"content/sources/{name}/{_MAPPING}"
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(lines)


def _problem(folder: Path, before: str, after: str) -> str:
    """Say what keeps a changed mapping from being read; "" if nothing does."""
    if before == after:
        return ""
    with tempfile.TemporaryDirectory(prefix="lemnis-drift-") as place:
        copy = Path(place) / folder.name
        copy.mkdir()
        shutil.copyfile(folder / "source.yaml", copy / "source.yaml")
        (copy / _MAPPING).write_text(after, encoding="utf-8")
        try:
            LoadedSource.read(copy)
        except ContentError as error:
            return error.what
    return ""


def _values(workspace: app.Workspace, source: LoadedSource, fields: Sequence[str]) -> Mapping[str, list[str]]:
    """Return some values of raw fields: of the newest records that were kept, parsed again."""
    lake = app.events(workspace)
    if not set(lake.schemas()) - {"rejects"}:
        return {}
    sql = (
        "SELECT raw_data FROM events WHERE metadata.log_name = ? AND raw_data IS NOT NULL ORDER BY time DESC"
    )
    rows = lake.query(sql, parameters=[source.name], limit=_RECORDS).to_pylist()
    records = [str(row["raw_data"]) for row in rows]
    lines = [record for record in records if "\n" not in record]
    texts = ["\n".join(lines), *(record for record in records if "\n" in record)]
    found: dict[str, dict[str, None]] = {}
    with tempfile.TemporaryDirectory(prefix="lemnis-drift-") as place:
        file = Path(place) / "records"
        for text in texts:
            file.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n")
            for name, values in _parsed(file, source, fields):
                if len(known := found.setdefault(name, {})) < _VALUES:
                    known.update(dict.fromkeys(values))
    return {name: list(values)[:_VALUES] for name, values in found.items()}


def _parsed(file: Path, source: LoadedSource, fields: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for one in parsers.get(source.file.parser).parse(Stream(file), source.file.options, Start(), whole=True):
        columns = RawColumns(one.fields)
        for name in fields:
            column: Any = columns.get(name)
            if column is not None:
                flat = column.flatten() if column.type.num_fields else column
                yield name, list(map(str, flat.drop_null().to_pylist()))


def document(found: Change) -> dict[str, Any]:
    """Return a change as JSON."""
    return {
        "source": found.source,
        "drift": [asdict(one) for one in found.drift],
        "amendments": [
            {"at": str(a.at), "entry": a.entry, "path": a.path, "old": a.old, "new": a.new, "why": a.why}
            for a in found.amendments
        ],
        "diff": found.diff,
        "by_hand": [str(a.at) for a in found.by_hand],
        "problem": found.problem,
    }  # fmt: skip

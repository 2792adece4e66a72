"""A new source drafted from a sample: mapping, sample and golden events, tested before they land."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lemnis import app
from lemnis.app.source_tests import normalise, tried
from lemnis.content.library import Library, builtin_root
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import Location, NotFoundError, UsageError
from lemnis.contracts.events import Reject
from lemnis.ingest import parsers
from lemnis.ingest.drafting import Suggestion
from lemnis.ingest.drafting_input import parser_of
from lemnis.ingest.drafting_source import About, Draft, Facts, classes, draft, times
from lemnis.ingest.drafting_values import LOOKED_AT
from lemnis.ingest.mapping_columns import RawColumns, pc
from lemnis.ingest.parsers import Parsed, Start
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

MAX_RECORDS = 20_000
SAMPLES = 50
"""So many records of a sample are copied beside the mapping."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user says of the source instead of letting it be guessed; ``time`` is ``FIELD[=FORMAT]``."""

    vendor: str = ""
    product: str = ""
    class_name: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Drafted:
    """The folder made, what was guessed, what a person must check, and how the sample fares with it."""

    name: str
    folder: Path
    parser: str
    class_name: str
    time: tuple[str, ...]
    identity: str
    suggestions: tuple[Suggestion, ...]
    unmapped: tuple[str, ...]
    checks: tuple[str, ...]
    records: int
    mapped: int
    rejects: Mapping[str, int]

    @property
    def personal(self) -> tuple[str, ...]:
        """The raw fields that are labelled as personal data."""
        return tuple(one.name for one in self.suggestions if one.personal)


def new(library: Library, name: str, sample: Path, content: Path, wish: Wish | None = None) -> Drafted:
    """Draft ``content/sources/NAME`` from a sample; nothing that is there is written over.

    Raises UsageError for a name that is none or taken, and for a sample from which nothing can be drafted;
    NotFoundError for one that is not there, and for a class or a field that there is not.
    """
    wish = wish or Wish()
    folder = content / "sources" / name
    _free(name, folder, sample)
    stream = Stream(sample)
    parser, options = parser_of(stream)
    parsed = _read(stream, parser, options)
    seen = facts(parsed)
    if not seen.records:
        why = next((reject for one in parsed for reject in one.rejects), None)
        raise UsageError(
            f"no record in the sample can be read{f': {why.reason}' if why else ''}", at=Location(str(sample))
        )
    about = About(
        name, parser, options, sample.name, wish.vendor or "Unknown", wish.product or name, _times(seen, wish)
    )
    wanted = [wish.class_name] if wish.class_name else classes(seen)
    with tempfile.TemporaryDirectory(prefix="lemnis-draft-") as place:
        made, rejects, events = _best(Path(place), seen, about, wanted, sample)
        draft_folder = Path(place) / made.class_name / name
        _samples(draft_folder, parsed, {(one.at.record or 0) for one in rejects}, parser, _first_line(stream))
        warnings = _proven(library, draft_folder, own=content != builtin_root())
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft_folder, folder)
    counts: dict[str, int] = {}
    for one in rejects:
        counts[one.reason] = counts.get(one.reason, 0) + 1
    return Drafted(
        name, folder, parser, made.class_name, tuple(field for field, _ in about.times), made.identity,
        made.suggestions, made.rest, (*made.checks, *warnings), events + len(rejects), events, counts,
    )  # fmt: skip


def _free(name: str, folder: Path, sample: Path) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a source", fix="small letters, digits and _, a letter first"
        )
    if folder.exists():
        raise UsageError(
            "there is such a source already", at=Location(str(folder)), fix="take another name or remove it"
        )
    app.require_file(sample)


def _read(stream: Stream, parser: str, options: Mapping[str, object]) -> list[Parsed]:
    found, count = [], 0
    for one in parsers.get(parser).parse(stream, options, Start(), whole=True):
        found.append(one)
        count += len(one.records)
        if count >= MAX_RECORDS:
            break
    return found


def facts(parsed: Iterable[Parsed]) -> Facts:
    """Return what the records hold, by raw field: distinct values (a bounded number) and how many have it."""
    values: dict[str, dict[str, None]] = {}
    counts: dict[str, int] = {}
    records = 0
    for one in parsed:
        records += len(one.records)
        columns = RawColumns(one.fields)
        for name in columns.names():
            column = columns.get(name)
            if column is None:
                continue
            counts[name] = counts.get(name, 0) + len(column) - column.null_count
            flat = column.flatten() if hasattr(column, "flatten") and column.type.num_fields else column
            known = values.setdefault(name, {})
            if len(known) < LOOKED_AT:
                known.update(dict.fromkeys(pc.unique(flat.drop_null()).to_pylist()))
    return Facts(records, {name: list(some) for name, some in values.items()}, counts)


def _times(seen: Facts, wish: Wish) -> list[tuple[str, tuple[str, ...]]]:
    found = times(seen)
    if wish.time:
        name, _, written = wish.time.partition("=")
        if name not in seen.values:
            raise NotFoundError(
                f"no field {name!r} in the sample", fix=f"there are: {', '.join(seen.values)}"
            )
        formats = (written,) if written else next((known for field, known in found if field == name), ())
        if not formats:
            raise UsageError(
                f"no known format reads {name}: {next(iter(seen.values[name]), '')!r}",
                fix="say it: --time FIELD=FORMAT, a strptime format or one of those in docs/sources.md",
            )
        return [(name, formats)]
    if not found:
        raise UsageError(
            "no field of the sample holds a time",
            fix="name one: --time FIELD=FORMAT; an event must have a time",
        )
    whole = next((n for n, (name, _) in enumerate(found) if seen.everywhere(name)), None)
    return found[:1] if whole == 0 else found[: 3 if whole is None else whole + 1]


def _best(
    place: Path, seen: Facts, about: About, wanted: Sequence[str], sample: Path
) -> tuple[Draft, list[Reject], int]:
    """Return the draft by which the most of the sample becomes events; of equals, the likelier class."""
    found: list[tuple[int, int, Draft, list[Reject], int]] = []
    for rank, class_name in enumerate(wanted):
        made = draft(seen, about, class_name)
        folder = place / class_name / about.name
        folder.mkdir(parents=True)
        (folder / "source.yaml").write_text(made.source, encoding="utf-8")
        (folder / "mapping.yaml").write_text(made.mapping, encoding="utf-8")
        events, rejects = normalise(LoadedSource.read(folder), sample)
        found.append((len(rejects), rank, made, rejects, len(events)))
        if not rejects:
            break
    _, _, made, rejects, count = min(found, key=lambda one: one[:2])
    if not count:
        raise UsageError(
            f"no record of the sample can be mapped: {rejects[0].reason}", at=rejects[0].at,
            fix="say where the time is (--time) or of which class the records are (--class)",
        )  # fmt: skip
    return made, rejects, count


def _samples(folder: Path, parsed: Sequence[Parsed], bad: set[int], parser: str, header: str) -> None:
    """Write the first records that can be mapped as the source's own sample."""
    texts: list[str] = []
    for one in parsed:
        pairs = zip(one.records.to_pylist(), one.positions.to_pylist(), strict=True)
        texts += [str(text) for text, number in pairs if number not in bad][: SAMPLES - len(texts)]
    (folder / "samples").mkdir()
    if parser == "jsonl":
        texts = [" ".join(text.splitlines()) for text in texts]
    if parser == "csvlines":
        texts = [header, *texts]
    suffix = {"jsonl": "jsonl", "csvlines": "csv"}.get(parser, "log")
    (folder / "samples" / f"sample.{suffix}").write_text("\n".join(texts) + "\n", encoding="utf-8")


def _first_line(stream: Stream) -> str:
    text = stream.head().decode("utf-8-sig", "replace")
    return next((line for line in text.splitlines() if line.strip()), "")


def _proven(library: Library, folder: Path, *, own: bool) -> list[str]:
    """Write the golden events, and say what keeps the source's own test from passing."""
    source = LoadedSource.read(folder)
    others = Sources.load(library)
    together = Sources(
        {**others.by_name, source.name: source}, (), others.own | ({source.name} if own else frozenset())
    )
    (case,) = tried(source, together, update=True)
    return list(case.why)

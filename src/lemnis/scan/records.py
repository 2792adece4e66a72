"""Compiles one kind of record of a report into what makes a finding of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lemnis.content.schemas.reader import Edits, Field, Grade, Record, Steps, Suppressed, Value, Weakness
from lemnis.contracts.findings import Edit, Finding, Kind, Place, Suppression, Vulnerability
from lemnis.scan import values
from lemnis.scan.paths import Spot, walk
from lemnis.scan.places import within

Maker = Callable[[str, Spot], Finding | str]
"""Makes a finding of a tool's record, or says what it lacks."""
_LONGEST = 20_000


def compile_record(record: Record) -> Maker:
    """Return what makes findings of such records; texts are cut at 20,000 characters."""
    texts = {name: values.text(getattr(record, name)) for name in _TEXTS if getattr(record, name)}
    numbers = {name: values.number(getattr(record, name)) for name in _NUMBERS if getattr(record, name)}
    grade, weaknesses, controls = (
        values.severity(record.severity),
        values.cwes(record.cwes),
        values.many(record.controls),
    )
    kind = Kind(record.kind)
    vulnerable = _vulnerability(record.vulnerability) if record.vulnerability else None
    suppressed = _suppressed(record.suppressed) if record.suppressed else None
    flow = _steps(record.flow) if record.flow else None
    edits = _edits(record.edits) if record.edits else None

    def make(tool: str, spot: Spot) -> Finding | str:
        said = {name: get(spot)[:_LONGEST] for name, get in texts.items()}
        try:
            level = grade(spot)
            at = {name: get(spot) for name, get in numbers.items()}
        except ValueError as error:
            return str(error)
        rule = said.get("rule_id", "")
        if not rule:
            return "no rule"
        path, elsewhere = within(said.get("path", ""))
        resource = said.get("resource", "") or elsewhere
        vulnerability = vulnerable(spot, rule) if vulnerable else None
        if not path and not resource and not (vulnerability and vulnerability.purl):
            return "no path inside the scanned folder, and no resource"
        line = _from_one(at.get("line"), record.line_offset)
        column = _from_one(at.get("column"), record.column_offset)
        title = said.get("title", "") or rule
        return Finding(
            fingerprint="",
            tool=tool,
            rule_id=rule,
            title=title.splitlines()[0] if title.strip() else rule,
            severity=level,
            path=path,
            line=line,
            end_line=max(line, _from_one(at.get("end_line"), record.line_offset)),
            cwes=weaknesses(spot),
            snippet=said.get("snippet", ""),
            message=said.get("message", "") or title,
            confidence=said.get("confidence", "").lower(),
            help_uri=said.get("help_uri", ""),
            kind=kind,
            column=column,
            end_column=_from_one(at.get("end_column"), record.column_offset),
            resource=resource,
            fix=said.get("fix", ""),
            controls=tuple(controls(spot)),
            edits=edits(spot) if edits else (),
            flow=flow(spot) if flow else (),
            vulnerability=vulnerability,
            suppression=suppressed(spot) if suppressed else None,
        )

    return make


_TEXTS = ("rule_id", "title", "message", "path", "snippet", "confidence", "help_uri", "resource", "fix")
_NUMBERS = ("line", "end_line", "column", "end_column")
_VALUES = (*_TEXTS, *_NUMBERS, "severity")


def _from_one(number: int | None, offset: int) -> int:
    return 0 if number is None else max(number + offset, 0)


def _vulnerability(made: Weakness) -> Callable[[Spot, str], Vulnerability]:
    ids, url = values.many(made.ids), values.text(made.purl)
    score, epss, vector = values.decimal(made.score), values.decimal(made.epss), values.text(made.vector)
    fixed, exploited = values.text(made.fixed_in), values.text(made.exploited)
    parts = (
        [values.text(one) for one in (made.package.type, made.package.name, made.package.version)]
        if made.package
        else []
    )

    def make(spot: Spot, rule: str) -> Vulnerability:
        built = values.purl(*(get(spot) for get in parts)) if parts else ""
        said = exploited(spot).lower()
        return Vulnerability(
            ids=tuple(ids(spot)) or (rule,),
            purl=url(spot) or built,
            fixed_in=tuple(one.strip() for one in fixed(spot).split(",") if one.strip()),
            score=score(spot),
            vector=vector(spot),
            epss=epss(spot),
            exploited={"true": True, "yes": True, "false": False, "no": False}.get(said),
        )

    return make


def _suppressed(made: Suppressed) -> Callable[[Spot], Suppression | None]:
    holds, reason = values.when(made.when), values.text(made.reason)
    return lambda spot: Suppression(made.kind, reason(spot)) if holds(spot) else None


def _steps(made: Steps) -> Callable[[Spot], tuple[Place, ...]]:
    path, message = values.text(made.path), values.text(made.message)
    line, column = values.number(made.line), values.number(made.column)

    def make(spot: Spot) -> tuple[Place, ...]:
        spots = (Spot(one.value, one.key, spot) for one in walk(spot.value, made.at))
        return tuple(
            Place(within(path(s))[0] or path(s), line(s) or 0, column(s) or 0, message(s)) for s in spots
        )

    return make


def _edits(made: Edits) -> Callable[[Spot], tuple[Edit, ...]]:
    path, words = values.text(made.path), values.text(made.text)
    line, column = values.number(made.line), values.number(made.column)
    end_line, end_column = values.number(made.end_line), values.number(made.end_column)

    def corners(spot: Spot) -> tuple[int, int, int, int]:
        first, last = line(spot) or 0, end_line(spot)
        return first, column(spot) or 1, last or first, end_column(spot) or 1

    def make(spot: Spot) -> tuple[Edit, ...]:
        spots = (Spot(one.value, one.key, spot) for one in walk(spot.value, made.at))
        return tuple(Edit(within(path(s))[0], *corners(s), words(s)) for s in spots)

    return make


def paths_of(record: Record) -> Iterator[str]:
    """Yield every path that a record's fields read, from the record."""
    for name in _VALUES:
        yield from _paths(getattr(record, name))
    yield from (path for one in record.cwes for path in _paths(one))
    yield from (*record.controls, *(one.path for one in record.when))
    if record.vulnerability is not None:
        yield from record.vulnerability.ids
        for name in ("purl", "fixed_in", "score", "vector", "epss", "exploited"):
            yield from _paths(getattr(record.vulnerability, name))
        if record.vulnerability.package is not None:
            for name in ("type", "name", "version"):
                yield from _paths(getattr(record.vulnerability.package, name))
    if record.suppressed is not None:
        yield record.suppressed.when.path
        yield from _paths(record.suppressed.reason)
    for steps in (record.flow, record.edits):
        for name in ("path", "line", "column", "end_line", "end_column", "message", "text"):
            for path in _paths(getattr(steps, name, "")):
                yield path if path.startswith(("^", "$")) else f"{steps.at}.{path}" if steps else path


def _paths(value: Value | Grade) -> Iterator[str]:
    """Yield the paths in a value."""
    if isinstance(value, str):
        yield from [value] if value else []
    elif isinstance(value, tuple):
        for one in value:
            yield from _paths(one)
    else:
        yield from _paths(value.source)
        if isinstance(value, Field):
            yield from values.paths_in(value.text)

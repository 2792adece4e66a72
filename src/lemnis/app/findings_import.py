"""Imports reports: of scanners that Lemnis drives, of those it only reads, and of standard formats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import orjson

from lemnis import app
from lemnis.app import scans
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.reader import Format, Reader, Report
from lemnis.contracts.errors import InputError, Location, NotFoundError, RecordError
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.contracts.ids import digest, stable_id

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Import:
    """An imported report: whose it is, how many findings it has, how many of them are new (None: no lake).

    ``errors`` are its parts that cannot be read, ``lost`` by path what has no place in a finding. Of
    documents that make statements ``statements`` says how many, and ``new`` how many of those are new.
    ``unknown`` is what nobody could look up of a bill of materials.
    """

    tool: str
    findings: int
    errors: tuple[str, ...]
    lost: Mapping[str, int]
    new: int | None
    statements: int | None = None
    unknown: tuple[str, ...] = ()


def layouts(library: Library, *, aliases: bool = True) -> dict[str, tuple[Report, ...]]:
    """Return the layouts of reports by tool; raises ContentError for the first that cannot be read."""
    from lemnis.app.scans import scanners

    found = {one.name: one.reports for one in scanners(library)}
    for item in library.items("readers").values():
        reader = yaml.load(item.manifest, Reader)
        for name in (reader.name, *(reader.aliases if aliases else ())):
            found[name] = (*reader.reports, *found.get(name, ()))
    return found


def with_standards(reports: tuple[Report, ...]) -> tuple[Report, ...]:
    """Add the standard formats to a tool's own layouts: most tools write one of them too."""
    kind = next((record.kind for one in reports for record in one.records), reports[0].kind)
    have = {one.format for one in reports}
    return (
        *reports,
        *(Report(format=form, fits=fits, kind=kind) for form, fits in _STANDARDS if form not in have),
    )


_STANDARDS: tuple[tuple[Format, tuple[tuple[str, ...], ...]], ...] = (
    ("sarif", (("runs", "version"),)),
    ("cyclonedx", (("bomFormat",),)),
    ("ocsf", (("[].class_uid", "[].finding_info"),)),
)


def bring_in(
    file: Path,
    tool: str,
    library: Library,
    workspace: app.Workspace | None,
    *,
    resource: str = "",
    revision: str = "imported",
    root: Path | None = None,
) -> Import:
    """Import a report; with a workspace into its lake, where a second import of the same changes nothing.

    Raises NotFoundError for no such file or tool, RecordError for what is no report of the tool, InputError
    if ``auto`` finds nobody whose report it is.
    """
    from lemnis.app import findings_documents as documents
    from lemnis.scan.decoding import MAX_REPORT
    from lemnis.scan.programs import source
    from lemnis.scan.reading import read

    app.require_file(file)
    if file.stat().st_size > MAX_REPORT:
        raise RecordError(
            f"a report of {file.stat().st_size:,} bytes is more than {MAX_REPORT:,}", at=Location(str(file)),
            fix="let the tool write several reports, or filter it",
        )  # fmt: skip
    data = file.read_bytes()
    name = tool.replace("-", "_").lower()
    about = resource or file.name
    form = documents.form(data) if name == AUTO or name in documents.LISTING else name
    if form in {*documents.FORMS, documents.BILL}:
        return _document(file, data, form, workspace, about=about, revision=revision)
    if tool == AUTO:
        name = recognise(data, layouts(library, aliases=False), str(file))
    key = stable_id("import", digest(data), name, about, revision, library.digest, str(root))
    before = _before(workspace, key) if workspace is not None else None
    if before is not None:
        return before
    known = layouts(library)
    if name not in known:
        every = ", ".join(sorted([*known, *documents.FORMS]))
        raise NotFoundError(f"no reader for {tool!r}", fix=f"auto, or one of {every}")
    lines = cache(lambda path: source(root / path) if root is not None else [])
    try:
        found = read(name, with_standards(known[name]), data, lines, root=str(root.resolve()) if root else "")
    except RecordError as error:
        raise RecordError(error.what, at=Location(str(file)), fix=error.fix or _FIX) from error
    if workspace is None:
        return Import(name, len(found.findings), found.errors, found.lost, None)
    from lemnis.scan import posture

    health = ScanHealth(
        name, found.version, Health.UNKNOWN if found.errors else Health.OK, 0, found.errors, 0,
        rules=digest(data),
    )  # fmt: skip
    new = _into_lake(workspace, found.findings, health, about=about, revision=revision, data=data)
    done = Import(name, len(found.findings), found.errors, found.lost, new)
    events: dict[str, list[str]] = defaultdict(list)
    for one in found.findings:
        events[posture.table(one)].append(posture.uid(one, about, revision))
    _keep(workspace, key, done, events)
    return done


def _into_lake(
    workspace: app.Workspace,
    findings: tuple[Finding, ...],
    health: ScanHealth,
    *,
    about: str,
    revision: str,
    data: bytes,
) -> int:
    """Put findings into the lake, and what came of them into their lives; return how many are new."""
    from lemnis.app import findings_life, pipeline

    report = ScanReport(findings, (health,))
    new = pipeline.into_lake(workspace, report, resource=about, revision=revision)
    findings_life.remember(workspace, report, resource=about, revision=revision, told=digest(data))
    return new


def _document(
    file: Path, data: bytes, form: str, workspace: app.Workspace | None, *, about: str, revision: str
) -> Import:
    """Import what is no report (``findings_documents``); raises RecordError for what is none of that form."""
    from lemnis.app import findings_documents as documents

    if form == "in_toto":
        kept, errors, lost = documents.attested(file, workspace)
        return Import(form, 0, errors, lost, None, kept)
    if form not in {"spdx", documents.BILL}:
        said, fresh, errors, lost = documents.statements(data, file, workspace)
        return Import(form, 0, errors, lost, fresh, said)
    found, health, errors, lost = documents.components(data, file, workspace, about)
    new = (
        None
        if workspace is None
        else _into_lake(workspace, found, health, about=about, revision=revision, data=data)
    )
    unknown = tuple(one for one in health.errors if one not in errors)
    return Import(form, len(found), errors, lost, new, unknown=unknown)


def _keep(workspace: app.Workspace, key: str, done: Import, events: Mapping[str, Sequence[str]]) -> None:
    """Remember an import, and of each table some events by which to see that the lake still has it."""
    some = {table: [*dict.fromkeys(uids[:: max(len(uids) // _SAMPLED, 1)])] for table, uids in events.items()}
    scans.kept(workspace, "imports")[key] = orjson.dumps({**asdict(done), "events": some})


def _before(workspace: app.Workspace, key: str) -> Import | None:
    """Return what a former import of the same told, if the lake still holds what it brought in."""
    kept = scans.kept(workspace, "imports")
    if key not in kept:
        return None
    said = orjson.loads(kept[key])
    if "events" not in said:  # as an earlier version kept it
        return None
    lake = app.events(workspace)
    for table, uids in said["events"].items():
        if table not in lake.schemas():
            return None
        query = (
            f'SELECT count(DISTINCT metadata.uid) AS n FROM "{table}" WHERE list_contains(?, metadata.uid)'  # noqa: S608 - own names
        )
        if lake.query(query, parameters=[uids]).to_pylist()[0]["n"] < len(uids):
            return None
    return Import(said["tool"], said["findings"], tuple(said["errors"]), said["lost"], 0)


_SAMPLED = 20
_FIX = "name the tool with --tool, or let `--tool auto` find it"


def recognise(data: bytes, known: Mapping[str, tuple[Report, ...]], file: str) -> str:
    """Return whose report this is: of those whose parts it has, the one that asks for most.

    Raises InputError if it is nobody's, or if two of different layouts ask for as much.
    """
    scored = sorted(_candidates(data, known, file), reverse=True)
    if not scored:
        raise InputError("nobody's report is known to look like this", at=Location(file), fix=_FIX)
    best = [name for *score, name in scored if score == list(scored[0][:-1])]
    if any(known[name] != known[best[0]] for name in best):
        raise InputError(f"it may be a report of {' or '.join(sorted(best))}", at=Location(file), fix=_FIX)
    return best[0]


def _candidates(
    data: bytes, known: Mapping[str, tuple[Report, ...]], file: str
) -> Iterator[tuple[int, int, str]]:
    """Yield the tools whose parts a report has: how many parts a layout asks for, its rank, negative."""
    from lemnis.scan.decoding import decode
    from lemnis.scan.paths import there

    documents: dict[tuple[str, str], object] = {}
    for name, reports in known.items():
        asked = [(0, 0)]
        for rank, report in enumerate(reports):
            key = (report.format, report.delimiter)
            if key not in documents:
                try:
                    documents[key] = decode(report, data, file).document
                except RecordError:
                    documents[key] = None
            asked += [
                (sum(part.count(".") + 1 for part in way), -rank)
                for way in report.fits
                if documents[key] is not None and all(there(documents[key], part) for part in way)
            ]
        if max(asked)[0]:
            yield *max(asked), name

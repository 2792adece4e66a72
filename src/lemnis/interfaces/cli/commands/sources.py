"""``lemnis sources``: log sources, their mapping tests, drafts of new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lemnis.contracts.errors import ContentError, UsageError
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, show_table, warn

if TYPE_CHECKING:
    from lemnis.app.source_tests import Tested

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME…]", help="Sources; all unless given.")
]
_FAILED = 1
_TOP = 20


def register(app: typer.Typer) -> None:
    """Add the commands about sources."""
    sources = group(app, "sources")
    sources.command("list")(list_sources)
    sources.command("test")(check)
    sources.command("new")(new)
    sources.command("explain")(explain)


def list_sources(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the sources: who makes what, how it is read, what it becomes, which Sigma rules see it.

    Works without a workspace, on the built-in sources.

    Example: lemnis sources list
    """
    from lemnis import app
    from lemnis.app import sources as asking

    found = asking.listing(app.library(app.around(workspace)))
    if json:
        for one in found:
            emit(asdict(one))
        return
    rows = (
        (s.name, f"{s.vendor} {s.product}", s.parser, ", ".join(s.classes), "; ".join(s.sigma)) for s in found
    )
    show_table(counted(len(found), "source"), ("name", "product", "parser", "becomes", "Sigma"), rows)


def check(
    names: NamesArgument = None,
    path: Annotated[
        list[Path] | None,
        typer.Option("--path", help="Measure ONE source on these files or folders instead of its samples."),
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Write what is found as golden.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Map the samples of each source, compare with the golden events beside them, and validate every event.

    Says the mapped share, the raw fields that no line keeps (`unmapped`, with the number of events), rejects
    with their reasons, and whether each event's raw record is what was read (the round trip). `--path`
    measures all that on files of your own. `--update` REWRITES the golden files: read the difference before
    you commit it. Exit code 1 if a sample does not give its golden events, or an event is not of its class.

    Example: lemnis sources test linux_audit
    """
    from lemnis import app
    from lemnis.app import source_tests as asking

    library = app.library(app.around(workspace))
    if path and (len(names or ()) != 1 or update):
        raise UsageError("--path measures one source", fix="lemnis sources test NAME --path FILE")
    if path:
        tested = iter([asking.foreign(library, (names or [""])[0], path)])
    else:
        tested = asking.check(library, names or (), update=update)
    failed, rows = False, list[tuple[object, ...]]()
    wrong: ContentError | None = None
    try:
        for one in tested:
            failed = failed or one.passed < len(one.cases)
            rows.append(_row(one, json=json, below="" if path else "samples/"))
    except ContentError as error:  # what was tested before it stands
        wrong = error
    if rows and not json:
        columns = ("source", "cases", "passed", "records", "mapped", "raw record", "rejects")
        show_table("mapping tests", columns, rows)
    if update:
        warn("the golden files were REWRITTEN from what the mappings give now; review them before you commit")
    if wrong is not None:
        raise wrong
    if failed:
        raise typer.Exit(_FAILED)


def _row(one: Tested, *, json: bool, below: str) -> tuple[object, ...]:
    """Tell what testing a source gave, and return its row of the table."""
    told = _told(one)
    if json:
        emit(told)
    else:
        _show_left(one.name, told)
    for case in one.cases:
        for why in case.why[:_TOP]:
            warn(f"{one.name}/{below}{case.sample}: {why}")
    trip = " + ".join(f"{count} {how}" for how, count in told["round_trip"].items() if count)
    records, rejects = one.total("records"), sum(told["rejects"].values())
    return one.name, len(one.cases), one.passed, records, f"{one.mapped_percent:g} %", trip, rejects


def _told(one: Tested) -> dict[str, Any]:
    trip = {how: one.total(how) for how in ("exact", "equal", "made")}
    return {
        "name": one.name, "cases": len(one.cases), "passed": one.passed,
        "mapped_percent": one.mapped_percent, "records": one.total("records"), "events": one.total("mapped"),
        "unmapped": one.counts("unmapped"), "rejects": one.counts("rejects"), "round_trip": trip,
        "gaps": one.counts("gaps"),
    }  # fmt: skip


def _show_left(name: str, told: Mapping[str, Any]) -> None:
    for what in ("unmapped", "rejects"):
        counts = list(told[what].items())
        if counts:
            more = f" and {len(counts) - _TOP} more" if len(counts) > _TOP else ""
            shown = ", ".join(f"{key} ({count})" for key, count in counts[:_TOP])
            console.print(Text(f"{name} {what}: {shown}{more}", style="dim"))


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The source's name, such as acme_proxy.")],
    sample: Annotated[
        Path, typer.Option("--from", help="Some records: JSON, a table, key=value pairs, lines of text.")
    ],
    content: Annotated[
        Path | None, typer.Option("--content", help="The content folder; else the workspace's.")
    ] = None,
    vendor: Annotated[str, typer.Option(help="Who makes the product.")] = "",
    product: Annotated[str, typer.Option(help="What the product is called.")] = "",
    class_name: Annotated[str, typer.Option("--class", help="The OCSF class; else guessed.")] = "",
    time: Annotated[
        str, typer.Option(metavar="FIELD[=FORMAT]", help="The field with the time, and how it is written.")
    ] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Draft a source from a sample: how it is recognised and read, its mapping, a test with golden events.

    What is guessed (times, severity, who, where from, what happened, the class, personal data) says so in the
    files; CHECK marks what only a person can decide. `lemnis sources test NAME` passes at once. A source
    that is there is never written over. The first records of the sample are copied: take out what must
    not be committed.

    Example: lemnis sources new acme_proxy --from sample.ndjson
    """
    from lemnis import app
    from lemnis.app import source_drafts as drafting

    around = app.around(workspace)
    if content is None and around is None:
        raise UsageError("no workspace here to put the source in", fix="name a folder: --content DIR")
    folder = content if content is not None else around.content if around is not None else Path()
    wish = drafting.Wish(vendor, product, class_name, time)
    made = drafting.new(app.library(around), name, sample, folder, wish)
    if json:
        emit(
            {"name": made.name, "folder": str(made.folder), "parser": made.parser, "class": made.class_name,
             "time": made.time, "identity": made.identity, "records": made.records, "mapped": made.mapped,
             "rejects": made.rejects, "personal": made.personal, "unmapped": made.unmapped,
             "guessed": {one.path: one.name for one in made.suggestions if one.path}, "check": made.checks}
        )  # fmt: skip
        return
    rows = ((one.path, one.name, "personal" if one.personal else "", one.why)
            for one in made.suggestions if one.path)  # fmt: skip
    show_table(
        f"{made.name}: {made.class_name}, read by {made.parser}", ("OCSF", "field", "", "guessed by"), rows
    )
    console.print(Text(f"time: {', '.join(made.time)}"))
    console.print(Text(f"mapped: {made.mapped} of {counted(made.records, 'record')} of {sample}"))
    for reason, count in made.rejects.items():
        warn(f"{counted(count, 'record')} rejected: {reason}")
    if made.unmapped:
        console.print(Text(f"in `unmapped`: {', '.join(made.unmapped)}"))
    for one in made.checks:
        console.print(Text(f"check: {one}"))
    console.print(Text(f"made {made.folder}; next: lemnis sources test {made.name}"))


def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The source.")],
    record: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Records to explain by; - is the standard input.")
    ] = None,
    number: Annotated[int, typer.Option("--record", min=1, help="Which record of the file.")] = 1,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say of each OCSF attribute which raw field its value comes from, and by which line of the mapping.

    With a file, of one record of it, with the values; without, of every entry of the mapping.

    Example: lemnis sources explain okta events.jsonl --record 3
    """
    from lemnis import app
    from lemnis.app import source_traces as asking

    library = app.library(app.around(workspace))
    found = asking.lines(library, name) if record is None else asking.trace(library, name, record, number)
    if json:
        for one in found:
            emit(asdict(one) | {"at": str(one.at)})
        return
    shown = record is not None
    rows = (
        (
            one.path,
            one.value if shown else one.entry,
            ", ".join(one.raw),
            f"{Path(one.at.file).name}:{one.at.line}",
        )
        for one in found
    )
    show_table(name, ("OCSF", "value" if shown else "entry", "raw field", "line"), rows)

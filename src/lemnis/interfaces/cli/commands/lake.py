"""``lemnis lake``: what there is of the lake, how it was, whether it is whole, and how long it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    show_table,
    warn,
)

if TYPE_CHECKING:
    from lemnis.app.lake_keeping import Planned
    from lemnis.store.compaction import Compacted
    from lemnis.store.holds import Held
    from lemnis.store.retention import Loss

_FINDINGS = 1
_DAYS_SHOWN = 50
ReasonOption = Annotated[str, typer.Option(help="Why; it goes into the journal.")]


def register(app: typer.Typer) -> None:
    """Add the commands about the lake's keeping."""
    lake = group(app, "lake")
    for command in (status, history, check, compact, index, retain):
        lake.command(command.__name__)(command)
    holds = typer.Typer(help="Legal holds: what must not go.", no_args_is_help=True)
    holds.command("add")(add)
    holds.command("list")(list_)
    holds.command("release")(release)
    lake.add_typer(holds, name="hold")


def status(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show the lake's tables: files, rows, bytes on the disk and for each byte of raw record, versions, days.

    `small` files can be joined by compaction; `due` days are those for which it is worth it; `disk` counts
    files that only older versions need, too.

    Example: lemnis lake status
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    found = lake_keeping.status(app.open_workspace(workspace))
    if json:
        for one in found.tables:
            emit({**asdict(one), "ratio": one.ratio, "due_days": found.due.get(one.name, 0)})
        spool = {"name": "(spool)", "rows": found.spooled_rows, "bytes": found.spooled_bytes}
        emit({**spool, "holds": list(found.holds)})
        return
    from lemnis.interfaces.cli.search_view import table_row

    rows = (
        (table_row(t.name), f"{t.files:,}\n{t.small:,} small", f"{t.rows:,}",
         f"{_size(t.bytes)}\n{_size(t.disk_bytes)} disk\n{_share(t.ratio)}",
         f"{t.days:,}\n{found.due.get(t.name, 0)} due", f"{_time(t.first)[:10]}\n{_time(t.last)[:10]}",
         f"{t.oldest_version} to {t.version}")
        for t in found.tables
    )  # fmt: skip
    columns = ("table", "files", "rows", "size", "days", "from, to", "versions")
    show_table(f"{counted(sum(t.rows for t in found.tables), 'row')} in the tables", columns, rows)
    console.print(f"{counted(found.spooled_rows, 'row')} ({_size(found.spooled_bytes)}) wait in the spool")
    if found.holds:
        console.print(f"holds: {', '.join(found.holds)}", markup=False)


def history(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="One table; all unless given.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 50,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List versions of the lake's tables, newest first: when, what was done, rows that came and went.

    `lemnis sql --as-of` asks the tables as they were at a time or version. History is kept for 7 days unless
    the settings say otherwise (`lake: {history_days: 7}`).

    Example: lemnis lake history process_activity
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    found = lake_keeping.versions(app.open_workspace(workspace), table)
    if json:
        for one in found[:limit]:
            emit({**asdict(one), "facts": dict(one.facts)})
        return
    rows = (
        (v.name, v.version, to_iso(v.at), v.operation, f"+{v.files_added} -{v.files_removed}",
         f"+{v.rows_added:,} -{v.rows_removed:,}", f"{v.total:,}")
        for v in found[:limit]
    )  # fmt: skip
    columns = ("table", "version", "time", "done", "files", "rows", "rows there")
    show_table(counted(len(found), "version"), columns, rows)


def check(
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of every file.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Look whether the lake is whole: logs, files, rows, days, uids, spool. Exit code 1 with findings.

    Without --deep logs and sizes, the files' own accounts and the columns time and uid are read; with it
    every page, against its checksum and the file's digest: one flipped byte is named with its file, row
    group and column. Ingest goes on meanwhile. With --json one finding a line, then the counts.

    Example: lemnis lake check --deep
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    opened = app.open_workspace(workspace)
    with _bar("checking files") as step:
        report = lake_keeping.check(opened, deep=deep, progress=step)
    if json:
        for one in report.findings:
            emit(asdict(one))
        emit({
            "ok": report.whole, "deep": deep, "tables": report.tables, "versions": report.versions,
            "files": report.files, "rows": report.rows, "bytes": report.bytes, "spooled": report.spooled,
            "findings": len(report.findings),
        })  # fmt: skip
    else:
        for one in report.findings:
            place = " ".join(part for part in (one.table, one.at) if part)
            messages.print(f"{one.level}: {one.kind}: {place}: {one.what} ({one.fix})", markup=False)
        errors = sum(f.level == "error" for f in report.findings)
        console.print(
            f"{counted(report.tables, 'table')}, {counted(report.versions, 'version')}, "
            f"{counted(report.files, 'file')}, "
            f"{counted(report.rows, 'row')} ({_size(report.bytes)}){', every byte' if deep else ''}, "
            f"{counted(report.spooled, 'row')} in the spool: "
            + ("whole" if report.whole else counted(errors, "error"))
        )
    if not report.whole:
        raise typer.Exit(_FINDINGS)


def compact(
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be repeated.")] = None,
    min_files: Annotated[
        int | None, typer.Option(min=1, help="Rewrite days of so many small files; as in the settings else.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Rewrite days of many small files as few sorted ones, and sweep files that no version kept needs.

    `lemnis serve` does that in the background. Readers and ingest go on, memory is bounded, and it can be
    killed at any time. With --json one day a line, then what was swept.

    Example: lemnis lake compact --table process_activity --min-files 2
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    def done(one: Compacted) -> None:
        if json:
            emit(asdict(one))
        else:
            console.print(
                f"{one.name} {one.day}: {counted(one.files, 'file')} ({_size(one.bytes)}) became "
                f"{one.new_files} "
                f"({_size(one.new_bytes)})"
            )

    opened = app.open_workspace(workspace)
    tidied = lake_keeping.compact(opened, min_files=min_files, names=tuple(table or ()), progress=done)
    swept = tidied.swept
    if json:
        emit({"days": len(tidied.days), "swept": asdict(swept)})
    else:
        console.print(
            f"{counted(len(tidied.days), 'day')} rewritten; {counted(swept.files, 'file')} "
            f"({_size(swept.bytes)}) and "
            f"{counted(swept.entries, 'entry')} of logs swept"
        )


def index(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Index the texts of the lake's large files, so that searches read only where a text may be.

    It only spares reading: what is not indexed yet is searched as ever. Run it after `lemnis lake compact`;
    it also forgets files that are gone. With --json ends with `files` (indexed now) and `bytes` (of all).

    Example: lemnis lake index
    """
    from lemnis import app

    lake = app.events(app.open_workspace(workspace))

    def done(table: str, number: int, of: int) -> None:
        if not json:
            console.print(f"{table}: {number} of {counted(of, 'file')}", markup=False)

    files = lake.refresh_index(done)
    if json:
        emit({"files": files, "bytes": lake.index.bytes})
    else:
        console.print(f"{counted(files, 'file')} indexed; the index takes {_size(lake.index.bytes)}")


def retain(
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would go.")] = False,
    reason: ReasonOption = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Let go what the settings' retention says, but for what is held, and take it from the disk.

    It says what goes (rows, raw records, bytes, by class and day) before it does it; --plan stops there. The
    run goes into the journal with the policy's digest. Of what went nothing is left in the lake's files, in
    older versions neither; its uids stay known, so that what is sent again does not come back. Alerts,
    incidents and evidence keep what they quote.

    Example: lemnis lake retain --plan
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    opened = app.open_workspace(workspace)
    planned = lake_keeping.plan(opened)
    _show_plan(planned, json=json)
    if plan:
        return
    kept = lake_keeping.retain(opened, actor=actor_name(actor), reason=reason)
    done = kept.done
    if json:
        emit({
            "run": kept.run, "policy": kept.policy, "rows": sum(one.rows for one in done.losses),
            "raw": sum(one.raw for one in done.losses), "held": sum(one.held for one in done.losses),
            "files_dropped": done.dropped, "files_rewritten": done.rewritten, "swept": asdict(done.swept),
            "left": done.left,
        })  # fmt: skip
    else:
        console.print(
            f"{counted(sum(one.rows for one in done.losses), 'row')} went; "
            f"{counted(done.dropped, 'file')} taken, "
            f"{done.rewritten} rewritten, {done.swept.files} swept from the disk "
            f"({_size(done.swept.bytes)}); run {kept.run}"
        )
    for one in done.left:
        warn(f"{one} was changed by another meanwhile, and is as it was: run this again")


def _show_plan(planned: Planned, *, json: bool) -> None:
    losses = planned.plan.losses
    if json:
        for one in losses:
            emit(_told(one))
        emit({
            "policy": planned.policy.digest, "rows": sum(one.rows for one in losses),
            "raw": sum(one.raw for one in losses), "held": sum(one.held for one in losses),
            "bytes": sum(one.bytes for one in losses), "files": len(planned.plan.changes),
            "holds": list(planned.holds),
        })  # fmt: skip
        return
    rows = (
        (one.name, one.day, one.source, f"{one.rows:,}", f"{one.raw:,}", _size(one.bytes),
         f"{one.held:,}" + (f" by {', '.join(one.holds)}" if one.holds else ""), ", ".join(one.purposes))
        for one in losses[:_DAYS_SHOWN]
    )  # fmt: skip
    columns = ("table", "day", "source", "rows go", "raw blanked", "about", "held", "kept for")
    show_table(f"past their time: {counted(sum(one.rows for one in losses), 'row')}", columns, rows)
    if len(losses) > _DAYS_SHOWN:
        warn(f"{counted(len(losses) - _DAYS_SHOWN, 'more day')} and sources are not shown; --json lists all")
    held = sum(one.held for one in losses)
    if held:
        warn(f"past their time, and held: {counted(held, 'row')}, by {', '.join(planned.holds)}")


def _told(one: Loss) -> dict[str, Any]:
    return {**asdict(one), "purposes": list(one.purposes), "holds": list(one.holds)}


def add(
    name: Annotated[str, typer.Argument(help="The hold's name, such as a case's.")],
    reason: ReasonOption,
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="Classes (globs of table names); all unless given.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Sources (globs); all unless given.")] = None,
    since: Annotated[str, typer.Option(help="From then on: a time, or a span back (24h, 7d).")] = "",
    until: Annotated[str, typer.Option(help="Before then: a time, or a span back.")] = "",
    search: Annotated[str, typer.Option(metavar="QUERY", help="Only what this search finds.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Hold events: retention does not let them go, nor blank their raw records, until the hold is released.

    It holds what comes later too. It is an entry in the journal, with its actor and reason.

    Example: lemnis lake hold add case-14 --reason "letter of counsel" --source "aws_*" --since 2026-03-01
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    opened = app.open_workspace(workspace)
    hold = lake_keeping.hold(
        opened, name, classes=tuple(class_ or ("*",)), sources=tuple(source or ("*",)), since=since,
        until=until, search=search,
    )  # fmt: skip
    held = lake_keeping.holds(opened).add(hold, reason=reason, actor=actor_name(actor))
    _show_held([held], json=json)


def list_(
    all_: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the holds, with who began them, when and why; with --json one a line.

    Example: lemnis lake hold list --all
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    found = lake_keeping.holds(app.open_workspace(workspace))
    _show_held(found.all() if all_ else found.active(), json=json)


def release(
    name: Annotated[str, typer.Argument(help="The hold's name.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Release a hold: the next run of retention lets go what is past its time.

    Example: lemnis lake hold release case-2026-14 --reason "case closed on 2026-09-01"
    """
    from lemnis import app
    from lemnis.app import lake_keeping

    if not name:
        raise UsageError("a hold has a name", fix="`lemnis lake hold list` shows them")
    found = lake_keeping.holds(app.open_workspace(workspace))
    _show_held([found.release(name, reason=reason, actor=actor_name(actor))], json=json)


def _show_held(found: list[Held], *, json: bool) -> None:
    if json:
        for one in found:
            emit({"name": one.hold.name, "active": one.active, **asdict(one)})
        return
    rows = (
        (one.hold.name, ", ".join(one.hold.classes), ", ".join(one.hold.sources),
         f"{_time(one.hold.since)} … {_time(one.hold.until)}", one.hold.search,
         f"{to_iso(one.at)} {one.actor}: {one.reason}",
         f"{_time(one.released_at)} {one.released_by}: {one.released}" if one.released else "")
        for one in found
    )  # fmt: skip
    show_table("holds", ("name", "classes", "sources", "time", "search", "begun", "released"), rows)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def _time(instant: int | None) -> str:
    return "" if instant is None else to_iso(instant)


def _share(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.0%} of raw"


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"

"""``lemnis ingest``: logs into the lake."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    visible,
    warn,
)

_BAD_INPUT = 2
_NAMED = 10


def register(app: typer.Typer) -> None:
    """Add the command that brings logs in."""
    app.command("ingest")(ingest)


def ingest(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source's name, or `auto`.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders; - is stdin.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on reading what comes, until stopped.")
    ] = False,
    detect: Annotated[bool, typer.Option("--detect/--no-detect", help="Run detections on the way.")] = True,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Read logs into the lake: what is new since the last time, each record mapped to OCSF or rejected.

    Files may be compressed (.gz, .zst). With `auto`, each file's source is recognised, and what lies beside
    logs in a folder and is none by its name (a licence, a description) is left out. Rejected records are
    kept in the table `rejects` with their reason. Events are acknowledged with the place they were read to,
    so it can be stopped, killed and started again at any time. Exit code 2 if any record was rejected.

    Example: lemnis ingest linux_audit /var/log/audit/audit.log --follow
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    from lemnis import app
    from lemnis.app import ingest as ingesting

    opened = app.alone(app.open_workspace(workspace))
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
        TextColumn("{task.fields[events]:,} events"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bar:
        sizes = {} if follow else dict(ingesting.sizes(paths))
        task = bar.add_task("reading", total=sum(sizes.values()) or None, events=0)
        done: dict[str, int] = {}

        def progress(file: str, offset: int, totals: ingesting.Totals) -> None:
            done[file] = min(offset, sizes.get(file, offset))
            bar.update(
                task,
                completed=sum(done.values()),
                events=totals.accepted,
                description=visible(Path(file).name),
            )

        watcher = ingesting.watcher(opened) if detect else None
        run = ingesting.Ingest(opened, source, watcher, progress)
        if follow:
            stopped: list[int] = []
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda got, _frame: stopped.append(got))
            totals = run.follow(paths, lambda: bool(stopped))
        else:
            totals = run.run(paths)
    for example in totals.examples:
        warn(f"{example.at}: {example.reason}")
    if totals.rejected > len(totals.examples):
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in totals.reasons.most_common(10))
        warn(f"{counted(totals.rejected, 'record')} rejected: {reasons}")
    if totals.left:
        names = ", ".join(sorted({Path(file).name for file in totals.left})[:_NAMED])
        more = " …" if len(totals.left) > _NAMED else ""
        warn(f"left out, because it is no log: {counted(len(totals.left), 'file')}: {names}{more}")
    for path in paths if not totals.read and not totals.rejected and not totals.left else ():
        empty = not path.stat().st_size if path.is_file() else path.is_dir() and not any(path.iterdir())
        warn(f"{path} holds no record{'' if empty else ' that was not read before'}")
    if json:
        emit(
            {"read": totals.read, "accepted": totals.accepted, "rejected": totals.rejected,
             "duplicates": totals.duplicates}
        )  # fmt: skip
    else:
        console.print(
            f"{counted(totals.read, 'record')} read: {totals.accepted:,} accepted, {totals.rejected:,} "
            f"rejected, "
            f"{totals.duplicates:,} known already"
        )
    if totals.rejected:
        raise typer.Exit(_BAD_INPUT)

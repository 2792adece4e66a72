"""``lemnis rules backtest``, ``noise``, ``coverage``, ``exceptions``: detections over what really came in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
import typer

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    report,
    warn,
)

if TYPE_CHECKING:
    from lemnis import app
    from lemnis.app import Workspace
    from lemnis.app.backtest import Replay
    from lemnis.app.exceptions_report import Progress as Told
    from lemnis.content.library import Library
    from lemnis.contracts.errors import LemnisError

State = Literal["written", "tested", "fed", "proven"]
OnOption = Annotated[
    str, typer.Option(metavar="MASTER", help="A Spark cluster: spark://HOST:PORT, local[2].")
]
SinceOption = Annotated[str, typer.Option(help="From then on: a time, or a span back (24h, 7d); all: ''.")]


def register(app: typer.Typer) -> None:
    """Add the commands about rules over time."""
    rules = group(app, "rules")
    for command in (backtest, noise, coverage, exceptions):
        rules.command(command.__name__)(command)


def backtest(
    since: SinceOption = "30d",
    old: Annotated[str, typer.Option(metavar="REV|DIR", help="Git revision, or folder of content.")] = "HEAD",
    on: OnOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Compare the alerts of the content as it is now with those of the old one, over the lake.

    Only rules that changed are replayed: their condition, level, title, exceptions, or a source of theirs.
    Exit code 0: the same alerts; 1: some differ; 2: a rule or source cannot be used.

    Example: lemnis rules backtest --since 30d --old main
    """
    from lemnis import app
    from lemnis.app import backtest as testing
    from lemnis.interfaces.cli.rules_history_view import backtest_document, show_backtest

    opened = app.open_workspace(workspace)
    with ExitStack() as stack:
        before, now = stack.enter_context(testing.old_content(opened, old)), app.library(opened)
        replay = _cluster(stack, on, opened, (before, now)) if on else None
        found = testing.backtest(
            app.events(opened), before, now, start=_start(opened, since),
            progress=stack.enter_context(_progress("replaying")), cache=opened.state / "cache", replay=replay,
        )  # fmt: skip
    _tell(found.problems)
    if json:
        emit(backtest_document(found))
    else:
        show_backtest(found)
    if found.problems:
        raise typer.Exit(2)
    raise typer.Exit(1 if found.differs else 0)


def noise(
    since: SinceOption = "30d",
    minutes: Annotated[float, typer.Option(min=0, help="Of an analyst, an alert; 0: the settings'.")] = 0,
    propose: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an exception there.")] = None,
    rule: Annotated[str, typer.Option(help="The rule to propose it for: id or detection.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what each rule costs: alerts and analyst minutes a week, about whom, with which verdicts.

    Limits are for 95 %: exact ones of Poisson counts (Garwood 1936), wider where alerts come in bursts. An
    exception is proposed where one value accounts for many alerts; it was run over the lake before. With
    --json one object a line.

    Example: lemnis rules noise --propose content/exceptions/own_scanner/filter.yml
    """
    from lemnis import app
    from lemnis.app import noise_report
    from lemnis.interfaces.cli.rules_history_view import noise_document, show_noise

    opened = app.open_workspace(workspace)
    with _progress("replaying") as told:
        found = noise_report.report(
            opened,
            owner=actor_name(actor),
            start=_start(opened, since),
            minutes=minutes or None,
            progress=told,
        )
    _tell(found.problems)
    if json:
        for one in found.rules:
            emit(noise_document(found, one))
    else:
        show_noise(found)
    if propose is not None:
        proposal = found.proposal(rule)
        propose.parent.mkdir(parents=True, exist_ok=True)
        propose.write_text(proposal.text, encoding="utf-8")
        messages.print(
            f"wrote {propose}: it would have removed {proposal.removed:,} of "
            f"{counted(proposal.fired, 'alert')}; "
            "confirm its reason, then commit it", markup=False,
        )  # fmt: skip


def coverage(
    since: SinceOption = "30d",
    navigator: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a Navigator layer.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.")] = None,
    attack: Annotated[
        Path | None, typer.Option(metavar="FILE", help="ATT&CK's STIX bundle: names and tactics.")
    ] = None,
    minimum: Annotated[
        State, typer.Option("--min", help="Exit 1 if a technique has not come so far.")
    ] = "written",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show which ATT&CK techniques the detections cover: written, tested, fed by a living source, proven.

    Proven means that a rule fired on what came in since then, or that its lesson was proven. The layer is of
    format 4.5; the page needs nothing from elsewhere. With --json one object a technique.

    Example: lemnis rules coverage --navigator layer.json --html coverage.html --min tested
    """
    from lemnis import app
    from lemnis.app import coverage as covering
    from lemnis.interfaces.cli.coverage_view import coverage_page, coverage_tables, technique_document

    opened = app.open_workspace(workspace)
    with _progress("testing and replaying") as told:
        found = covering.coverage(opened, start=_start(opened, since), attack=attack, progress=told)
    _tell(found.problems)
    if navigator is not None:
        layer = covering.layer(found, name=f"Lemnis: {opened.root.name}")
        navigator.write_bytes(orjson.dumps(layer, option=orjson.OPT_INDENT_2))
    if html is not None:
        page = coverage_page(found, title="ATT&CK coverage", at=to_iso(opened.clock.now()))
        html.write_text(page, encoding="utf-8")
    if json:
        for one in found.techniques:
            emit(technique_document(one))
    else:
        console.print(coverage_tables(found))
    below = found.below(minimum)
    if below:
        warn(f"not {minimum}: {', '.join(one.id for one in below)}")
        raise typer.Exit(1)


def exceptions(
    since: SinceOption = "30d", json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """List exceptions from rules, with owner, days left, and what would have fired without them.

    An exception holds for events up to the end of its last day (UTC). Exit code 1: one has ended, and what
    it held back fires again; 2: one cannot be used. With --json one object a line.

    Example: lemnis rules exceptions --since 90d
    """
    from lemnis import app
    from lemnis.app import exceptions_report
    from lemnis.interfaces.cli.rules_history_view import exception_document, show_exceptions

    opened = app.open_workspace(workspace)
    with _progress("replaying") as told:
        found = exceptions_report.report(
            app.events(opened), app.library(opened), now=opened.clock.now(), start=_start(opened, since),
            progress=told,
        )  # fmt: skip
    _tell(found.problems)
    if json:
        for one in found.reports:
            emit(exception_document(one))
    else:
        show_exceptions(found)
    if found.problems:
        raise typer.Exit(2)
    raise typer.Exit(1 if any(one.ended for one in found.reports) else 0)


def _cluster(
    stack: ExitStack, master: str, workspace: Workspace, sides: tuple[Library, Library]
) -> Replay:  # fmt: skip
    """Open a session on a Spark cluster, to replay there."""
    from lemnis.app import cluster, spark

    session = stack.enter_context(spark.session(master))
    return spark.Replaying(session, *sides, cluster.origin(workspace))


def _start(workspace: app.Workspace, since: str) -> int | None:
    """Return the instant that an option names."""
    from lemnis.store.search import instant

    return instant(since, workspace.clock.now()) if since else None


def _tell(problems: Sequence[LemnisError]) -> None:
    for problem in dict.fromkeys(problems):
        report(problem)


@contextmanager
def _progress(what: str) -> Iterator[Told]:
    """Show how far a replay has come, on a terminal."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as shown:
        task = shown.add_task(what)

        def told(events: int, at: int) -> None:
            shown.update(task, description=f"{what}: {counted(events, 'event')}, {to_iso(at)[:10]}")

        yield told

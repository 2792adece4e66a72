"""``lemnis retro``: new rules and indicators over history; ``lemnis intel retro``: the indicators alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, counted, emit, messages, report, warn

if TYPE_CHECKING:
    import pyarrow as pa

    from lemnis import app as lemnis_app
    from lemnis.app import Workspace
    from lemnis.app.retro import Bounds, Engine, Run
    from lemnis.app.retro import Progress as Told
    from lemnis.app.retro_question import Rules
    from lemnis.app.retro_running import Terms
    from lemnis.app.retro_sightings import Indicators
    from lemnis.store.lakes import Readable

_LONG_S = 10
_PROBLEMS = 20
IndicatorOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="VALUE", help="Domain, URL, IP, network, hash, e-mail, file name; kind:value says which."
    ),
]
IndicatorsOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="STIX bundle, MISP JSON, CSV, or one indicator a line."),
]
SinceOption = Annotated[str, typer.Option(help="From then on: a time, or a span back (24h, 7d); all: ''.")]
UntilOption = Annotated[str, typer.Option(help="Until then; to the last event: ''.")]
PlanOption = Annotated[bool, typer.Option("--plan", help="Only say what it would cost.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on where the last run of the same ended.")]
EventsOption = Annotated[int, typer.Option(min=0, help="End after about so many events; 0: all.")]
SecondsOption = Annotated[float, typer.Option(min=0, help="End after about so many seconds; 0: never.")]
AlertsOption = Annotated[int, typer.Option(min=0, help="End when there are more alerts; 0: never.")]
AlertOption = Annotated[
    bool, typer.Option("--alert", help="Write alerts down, so that they become incidents.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, however long it takes.")]
OnOption = Annotated[
    str, typer.Option(metavar="MASTER", help="A Spark cluster: spark://HOST:PORT, local[2].")
]


def register(app: typer.Typer) -> None:
    """Add the command, and the one of its name in the group ``intel``."""
    app.command("retro")(retro)
    group(app, "intel").command("retro")(intel_retro)


def retro(
    rules: Annotated[
        list[Path] | None, typer.Argument(metavar="[RULE|DIR]...", help="Sigma rules.", show_default=False)
    ] = None,
    indicator: IndicatorOption = None,
    indicators: IndicatorsOption = None,
    since: SinceOption = "",
    until: UntilOption = "",
    plan: PlanOption = False,
    resume: ResumeOption = False,
    max_events: EventsOption = 0,
    max_seconds: SecondsOption = 0,
    max_alerts: AlertsOption = 100_000,
    alert: AlertOption = False,
    yes: YesOption = False,
    on: OnOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Look for new rules, or for indicators, in everything that came in so far; the cost is told first.

    What was looked at is kept: a run that ended early, or was killed, goes on with --resume. With --json an
    alert or an indicator that was seen a line, and at the end what was looked at. Exit code 0: nothing was
    found; 1: something was; 2: a rule or indicator cannot be used; 3: the cluster failed.

    Example: lemnis retro new_rule.yml --since 90d --plan
    """
    asked = _asked(
        (since, until), resume=resume, events=max_events, seconds=max_seconds, alerts=max_alerts, plan=plan,
        alert=alert, yes=yes, on=on, json=json, workspace=workspace,
    )  # fmt: skip
    if rules and not (indicator or indicators):
        found = _by_rules(asked, rules)
    elif (indicator or indicators) and not rules:
        found = _by_indicators(asked, indicators or (), indicator or ())
    else:
        raise UsageError("give either rules or indicators", fix="lemnis retro --help has an example")
    if found:
        raise typer.Exit(found)


def intel_retro(
    indicator: IndicatorOption = None,
    indicators: IndicatorsOption = None,
    since: SinceOption = "",
    until: UntilOption = "",
    plan: PlanOption = False,
    resume: ResumeOption = False,
    max_events: EventsOption = 0,
    max_seconds: SecondsOption = 0,
    max_alerts: AlertsOption = 100_000,
    alert: AlertOption = False,
    yes: YesOption = False,
    on: OnOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Look for indicators in everything that came in so far: `lemnis retro` with indicators.

    Example: lemnis intel retro --indicators campaign.json --since 365d --json
    """
    retro(
        None, indicator, indicators, since, until, plan, resume, max_events, max_seconds, max_alerts, alert,
        yes, on, json, workspace,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options ask for."""

    workspace: lemnis_app.Workspace
    terms: Terms
    bounds: Bounds
    plan: bool
    alert: bool
    yes: bool
    on: str
    json: bool


def _asked(
    span: tuple[str, str], *, resume: bool, events: int, seconds: float, alerts: int, plan: bool, alert: bool,
    yes: bool, on: str, json: bool, workspace: Path | None,
) -> _Asked:  # fmt: skip
    from lemnis import app
    from lemnis.app.retro import Bounds
    from lemnis.app.retro_running import Terms

    terms, bounds = Terms(*span, resume), Bounds(events or None, seconds or None, alerts or None)
    return _Asked(app.open_workspace(workspace), terms, bounds, plan, alert, yes, on, json)


def _by_rules(asked: _Asked, paths: Sequence[Path]) -> int:
    """Hunt by rules; return the exit code."""
    from lemnis import app
    from lemnis.app.retro_question import Rules
    from lemnis.app.retro_running import tell
    from lemnis.interfaces.cli import retro_view as view

    workspace = asked.workspace
    lake, library = app.events(workspace), app.library(workspace)
    question = Rules.of(library, lake.schemas(), paths=paths, cache=workspace.state / "cache")
    for problem in dict.fromkeys(question.problems):
        report(problem)
    if not question.detection.rules:
        if question.problems:
            return 2
        raise UsageError(f"there is no rule in {', '.join(map(str, paths))}", fix="name Sigma rules")
    gathered = question.gathering()
    done = _hunted(asked, lake, question, gathered.add, question.unserved)
    if done is not None:
        alerts = gathered.found(lake, whole=not done.ended)
        told = f", {tell(workspace, alerts):,} of them new in the journal" if asked.alert else ""
        _show(asked, done, [view.alert_document(one) for one in alerts] if asked.json else len(alerts))
        if not asked.json:
            view.show_alerts(alerts)
            view.show_run(done, f"{counted(len(alerts), 'alert')}{told}")
        found = bool(alerts)
    else:
        found = False
    return 2 if question.problems else int(found)


def _by_indicators(asked: _Asked, files: Sequence[Path], values: Sequence[str]) -> int:
    """Hunt by indicators; return the exit code."""
    from lemnis import app
    from lemnis.app.retro_indicators import read
    from lemnis.app.retro_running import tell
    from lemnis.app.retro_sightings import Indicators
    from lemnis.interfaces.cli import retro_view as view

    known = read(files, values)
    for problem in known.problems[:_PROBLEMS]:
        report(problem)
    if len(known.problems) > _PROBLEMS:
        warn(f"and {len(known.problems) - _PROBLEMS:,} more that cannot be looked for")
    if known.left_out:
        warn(f"{known.left_out:,} are left out: revoked, or not marked for detection")
    if not known.indicators:
        raise UsageError("there is no indicator to look for", fix="see docs/retro-hunt.md for the formats")
    lake = app.events(asked.workspace)
    question = Indicators.of(
        known.indicators, lake.schemas(), content_digest=app.library(asked.workspace).digest,
        alerting=asked.alert,
    )  # fmt: skip
    gathered = question.gathering()
    done = _hunted(asked, lake, question, gathered.add, ())
    if done is None:
        return 2 if known.problems else 0
    seen = gathered.found()
    alerts = sorted(gathered.alerts.values(), key=lambda alert: (alert.time, alert.id))
    told = f", {counted(tell(asked.workspace, alerts), 'alert')} new in the journal" if asked.alert else ""
    _show(asked, done, [view.sighting_document(one) for one in seen] if asked.json else len(seen))
    if not asked.json:
        view.show_sightings(seen)
        view.show_run(done, f"{len(seen):,} of {counted(len(known.indicators), 'indicator')} seen{told}")
    return 2 if known.problems else int(bool(seen))


def _show(asked: _Asked, done: Run, found: Sequence[object] | int) -> None:
    """Emit what was found, and then what was done, where machines read it."""
    from lemnis.interfaces.cli import retro_view as view

    if asked.json and not isinstance(found, int):
        for one in found:
            emit(one)
        emit(view.run_document(done, len(found)))


def _hunted(
    asked: _Asked, lake: Readable, question: Rules | Indicators, take: Callable[[pa.Table], None],
    unserved: Sequence[str],
) -> Run | None:  # fmt: skip
    """Tell the cost, and run the hunt if it is wanted."""
    from lemnis.app import retro as hunting
    from lemnis.app import retro_running
    from lemnis.interfaces.cli import retro_view as view

    found = retro_running.hunt(asked.workspace, question, asked.terms)
    if asked.terms.resume and not found.resumed:
        messages.print("there is nothing to go on with: this begins anew", markup=False)
    planned = hunting.plan(lake, question, found.limits)
    if asked.plan and asked.json:
        emit(view.plan_document(planned, unserved))
        return None
    view.show_plan(planned, unserved)
    if asked.plan:
        return None
    seconds = planned.seconds or 0
    if seconds > _LONG_S and not asked.yes and messages.is_terminal and sys.stdin.isatty():
        typer.confirm("Go on?", default=True, abort=True, err=True)
    with ExitStack() as stack:
        engine = None
        if asked.on:
            engine = _cluster(stack, asked.on, asked.workspace, question)
        told = stack.enter_context(_progress())
        return retro_running.run(
            question, found, planned, take, engine=engine, bounds=asked.bounds, progress=told
        )


def _cluster(
    stack: ExitStack, master: str, workspace: Workspace, question: Rules | Indicators
) -> Engine:  # fmt: skip
    """Open a session on a Spark cluster."""
    from lemnis.app import cluster, spark, spark_parcel
    from lemnis.app.retro_question import Rules

    session, origin = stack.enter_context(spark.session(master)), cluster.origin(workspace)
    if isinstance(question, Rules):
        return spark.Cluster(session, question, spark_parcel.of_rules(question), origin)
    return spark.Cluster(session, question, spark_parcel.of_indicators(question), origin)


@contextmanager
def _progress() -> Iterator[Told]:
    """Show how far a hunt has come, on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as shown:
        task = shown.add_task("events", total=None)

        def told(done: int, of: int) -> None:
            shown.update(task, completed=done, total=of)

        yield told

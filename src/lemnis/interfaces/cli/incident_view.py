"""How incidents look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lemnis.contracts.alerts import Alert, Entity, IncidentStatus, Severity
from lemnis.contracts.clock import span, to_iso
from lemnis.contracts.incidents import AlertGroup, Incident, Metrics
from lemnis.incidents.export import time_rows
from lemnis.interfaces.cli.incident_work_view import head_rows, left, next_step, priority, work_panels
from lemnis.interfaces.cli.output import counted

if TYPE_CHECKING:
    from lemnis.app.incidents_handling import Standing
    from lemnis.store.timelines import Page

_SEVERITY = {
    Severity.UNKNOWN: "dim", Severity.INFORMATIONAL: "cyan", Severity.LOW: "green", Severity.MEDIUM: "yellow",
    Severity.HIGH: "red", Severity.CRITICAL: "bold white on red", Severity.FATAL: "bold white on red",
}  # fmt: skip
_STATUS = {
    IncidentStatus.NEW: "bold magenta", IncidentStatus.IN_PROGRESS: "cyan", IncidentStatus.ON_HOLD: "yellow",
    IncidentStatus.RESOLVED: "green", IncidentStatus.CLOSED: "green",
}  # fmt: skip
_KIND = {
    "alert": "yellow", "opened": "bold magenta", "joined": "magenta", "merged": "magenta", "status": "cyan",
    "note": "white", "owner": "cyan", "evidence": "green", "action": "bold green", "deploy": "blue",
    "contained": "bold green", "plan": "cyan", "approval": "bold cyan", "run": "green", "intent": "dim",
    "event": "white", "phase": "cyan", "severity": "cyan", "priority": "cyan", "role": "cyan",
    "task": "white", "link": "white", "breach": "bold red", "near": "yellow",
    "custody": "green", "case": "magenta",
    "commit": "blue", "scan": "blue", "attestation": "blue", "gate": "blue", "lesson": "bold blue",
}  # fmt: skip
_ENTITIES_SHOWN = 15
_EVENTS_SHOWN = 5
_VALUE_SHOWN = 100
_LATE = 60_000  # ms; what was learnt sooner was learnt at once


def _at(instant: int) -> str:
    """Return a time for a cell, which is broken between day and hour if it must be."""
    return to_iso(instant).replace("T", " ")


def severity(level: Severity) -> Text:
    """Render a severity in its colour."""
    return Text(level.name.lower(), _SEVERITY[level])


def status(incident: Incident) -> Text:
    """Render a status in its colour, with the verdict if there is one."""
    text = Text(incident.status.name.lower().replace("_", " "), _STATUS.get(incident.status, ""))
    if incident.verdict:
        text.append(f", {incident.verdict.name.lower().replace('_', ' ')}", "dim")
    return text


def one_line(incident: Incident) -> Text:
    """Render an incident on a line."""
    parts = [
        Text(incident.id, "bold"), severity(incident.severity), status(incident), Text(incident.title),
        Text(f"owner {incident.owner or 'nobody'}", "dim"),
    ]  # fmt: skip
    return Text("  ").join(parts)


def incident_table(incidents: Sequence[Standing], hidden: int = 0, loose: int = 0) -> RenderableType:
    """Render a list of incidents."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", title_justify="left")
    for name in ("id", "priority", "what", "due", "alerts"):
        table.add_column(
            name, justify="right" if name == "alerts" else "left", overflow="fold",
            no_wrap=name in {"id", "priority"},
        )  # fmt: skip
    for stands in incidents:
        one = stands.incident
        alerts = sum(group.count for group in one.groups)
        facts = f"\n{to_iso(one.first_event)}, owner {one.owner or 'nobody'}, "
        what = Text(one.title).append(facts, "dim").append_text(status(one))
        level = Text("severity ", "dim").append_text(severity(stands.weighed.severity))
        table.add_row(
            one.id, Text("\n").join([priority(stands.weighed.priority), level]), what,
            left(stands.next) if stands.next is not None else "", f"{alerts:,}",
        )  # fmt: skip
    more = f", {hidden} closed or merged not shown (--all)" if hidden else ""
    count = f"{len(incidents)} incident{'' if len(incidents) == 1 else 's'}"
    alone = f"; {loose:,} alert{'' if loose == 1 else 's'} in none (table detection_finding)" if loose else ""
    return Group(table, Text(f"{count}{more}{alone}", "dim"))


def incident_panels(
    stands: Standing,
    metrics: Metrics,
    firsts: Mapping[str, Alert],
    known: Mapping[Entity, str],
    *,
    now: int,
) -> Iterator[RenderableType]:
    """Render an incident: head, what is due, alerts with their reasons, entities, times, notes, evidence.

    ``firsts`` are the first of alerts that repeat one another, by their ids; ``known`` is what is known of
    entities.
    """
    incident = stands.incident
    yield _head(stands)
    yield from work_panels(stands, now)
    yield _alerts(incident.briefly, firsts)
    yield _entities(incident, known)
    yield _times(metrics)
    if incident.notes:
        lines = [Text(f"{to_iso(n.at)}  {n.actor}: ", "dim").append(n.text, "white") for n in incident.notes]
        yield Panel(Group(*lines), title="notes", title_align="left", border_style="dim")
    if incident.evidence:
        table = _plain("evidence", "what", "digest", "by", "when")
        for one in incident.evidence:
            table.add_row(Text(one.title), one.digest, Text(one.actor), _at(one.at))
        yield table


def timeline_table(incident: Incident, page: Page) -> RenderableType:
    """Render a page of a timeline; what was learnt of later than a minute after it happened says so."""
    table = _plain(f"timeline of {incident.id}", "time", "what", "", "learnt", "by")
    for one in page.items:
        late = one.recorded - one.time
        title = Text(one.title, _SEVERITY[one.severity] if one.severity else "")
        count = one.detail.get("count")
        if isinstance(count, int) and count > 1:
            title.append(f"  {count} times", "bold")
        table.add_row(
            _at(one.time), Text(one.kind, _KIND.get(one.kind, "")), title,
            Text(f"+{span(late)}" if late > _LATE else "", "dim"), Text(one.actor, "dim"),
        )  # fmt: skip
    if not page.after:
        return table
    rest = f"{len(page.items):,} of {counted(page.total, 'entry')}; go on with --after {page.after}"
    return Group(table, Text(rest, "dim"))


def _head(stands: Standing) -> RenderableType:
    incident, weighed = stands.incident, stands.weighed
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_row("id", Text(incident.id, "bold"))
    grid.add_row("status", status(incident))
    because = Text(f"  {weighed.severity_because}", "dim not bold")
    grid.add_row("severity", severity(weighed.severity).append_text(because))
    for name, told in head_rows(stands):
        grid.add_row(name, told)
    alerts = sum(group.count for group in incident.groups)
    grid.add_row("alerts", f"{alerts:,} of {counted(len({g.rule_id for g in incident.groups}), 'rule')}")
    grid.add_row("why", Text(incident.because))
    for name, value in (
        ("merged from", ", ".join(incident.merged_from)),
        ("merged into", incident.merged_into),
        ("split into", ", ".join(incident.split_into)),
    ):
        if value:
            grid.add_row(name, value)
    grid.add_row("content", Text(incident.content_digest, "dim"))
    if command := next_step(stands):
        grid.add_row("next", Text(command, "bold cyan"))
    title = f"[bold]{escape(incident.title)}[/]"
    return Panel(grid, title=title, title_align="left", border_style=_SEVERITY[weighed.severity].split()[-1])


def _times(metrics: Metrics) -> RenderableType:
    table = _plain("times", "", "when", "")
    for name, when, took in time_rows(metrics):
        table.add_row(name, Text(when, "dim" if when == "not yet" else ""), took)
    return table


def _alerts(groups: Sequence[AlertGroup], firsts: Mapping[str, Alert]) -> RenderableType:
    table = _plain("alerts, and why each is here", "first", "severity", "what", "times", "why")
    for one in groups:
        first = firsts.get(one.alerts[0][0])
        what = Text(one.title).append(f"\n{one.alerts[0][0]}  {one.source}", "dim")
        if one.fingerprint:
            what.append(f"\n{one.fingerprint}", "dim")
        if first is not None:
            what.append(_matched(first))
        when = _at(one.first) if one.first == one.last else f"{_at(one.first)}\nto {_at(one.last)}"
        table.add_row(when, severity(one.severity), what, f"{one.count:,}", Text("\n".join(one.reasons)))
    return table


def alert_table(alerts: Sequence[Alert]) -> RenderableType:
    """Render alerts: when, what, the fields that matched, how many events, whom and what they are about."""
    title = f"{len(alerts):,} alert{'' if len(alerts) == 1 else 's'}"
    table = _plain(title, "first", "severity", "what", "times", "events", "about")
    for one in alerts:
        what = Text(one.title).append(f"\n{one.id}  {one.source}", "dim").append(_matched(one))
        if one.withdrawn:
            what.append("\nwithdrawn", "bold")
        more = [f"and {one.count - _EVENTS_SHOWN} more"] if one.count > _EVENTS_SHOWN else []
        when = _at(one.began) if one.began == one.ended else f"{_at(one.began)}\nto {_at(one.ended)}"
        table.add_row(
            when, severity(one.severity), what, f"{one.count:,}",
            Text("\n".join([*one.event_uids[:_EVENTS_SHOWN], *more]), "dim"),
            Text("\n".join(map(str, one.entities[:_ENTITIES_SHOWN]))),
        )  # fmt: skip
    return table


def _matched(alert: Alert) -> Text:
    """Say in which fields an alert's rule matched, a line each."""
    text = Text()
    for one in alert.matched:
        value = one.value if len(one.value) <= _VALUE_SHOWN else f"{one.value[:_VALUE_SHOWN]}…"
        text.append(f"\n{one.field}: {value}" if one.field else f"\n{one.asks}", "italic")
    return text


def _entities(incident: Incident, known: Mapping[Entity, str]) -> RenderableType:
    table = _plain("entities", "kind", "value", "alerts", *(["known as"] if known else []))
    entities = list(incident.entities.items())
    for entity, count in entities[:_ENTITIES_SHOWN]:
        told = [Text(known.get(entity, ""))] if known else []
        table.add_row(entity.kind.value, Text(entity.value), f"{count:,}", *told)
    if len(entities) > _ENTITIES_SHOWN:
        table.add_row("", Text(f"and {len(entities) - _ENTITIES_SHOWN} more (--json has all)", "dim"), "")
    return table


def _plain(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE_HEAD
    )
    for column in columns:
        table.add_column(
            column, justify="right" if column in {"alerts", "times"} else "left", overflow="fold"
        )
    return table

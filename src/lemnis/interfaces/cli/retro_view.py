"""What a retro-hunt costs and finds, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence

from lemnis.app.retro import Plan, Run
from lemnis.app.retro_sightings import Sighting
from lemnis.contracts.alerts import Alert
from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.output import console, counted, messages, show_table

_TOP = 3
_SHOWN = 50
_MINUTE, _HOUR = 60, 3_600


def plan_document(planned: Plan, unserved: Sequence[str]) -> dict[str, object]:
    """Return a plan for machines."""
    rows: dict[str, dict[str, int]] = {}
    for unit in planned.units:
        one = rows.setdefault(unit.table, {"files": 0, "events": 0, "bytes": 0})
        one["files"] += len(unit.files)
        one["events"] += unit.rows
        one["bytes"] += unit.bytes
    seconds = planned.seconds
    return {
        "events": planned.rows, "bytes": planned.bytes, "not_flushed": planned.spooled,
        "days": planned.days, "seconds": None if seconds is None else round(seconds, 1),
        "tables": [
            {"table": name, **one, "events_a_second": round(planned.rates.get(name, 0)) or None}
            for name, one in sorted(rows.items())
        ],
        "skipped": [
            {"table": one.table, "files": one.files, "events": one.rows, "why": one.why}
            for one in planned.skipped
        ],
        "rules_without_source": list(unserved),
    }  # fmt: skip


def show_plan(planned: Plan, unserved: Sequence[str]) -> None:
    """Say what a hunt would cost, on stderr."""
    days = planned.days
    span = f", {days[0]} to {days[1]}" if days else ""
    seconds = planned.seconds
    cost = f"; about {_span(seconds)} on one core" if seconds is not None else ""
    files = sum(len(unit.files) for unit in planned.units)
    messages.print(
        f"to look at: {counted(planned.rows, 'event')} in {counted(files, 'file')}, "
        f"{planned.bytes / 1e6:,.1f} MB{span}{cost}",
        markup=False,
    )
    for one in planned.skipped:
        messages.print(f"left out: {counted(one.rows, 'event')} of {one.table}: {one.why}", markup=False)
    if unserved:
        names = ", ".join(unserved[:_TOP]) + (", …" if len(unserved) > _TOP else "")
        messages.print(f"no source has what {len(unserved):,} of the rules look at: {names}", markup=False)


def _span(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def alert_document(alert: Alert) -> dict[str, object]:
    """Return an alert for machines, with the event that fired."""
    return {
        "id": alert.id, "rule_id": alert.rule_id, "rule_title": alert.title,
        "level": alert.severity.name.lower(), "time": to_iso(alert.time), "source": alert.source,
        "count": alert.count, "first": to_iso(alert.began), "last": to_iso(alert.ended),
        "entities": [str(entity) for entity in alert.entities], "event_uids": list(alert.event_uids),
        "tags": list(alert.tags), "event": dict(alert.event),
    }  # fmt: skip


def show_alerts(alerts: Sequence[Alert]) -> None:
    """Show what rules found: by rule, then the newest alerts."""
    counts: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        counts.setdefault((alert.title, alert.severity.name.lower()), []).append(alert)
    by_rule = sorted(counts.items(), key=lambda item: (-len(item[1]), item[0]))
    if by_rule:
        show_table(
            "by rule", ("rule", "level", "alerts", "first", "last"),
            [
                (title, level, f"{len(some):,}", to_iso(some[0].began), to_iso(max(a.ended for a in some)))
                for (title, level), some in by_rule
            ],
        )  # fmt: skip
        newest = alerts[-_SHOWN:][::-1]
        show_table(
            "newest alerts" if len(alerts) > _SHOWN else "alerts",
            ("time", "rule", "about", "events", "uid"),
            [
                (to_iso(one.time), one.title, _about(one), f"{one.count:,}", one.event_uids[0])
                for one in newest
            ],
        )  # fmt: skip


def _about(alert: Alert) -> str:
    return ", ".join(str(entity) for entity in alert.entities[:_TOP])


def sighting_document(one: Sighting) -> dict[str, object]:
    """Return a sighting for machines."""
    return {
        "indicator": one.indicator.value, "kind": str(one.indicator.kind), "label": one.indicator.label,
        "events": one.events, "first": to_iso(one.first), "last": to_iso(one.last),
        "hosts": dict(one.hosts.most_common()), "users": dict(one.users.most_common()),
        "sources": dict(one.sources.most_common()), "paths": dict(one.paths.most_common()),
        "examples": [{"time": to_iso(time), "uid": uid} for time, uid in one.examples],
    }  # fmt: skip


def show_sightings(seen: Sequence[Sighting]) -> None:
    """Show where indicators were seen, the latest first."""
    if seen:
        show_table(
            "seen", ("indicator", "events", "first", "last", "hosts", "users"),
            [
                (
                    f"{one.indicator}\n{one.indicator.label}".strip(), f"{one.events:,}", to_iso(one.first),
                    to_iso(one.last), _top(one.hosts), _top(one.users),
                )
                for one in seen[:_SHOWN]
            ],
        )  # fmt: skip
    if len(seen) > _SHOWN:
        console.print(f"and {len(seen) - _SHOWN:,} more; --json has all", markup=False)


def _top(names: object) -> str:
    counted = sorted(dict(names).items(), key=lambda item: (-item[1], item[0]))  # type: ignore[call-overload]
    shown = ", ".join(f"{name} ({count:,})" for name, count in counted[:_TOP])
    return shown + (f" and {len(counted) - _TOP:,} more" if len(counted) > _TOP else "")


def run_document(done: Run, hits: int) -> dict[str, object]:
    """Return what a run did, for machines."""
    return {
        "hits": hits, "looked": done.looked, "known": done.known, "events": done.of,
        "complete": not done.ended, "ended": done.ended, "seconds": round(done.seconds, 2),
    }  # fmt: skip


def show_run(done: Run, hits: str) -> None:
    """Say what a run did."""
    known = f", {done.known:,} were known from before" if done.known else ""
    console.print(
        f"{hits}; {counted(done.looked, 'event')} looked at in {_span(done.seconds)}{known}", markup=False
    )
    if done.ended:
        left = done.of - done.looked - done.known
        console.print(
            f"not everything was looked at: {done.ended}; {counted(left, 'event')} left for --resume, and "
            "what correlations say waits for them", markup=False,
        )  # fmt: skip

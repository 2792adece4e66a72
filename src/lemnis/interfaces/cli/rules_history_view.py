"""Backtests, noise and exceptions, for people and for machines."""

from __future__ import annotations

from lemnis.app.backtest import Backtest, Difference
from lemnis.app.exceptions_report import Report as Held
from lemnis.app.exceptions_report import Reports
from lemnis.app.noise import Noise
from lemnis.app.noise_report import Report
from lemnis.contracts.alerts import Alert
from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.output import console, counted, show_table

_TOP = 3
_DECIMALS = 2


def backtest_document(found: Backtest) -> dict[str, object]:
    """Return a backtest for machines."""
    return {
        "differs": found.differs, "old_digest": found.old_digest, "new_digest": found.new_digest,
        "events": found.events, "unchanged": found.unchanged,
        "rules": [_difference(one) for one in found.differences],
        "problems": [str(problem) for problem in found.problems],
    }  # fmt: skip


def show_backtest(found: Backtest) -> None:
    """Show what became of each changed rule's alerts, with examples of what differs."""
    rows = [
        (one.title, one.why, _level(one), f"{one.kept:,}", f"+{one.added:,}", f"-{one.gone:,}")
        for one in found.differences
    ]
    if rows:
        show_table("alerts, old against new", ("rule", "changed", "level", "kept", "added", "gone"), rows)
    examples = [
        (sign, to_iso(alert.time), one.title, _about(alert), alert.event_uids[0])
        for one in found.differences
        for sign, some in (("+", one.added_examples), ("-", one.gone_examples))
        for alert in some
    ]
    if examples:
        columns = ("", "time", "rule", "about", "uid")
        show_table("examples", columns, examples, styles={"+": "green", "-": "red"})
    verdict = "alerts differ" if found.differs else "no alert differs"
    console.print(
        f"{verdict}: {counted(len(found.differences), 'rule')} changed, {found.unchanged:,} are unchanged "
        f"and were "
        f"not replayed; {counted(found.events, 'event')}", markup=False,
    )  # fmt: skip


def noise_document(found: Report, one: Noise) -> dict[str, object]:
    """Return what a rule costs, for machines."""
    week, proposal = one.week, found.proposals.get(one.name)
    return {
        "rule_id": one.rule.id, "title": one.rule.title, "level": one.rule.level, "alerts": one.alerts,
        "days": round(week.days, _DECIMALS), "dispersion": round(week.dispersion, _DECIMALS),
        "alerts_a_week": _limits(week.rate, week.low, week.high),
        "minutes_a_week": _limits(*(value * found.minutes for value in (week.rate, week.low, week.high))),
        "minutes_per_alert": found.minutes,
        "entities": [{"entity": str(e), "alerts": n} for e, n in one.entities.most_common(10)],
        "verdicts": dict(one.verdicts),
        "proposal": None if proposal is None else {
            "field": proposal.field, "value": proposal.entity.value, "removed": proposal.removed,
            "fired": proposal.fired, "hidden_events": proposal.hidden, "events": proposal.events,
            "against": proposal.against, "filter": proposal.text,
        },
    }  # fmt: skip


def show_noise(found: Report) -> None:
    """Show what the rules cost, the loudest first."""
    rows = []
    for one in found.rules:
        week, proposal = one.week, found.proposals.get(one.name)
        rows.append((
            one.rule.title, f"{one.alerts:,}", _span(week.rate, week.low, week.high),
            _span(*(value * found.minutes for value in (week.rate, week.low, week.high))),
            "\n".join(f"{count:,} {entity}" for entity, count in one.entities.most_common(_TOP)),
            ", ".join(f"{count:,} {name}" for name, count in one.verdicts.most_common()),
            "" if proposal is None else proposal.against or f"{proposal.field}: {proposal.entity.value}\n"
            f"removes {proposal.removed:,} of {proposal.fired:,}",
        ))  # fmt: skip
    columns = ("rule", "alerts", "a week", "minutes a week", "about", "verdicts", "exception")
    if rows:
        show_table("noise", columns, rows)
    total = sum(one.week.rate for one in found.rules)
    console.print(
        f"{total:,.1f} alerts and {total * found.minutes:,.0f} analyst minutes a week, "
        f"at {found.minutes:g} minutes an alert; {counted(found.silent, 'rule')} gave none", markup=False,
    )  # fmt: skip


def exception_document(one: Held) -> dict[str, object]:
    """Return an exception and what it did, for machines."""
    file = one.exception.file
    return {
        "name": one.exception.name, "title": file.title, "owner": file.terms.owner,
        "expires": file.terms.expires.isoformat(), "days_left": one.days_left, "ended": one.ended,
        "reason": file.terms.reason, "ticket": file.terms.ticket, "file": str(one.exception.item.manifest),
        "rules": sorted(file.rules) if file.rules is not None else "any", "held": one.held,
        "held_alone": one.alone, "fired_since": one.fired, "last": one.last,
        "examples": [_example(alert) for alert in one.examples],
    }  # fmt: skip


def show_exceptions(found: Reports) -> None:
    """Show the exceptions, those that end first before others."""
    rows = []
    for one in found.reports:
        terms = one.exception.file.terms
        left = (
            f"ended {counted(-one.days_left, 'day')} ago"
            if one.ended
            else f"{counted(one.days_left, 'day')} left"
        )
        rows.append((
            one.exception.name, terms.owner, terms.expires.isoformat(), left,
            f"{one.total:,}", f"{one.alone:,}", f"{one.fired:,}", terms.reason,
        ))  # fmt: skip
    if rows:
        columns = ("name", "owner", "last day", "", "held back", "alone", "fired since", "reason")
        show_table("exceptions", columns, rows)
    else:
        console.print("there are no exceptions from rules")
    examples = [
        (one.exception.name, to_iso(alert.time), alert.title, _about(alert))
        for one in found.reports
        for alert in one.examples
    ]
    if examples:
        show_table("would have fired", ("exception", "time", "rule", "about"), examples)


def _difference(one: Difference) -> dict[str, object]:
    return {
        "rule_id": one.rule_id, "title": one.title, "why": one.why, "old_level": one.old_level,
        "new_level": one.new_level, "kept": one.kept, "added": one.added, "gone": one.gone,
        "added_examples": [_example(alert) for alert in one.added_examples],
        "gone_examples": [_example(alert) for alert in one.gone_examples],
    }  # fmt: skip


def _example(alert: Alert) -> dict[str, object]:
    return {
        "rule_id": alert.rule_id, "time": alert.time, "source": alert.source, "event_uids": alert.event_uids,
        "entities": [str(one) for one in alert.entities], "event": alert.event,
    }  # fmt: skip


def _about(alert: Alert) -> str:
    return ", ".join(str(one) for one in alert.entities[:_TOP])


def _level(one: Difference) -> str:
    if one.old_level and one.new_level and one.old_level != one.new_level:
        return f"{one.old_level} → {one.new_level}"
    return one.new_level or one.old_level


def _limits(rate: float, low: float, high: float) -> dict[str, float]:
    return {"rate": round(rate, _DECIMALS), "low": round(low, _DECIMALS), "high": round(high, _DECIMALS)}


def _span(rate: float, low: float, high: float) -> str:
    return f"{rate:,.1f}\n({low:,.1f} to {high:,.1f})"

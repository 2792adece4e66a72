"""How sources do, for people: a table with what is usual beside what is, and why something is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lemnis.app.watching import Watched
from lemnis.app.watching_alarms import document as blind_document
from lemnis.app.watching_blind import Blind, techniques
from lemnis.contracts.clock import span, to_iso
from lemnis.contracts.ids import Json
from lemnis.interfaces.cli.output import counted, in_line, visible

_BARS = "▁▂▃▄▅▆▇█"
_STYLES = {
    "silent": "red", "rejecting": "red", "lagging": "yellow", "drifting": "yellow", "quiet": "yellow",
    "loud": "yellow", "living": "green",
}  # fmt: skip
_SHOWN = 6


def document(one: Watched, now: int) -> dict[str, Json]:
    """Return how a source or host does as JSON."""
    health, band, lag, silence = one.health, one.health.band, one.health.lag, one.health.silence
    return {
        "name": health.source, "host": health.host, "state": one.state, "silent": one.state == "silent",
        "why": list(one.why), "learning": health.learning, "events": health.events, "rejects": health.rejects,
        "rejected": round(health.rejected, 6), "reasons": dict(one.reasons),
        "last": health.last, "age": None if health.last is None else max(0, now - health.last),
        "received": health.received, "rate": round(health.rate, 1),
        "usual": None if band is None else {
            "low": round(band.low, 1), "middle": round(band.middle, 1), "high": round(band.high, 1),
            "hours": band.samples, "by": band.season,
        },
        "lag": {
            "p50": lag.p50, "p99": lag.p99, "usual_p50": lag.learnt_p50, "usual_p99": lag.learnt_p99,
            "from_receipt_p99": lag.waited_p99,
        },
        "silence": None if silence is None else {
            "pause": round(silence.pause, 2), "usual": round(silence.usual, 2),
            "alarm": round(silence.alarm, 2), "due": silence.due, "pauses": silence.pauses,
        },
        "drift": [asdict(one) for one in health.drift.found],
        "spark": list(health.spark),
        "alarms": [{"id": a.id, "kind": a.of.kind, "since": a.since, "opened": a.opened} for a in one.alarms],
        "blind": [blind_document(rule) for rule in one.blind],
        "techniques": list(techniques(one.blind)),
        "deploy": None if one.deploy is None else {"at": one.deploy.at, "what": one.deploy.what},
    }  # fmt: skip


def table(found: Sequence[Watched], now: int) -> RenderableType:
    """Return the table, and beneath it why something is wrong and what is blind."""
    made = Table(title=f"sources at {to_iso(now)[:19]}Z", title_justify="left", header_style="bold")
    for name in ("source", "state", "per hour", "24 h", "lag p50/p99", "newest"):
        made.add_column(name, overflow="fold", no_wrap=name == "24 h")
    for one in found:
        made.add_row(*_row(one, now))
    return Group(made, *(_trouble(one) for one in found if one.why))


def _row(one: Watched, now: int) -> Iterable[Text]:
    health, lag = one.health, one.health.lag
    name = Text(in_line(f"  {health.host}" if health.host else health.source), "" if health.host else "bold")
    newest = "never" if health.last is None else f"{span(max(0, now - health.last))} ago"
    lags = "" if lag.p50 is None or lag.p99 is None else f"{span(lag.p50)} / {span(lag.p99)}"
    state = Text(one.state, _STYLES.get(one.state, ""))
    if health.learning and one.state == "living":
        state.append(" (learning)", "dim")
    if one.deploy is not None:
        state.append(f"\nlearnt anew since {in_line(str(one.deploy))}", "dim")
    if gone := [rule for rule in one.blind if not rule.elsewhere]:
        state.append(f"\n{counted(len(gone), 'rule')} blind")
    if health.rejected:
        state.append(f"\n{health.rejected:.1%} rejected")
    rate = Text(f"{health.rate:,.0f}").append(_usual(one), "dim")
    return name, state, rate, Text(spark(health.spark), "cyan"), Text(lags), Text(newest)


def _usual(one: Watched) -> str:
    band = one.health.band
    return "" if band is None else f" ({band.low:,.0f} to {band.high:,.0f})"


def spark(hours: Sequence[int]) -> str:
    """Return counts by the hour as bars of two hours: the most is the highest, only none is the lowest."""
    counts = [sum(hours[place : place + 2]) for place in range(0, len(hours), 2)]
    most = max(counts, default=0)
    if not most:
        return _BARS[0] * len(counts)
    return "".join(_BARS[(count * (len(_BARS) - 1) + most - 1) // most] for count in counts)


def _trouble(one: Watched) -> Text:
    where = f"{one.health.source} on {one.health.host}" if one.health.host else one.health.source
    text = Text()
    for why in one.why:
        text.append(f"{in_line(where)}: ", "bold").append(f"{visible(why)}\n")
    for reason, count in list(one.reasons.items())[:_SHOWN] if one.state == "rejecting" else ():
        text.append(f"  rejected {counted(count, 'time')}: {in_line(reason)}\n", "dim")
    for drift in one.health.drift.found[:_SHOWN]:
        text.append(f"  {drift.change}: {in_line(drift.field)}: {drift.why}\n", "dim")
    if one.health.drift.found:
        text.append(f"  lemnis sources drift {in_line(one.health.source)} drafts the change\n", "dim")
    gone = [rule for rule in one.blind if not rule.elsewhere]
    if gone:
        text.append(f"  blind meanwhile: {_names(gone)}\n", "dim")
        text.append(f"  ATT&CK: {', '.join(techniques(gone)) or 'no technique'}\n", "dim")
    if len(gone) < len(one.blind):
        rest = [rule for rule in one.blind if rule.elsewhere]
        text.append(f"  still fed by others: {_names(rest)}\n", "dim")
    text.rstrip()
    return text


def _names(rules: Sequence[Blind]) -> str:
    shown = ", ".join(f"{in_line(one.name)}{' (withheld)' if one.withheld else ''}" for one in rules[:_SHOWN])
    return shown + (f" and {len(rules) - _SHOWN} more" if len(rules) > _SHOWN else "")

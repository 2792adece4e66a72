"""How suppressed alerts look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lemnis.contracts.clock import to_iso
from lemnis.contracts.ids import Json
from lemnis.incidents.export import alert
from lemnis.interfaces.cli.incident_view import severity

if TYPE_CHECKING:
    from lemnis.app.incidents_suppressed import Count, Shown

_ENTITIES_SHOWN = 5


def document(one: Shown) -> dict[str, Any]:
    """Return a suppressed alert as JSON."""
    again = one.reopened
    told: Json = None
    if again is not None:
        told = {"at": to_iso(again.at), "actor": again.actor, "reason": again.reason}
    return {
        **alert(one.alert), "status": "suppressed" if again is None else "reopened",
        "exceptions": list(one.exceptions), "recorded": to_iso(one.recorded), "reopened": told,
    }  # fmt: skip


def count_document(one: Count) -> dict[str, Any]:
    """Return what an exception held back as JSON."""
    return {
        "name": one.exception, "alerts": one.alerts, "kept": one.kept, "not_kept": one.not_kept,
        "reopened": one.reopened, "first_day": to_iso(one.first)[:10], "last_day": to_iso(one.last)[:10],
    }  # fmt: skip


def count_table(counts: Sequence[Count]) -> RenderableType:
    """Render what exceptions held back."""
    if not counts:
        return Text("no exception has held anything back", "dim")
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in ("exception", "alerts", "kept", "only counted", "reopened", "days"):
        table.add_column(name, justify="left" if name in {"exception", "days"} else "right", overflow="fold")
    for one in counts:
        days = sorted({to_iso(one.first)[:10], to_iso(one.last)[:10]})
        numbers = (one.alerts, one.kept, one.not_kept, one.reopened)
        table.add_row(Text(one.exception), *(f"{number:,}" for number in numbers), " to ".join(days))
    return table


def suppressed_table(shown: Sequence[Shown], counts: Sequence[Count], *, more: bool) -> RenderableType:
    """Render suppressed alerts, and below them what each exception held back in all."""
    if not shown:
        return Group(Text("no suppressed alert waits", "dim"), count_table(counts))
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in ("id", "what", "exception", "about"):
        table.add_column(name, overflow="fold", no_wrap=name == "id")
    for one in shown:
        what = Text(f"{one.alert.title}\n").append(f"{to_iso(one.alert.time)}, ", "dim")
        what.append_text(severity(one.alert.severity))
        by = Text(", ".join(one.exceptions))
        if one.reopened is not None:
            by.append(f"\nreopened by {one.reopened.actor}: {one.reopened.reason}", "dim")
        about = "\n".join(map(str, one.alert.entities[:_ENTITIES_SHOWN]))
        table.add_row(one.alert.id, what, by, Text(about))
    rest = Text("there are more: --limit, --since, --exception", "dim")
    return Group(table, *([rest] if more else []), count_table(counts))

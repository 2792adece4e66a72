"""Why alerts are in one incident, on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from lemnis.contracts.clock import span, to_iso
from lemnis.contracts.incidents import Incident
from lemnis.correlate.explain import Link, Why
from lemnis.interfaces.cli.incident_view import severity

_ALONE = "nothing: it was joined by a person, or by an alert that is not here any more"


def why_table(incident: Incident, every: Iterable[Why]) -> Table:
    """Render each alert with what it is tied to, what they share, and what that weighs."""
    table = Table(
        title=f"why {incident.id} is one incident", title_justify="left", title_style="bold",
        header_style="dim", box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for column in ("time", "severity", "alert", "is tied to"):
        table.add_column(column, overflow="fold")
    for why in every:
        alert = Text(why.alert.title).append(f"\n{why.alert.id}", "dim")
        links = [_link(link) for link in why.links] or [Text(_ALONE, "dim")]
        table.add_row(to_iso(why.alert.time), severity(why.alert.severity), alert, Text("\n").join(links))
    return table


def _link(link: Link) -> Text:
    when = f"{span(abs(link.apart))} {'later' if link.apart > 0 else 'earlier'}"
    text = Text(link.title).append(f"  {link.other}, {when}, weighs {link.weight}", "dim")
    for entity, weight in link.shares:
        text.append(f"\n  {entity} ({weight})")
    return text

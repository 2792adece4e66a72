"""How the figures of incidents look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lemnis.contracts.clock import span
from lemnis.incidents.statistics import RANKS, TIMES, Repeat, Row, Share


def metrics_table(rows: Sequence[Row], repeats: Sequence[Repeat], by: str) -> RenderableType:
    """Render a row for each detection, team or service, and below it what came again."""
    if not rows:
        return Text("no incidents", "dim")
    times = Table(
        title="times: p50 / p90 / p95, and of how many", title_justify="left", title_style="bold",
        header_style="dim", box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for name in (by, "incidents", *TIMES):
        times.add_column(name, overflow="fold", justify="right" if name == "incidents" else "left")
    for row in rows:
        cells = [_times(*row.times[name]) for name in TIMES]
        times.add_row(Text(row.title), f"{row.incidents:,}", *cells)
    verdicts = Table(
        title="verdicts: share of what was judged, and where it lies (95 %)", title_justify="left",
        title_style="bold", header_style="dim", box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for name in (by, "true", "false", "benign", "open", "came again"):
        verdicts.add_column(name, overflow="fold")
    for row in rows:
        shares = [_share(row.verdicts[name]) for name in ("true", "false", "benign")]
        again = Text(str(row.again), "bold red" if row.again else "dim")
        verdicts.add_row(Text(row.title), *shares, str(row.open), again)
    return Group(times, verdicts, *_repeats(repeats))


def _times(count: int, ranks: object) -> Text:
    if not count or not isinstance(ranks, dict):
        return Text("none yet", "dim")
    return Text(" / ".join(span(ranks[rank]) for rank in RANKS)).append(f"  of {count}", "dim")


def _share(one: Share) -> Text:
    if one.share is None:
        return Text("none judged", "dim")
    text = Text(f"{one.share:.0%}")
    return text.append(f"  {one.low:.0%} to {one.high:.0%}, {one.count} of {one.of}", "dim")


def _repeats(repeats: Iterable[Repeat]) -> list[RenderableType]:
    return [
        Text(
            f"{one.incident} came although lesson {one.lesson} was closed: same {one.same}, {one.what}", "red"
        )
        for one in repeats
    ]

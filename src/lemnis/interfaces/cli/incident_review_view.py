"""How the review of an incident looks on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from lemnis.lessons.review_form import PARTS


def review_panel(review: Mapping[str, Any]) -> RenderableType:
    """Render a review; its timeline is told by `incident review` and the exports."""
    lines = [Text(f"{review['at']}  {review['actor']}", "dim")]
    for name, title in PARTS:
        lines += [Text(title, "bold"), *(Text(f"  • {one}") for one in review[name] or ["nothing"])]
    lines += [Text("Why it was not seen sooner", "bold"), Text(f"  {review['detection_gap']}")]
    lines += [Text("The control that failed", "bold"), Text(f"  {review['control_that_failed']}")]
    lines.append(Text("Actions", "bold"))
    for one in review["actions"]:
        lines.append(Text(f"  • {one['what']}").append(f"  {one['owner']}, until {one['due']}", "dim"))
    return Panel(Group(*lines), title="review", title_align="left", border_style="dim")

"""How work on incidents looks on a terminal: what is due, tasks, roles, links, evidence, cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lemnis.contracts.clock import span, to_iso
from lemnis.contracts.handling import Case, Handling, Priority, Task, TaskState, Timer

if TYPE_CHECKING:
    from lemnis.app.incidents_handling import Standing
    from lemnis.incidents.custody import Held

_PRIORITY = {
    Priority.UNKNOWN: "dim", Priority.LOW: "green", Priority.MEDIUM: "yellow", Priority.HIGH: "bold red",
    Priority.CRITICAL: "bold white on red",
}  # fmt: skip
_TIMER = {
    "running": "cyan", "near": "bold yellow", "paused": "yellow",
    "breached": "bold white on red", "met": "green", "missed": "red",
}  # fmt: skip
_TASK = {
    TaskState.OPEN: "yellow", TaskState.DOING: "cyan", TaskState.DONE: "green", TaskState.DROPPED: "dim",
}  # fmt: skip
_LIVE = 5


def priority(level: Priority) -> Text:
    """Render a priority in its colour."""
    return Text(level.name.lower(), _PRIORITY[level])


def left(timer: Timer) -> Text:
    """Say how long there is for what is due next, or for how long it has been due."""
    if timer.state == "breached":
        return Text(f"{timer.name} {span(-timer.left)} late", _TIMER["breached"])
    words = f"{timer.name} in {span(timer.left)}"
    return Text(f"{words}, on hold" if timer.state == "paused" else words, _TIMER[timer.state])


def standing_line(one: Standing) -> Text:
    """Render how an incident stands on a line."""
    parts = [
        Text(one.incident.id, "bold"), Text.assemble("priority ", priority(one.weighed.priority)),
        Text(f"severity {one.weighed.severity.name.lower()}"), Text(f"phase {one.handling.phase.value}"),
    ]  # fmt: skip
    if one.next is not None:
        parts.append(left(one.next))
    if one.handling.roles:
        parts.append(Text(", ".join(f"{role.value} {name}" for role, name in one.handling.roles.items())))
    waiting = sum(not task.state.over for task in one.handling.tasks)
    if waiting:
        parts.append(Text(f"{waiting} task{'' if waiting == 1 else 's'} to do"))
    return Text("  ").join(parts)


def breach_line(one: Standing, timer: Timer) -> Text:
    """Say what ran out, of which incident, whose it is."""
    return Text("  ").join(
        [
            left(timer), Text(one.incident.id, "bold"), priority(one.weighed.priority),
            Text(one.incident.title), Text(f"owner {one.incident.owner or 'nobody'}", "dim"),
        ]
    )  # fmt: skip


def due_table(found: Iterable[tuple[Standing, Timer]]) -> RenderableType:
    """Render what is due next, of which incident, whose it is."""
    table = _plain("due", "incident", "priority", "title", "owner", "by")
    for one, timer in found:
        owner = Text(one.incident.owner or "nobody", "dim")
        what = (left(timer), Text(one.incident.id, "bold"), priority(one.weighed.priority))
        table.add_row(*what, Text(one.incident.title), owner, Text(to_iso(timer.due), "dim"))
    return table


def timers_table(timers: Iterable[Timer]) -> RenderableType:
    """Render the timers: what, how it stands, when it is due."""
    table = _plain("what is due", "", "", "by", "")
    for one in timers:
        if one.done is None:
            rest = f"{span(-one.left)} late" if one.left < 0 else f"{span(one.left)} left"
        else:
            rest = f"{span(-one.left)} too late" if one.left < 0 else f"{span(one.left)} before"
        paused = f", {span(one.paused)} on hold" if one.paused else ""
        table.add_row(
            one.name, Text(one.state, _TIMER[one.state]), to_iso(one.due), Text(rest + paused, "dim")
        )
    return table


def work_panels(one: Standing, now: int) -> Iterator[RenderableType]:
    """Render how an incident is worked on: timers, tasks, links."""
    if one.timers:
        yield timers_table(one.timers)
    if one.handling.tasks:
        yield tasks_table(one.handling.tasks, now)
    if one.handling.links:
        table = _plain("links", "what", "", "where", "by")
        for link in one.handling.links:
            table.add_row(
                link.kind.replace("_", " "), Text(link.title), Text(link.url), Text(link.actor, "dim")
            )
        yield table


def tasks_table(tasks: Iterable[Task], now: int, of: str = "", *, over: bool = True) -> RenderableType:
    """Render an incident's tasks, numbered as commands name them; without ``over`` those that wait."""
    table = _plain(f"tasks of {of}" if of else "tasks", "no.", "", "what", "who", "due")
    for number, one in enumerate(tasks, 1):
        if one.state.over and not over:
            continue
        when = "" if one.due is None else to_iso(one.due)
        late = one.late(now)
        table.add_row(
            str(number), Text(one.state.value, _TASK[one.state]),
            Text(one.title, "dim" if one.state.over else ""), Text(one.assignee or "nobody"),
            Text(f"{when}, late" if late else when, "bold red" if late else "dim"),
        )  # fmt: skip
    return table


def next_step(one: Standing) -> str:
    """Return the command that most probably comes next; empty if nothing is left to do."""
    incident, name = one.incident, one.incident.id
    if incident.merged_into:
        return f"lemnis incident show {incident.merged_into}"
    if not incident.open:
        return "" if incident.verdict else f"lemnis incident close {name} --verdict … --reason …"
    if one.handling.acknowledged is None:
        return f"lemnis incident acknowledge {name}"
    if one.handling.contained is None:
        return f"lemnis playbook plan PLAYBOOK --incident {name}"
    return f"lemnis incident trace {name}"


def head_rows(one: Standing) -> Iterator[tuple[str, Text]]:
    """Yield what the head of an incident says of the work on it."""
    weighed, handling = one.weighed, one.handling
    yield "priority", priority(weighed.priority).append(f"  {weighed.priority_because}", "dim not bold")
    if weighed.live:
        more = [f"and {len(weighed.live) - _LIVE} more"] if len(weighed.live) > _LIVE else []
        text = f"{weighed.risk} with what lives there:\n" + "\n".join([*weighed.live[:_LIVE], *more])
        yield "risk", Text(text, "red")
    if one.next is not None:
        yield "due", left(one.next)
    yield "phase", Text(_phases(handling))
    roles = ", ".join(f"{role.value} {name}" for role, name in handling.roles.items())
    yield "people", Text(f"owner {one.incident.owner or 'nobody'}" + (f", {roles}" if roles else ""))
    held = next((hold for hold in reversed(handling.holds) if hold.end is None), None)
    if held is not None and one.incident.open:
        yield "on hold", Text(f"since {to_iso(held.start)} by {held.actor}: {held.reason}", "yellow")


def _phases(handling: Handling) -> str:
    words = [f"[{name}]" if name == handling.phase.value else name
             for name in ("detect", "respond", "recover", "improve")]  # fmt: skip
    return " → ".join(words)


def custody_table(found: Sequence[Held]) -> RenderableType:
    """Render evidence with every act on it."""
    table = _plain("chain of custody", "evidence", "when", "act", "by", "why")
    for one in found:
        for number, step in enumerate(one.steps):
            named = Text(one.title).append(f"\n{one.digest}", "dim") if number == 0 else Text("")
            act = f"{step.act.value} to {step.to}" if step.to else step.act.value
            table.add_row(named, to_iso(step.at), act, Text(step.actor), Text(step.reason, "dim"))
    many = "piece" if len(found) == 1 else "pieces"
    return Group(table, Text(f"{len(found)} {many} of evidence", "dim"))


def case_table(cases: Sequence[Case]) -> RenderableType:
    """Render cases in a list."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in ("id", "state", "what", "owner", "incidents"):
        table.add_column(name, overflow="fold", no_wrap=name == "id")
    for one in cases:
        state = Text("open", "cyan") if one.open else Text("closed", "green")
        table.add_row(one.id, state, Text(one.title), Text(one.owner), str(len(one.incidents)))
    return table


def case_panels(case: Case, held: Sequence[Standing], now: int) -> Iterator[RenderableType]:
    """Render a case: head, incidents with what is due, tasks that wait, notes."""
    grid = Table.grid(padding=(0, 2))
    grid.add_row("id", Text(case.id, "bold"))
    grid.add_row("owner", Text(case.owner or "nobody"))
    grid.add_row("opened", f"{to_iso(case.opened)} by {case.by}")
    if case.closed is not None:
        grid.add_row("closed", f"{to_iso(case.closed)} by {case.closed_by}: {case.closed_because}")
    yield Panel(grid, title=Text(case.title, "bold"), title_align="left")
    table = _plain("incidents", "id", "priority", "status", "due", "what", "owner")
    for one in held:
        due = left(one.next) if one.next is not None else Text("")
        status = one.incident.status.name.lower().replace("_", " ")
        table.add_row(
            one.incident.id, priority(one.weighed.priority), status, due, Text(one.incident.title),
            Text(one.incident.owner or "nobody"),
        )  # fmt: skip
    yield table
    for one in held:
        if not all(task.state.over for task in one.handling.tasks):
            yield tasks_table(one.handling.tasks, now, one.incident.id, over=False)
    if case.notes:
        lines = [Text(f"{to_iso(n.at)}  {n.actor}: ", "dim").append(n.text, "white") for n in case.notes]
        yield Panel(Group(*lines), title="notes", title_align="left", border_style="dim")


def _plain(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE_HEAD
    )
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"id", "no."})
    return table

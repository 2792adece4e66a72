"""``lemnis lesson``: what an incident taught, as a branch in git that is proven before it is merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    show_table,
)

if TYPE_CHECKING:
    from lemnis import app
    from lemnis.app.lessons import State
    from lemnis.lessons.prove import Proof

LessonArgument = Annotated[str, typer.Argument(metavar="ID", help="A lesson, such as 2026-014abc.")]
_SHORT = 12
_STATES = {"proposed": "yellow", "proven": "green", "merged": "bold green"}


def register(app: typer.Typer) -> None:
    """Add the commands about lessons."""
    lessons = group(app, "lesson")
    lessons.command("propose")(propose)
    lessons.command("prove")(prove)
    lessons.command("list")(list_)
    lessons.command("show")(show)
    lessons.command("merge")(merge)


def propose(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident to learn from.")],
    untraced: Annotated[
        bool,
        typer.Option("--untraced", help="Against the image without proof that the trace breaks at."),
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the lesson of an incident to a branch: gate, detection, regression sample, threat.

    The cause is traced, gates of several widths and detections of several kinds are measured on the whole
    history, and the cheapest that would have worked are taken. Your work tree is not touched. The same
    incident gives the same lesson. Where the trace breaks at an image that nobody attested, `--untraced`
    draws the gate against such images: what is wrong in the code stays unknown.

    Example: lemnis lesson propose in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import lessons

    opened = app.open_workspace(workspace)
    with messages.status("tracing the cause, measuring gates and detections …"):
        found = lessons.propose(opened, incident, untraced=untraced)
    _show(opened, found, json=json)


def show(lesson: LessonArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show a lesson: its cause, its files, what its gate and detection cost, what its owner must review.

    Example: lemnis lesson show 2026-014abc
    """
    from lemnis import app
    from lemnis.app import lessons

    opened = app.open_workspace(workspace)
    _show(opened, lessons.show(opened, lesson), json=json)


def list_(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the lessons, with how far each is (proposed, proven, merged) and what it prevented so far.

    Times are from the incident to the enforced gate; `lemnis lesson report` tells all that is measured.

    Example: lemnis lesson list
    """
    from lemnis import app
    from lemnis.app import lesson_report

    found = lesson_report.report(app.open_workspace(workspace)).rows
    if json:
        for one in found:
            emit({**_document(one.state), "measures": lesson_report.row(one)})
        return
    rows = (
        (one.state.written.id, one.state.written.lesson.incident, _state(one.state), *cells[3:6],
         one.state.written.lesson.title)
        for one, cells in ((one, lesson_report.cells(one)) for one in found)
    )  # fmt: skip
    show_table("lessons", ("id", "incident", "state", *lesson_report.COLUMNS[3:6], "title"), rows)


def prove(lesson: LessonArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Prove a lesson by replay; exit 1 and say why where it does not hold.

    Its test must fail on the content before it and pass on its own; its gate, replayed over every commit,
    must stop the cause, which the old one let pass; its detection, replayed over the whole lake, must alert
    no later than the first alert that the cause led to; and it may cost no more than it says.

    Example: lemnis lesson prove 2026-014abc
    """
    from lemnis import app
    from lemnis.app import proof as proving

    opened = app.open_workspace(workspace)
    with messages.status("replaying events and commits on the old and the new content …"):
        found = proving.prove(opened, lesson)
    if json:
        emit(proving.document(found))
    else:
        show_proof(found)
    if not found.proven:
        raise typer.Exit(1)


def merge(
    lesson: LessonArgument,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Merge a lesson that is proven as it stands into the content; exit 1 if it is not.

    Merging its branch with git does the same.

    Example: lemnis lesson merge 2026-014abc
    """
    from lemnis import app
    from lemnis.app import lessons

    head = lessons.merge(app.open_workspace(workspace), lesson, actor=actor_name(actor))
    if json:
        emit({"id": lesson, "state": "merged", "commit": head})
    else:
        console.print(f"[bold green]✓[/] lesson {lesson} is part of the content from {head[:_SHORT]} on")


def show_proof(found: Proof) -> None:
    """Print a proof for people."""
    from lemnis.app import lesson_cost

    console.print(f"\n[bold]lesson {found.lesson}[/]\n")
    for check in found.checks:
        mark = "[green]✓[/]" if check.holds else "[bold red]✗[/]"
        console.print(f"  {mark} {escape(check.name)}  [dim]{escape(check.says)}[/]")
    old, new = dict(found.old), dict(found.new)
    history: dict[str, Any] = dict(found.history)
    table = Table(box=box.SIMPLE, header_style="bold")
    for column in ("", "old content", "new content"):
        table.add_column(column)
    table.add_row("digest", *(_digest(str(side["digest"])) for side in (old, new)))
    table.add_row("attack sample, raw / OCSF", *(_fires(side["fires_on_attack"]) for side in (old, new)))
    table.add_row("benign sample, raw / OCSF", *(_fires(side["fires_on_benign"]) for side in (old, new)))
    table.add_row("the cause at the gate", *(_effect(str(side["cause"])) for side in (old, new)))
    table.add_row("changes stopped", *(str(side["changes_stopped"]) for side in (old, new)))
    console.print(table)
    changes, added = counted(history["changes"], "change"), counted(history["alerts_added"], "alert")
    console.print(
        f"  {changes} replayed: {history['stopped']} stopped by the lesson, "
        f"{history['stopped_wrongly']} of them wrongly; {added} added besides"
    )
    for how in ("rightly", "wrongly"):
        if commits := history[f"commits_stopped_{how}"]:
            console.print(f"    {how}  {', '.join(commit[:_SHORT] for commit in commits)}")
    console.print(f"  {lesson_cost.told(history)}")
    if new["earlier_by"] is not None:
        console.print(
            f"  the detection alerts [bold]{new['earlier_by']} ms[/] before the first alert it leads to"
        )
    verdict = "[bold green]PROVEN[/]" if found.proven else "[bold red]NOT PROVEN[/]"
    console.print(f"\n  {verdict}\n")


def _show(opened: app.Workspace, found: State, *, json: bool) -> None:
    from lemnis.app import lesson_beside, shelf

    beside = lesson_beside.look(opened, found.written)
    files = {path: len(data.splitlines()) for path, data in shelf.lesson_files(opened, found.written).items()}
    if json:
        told = dict(found.proposed.payload) if found.proposed else {}
        emit({**_document(found), "files": files, **told, "beside": beside.document()})
        return
    written, lesson = found.written, found.written.lesson
    state = f"[{_STATES[found.state]}]{_state(found)}[/]"
    console.print(f"\n[bold]lesson {written.id}[/]  {state}  [dim]{lesson.incident}[/]")
    console.print(f"{escape(lesson.title)}\n")
    cause = lesson.cause
    console.print(f"  cause       [bold]{escape(cause.place)}[/]  {escape(cause.text)}")
    if cause.commit:
        console.print(f"  introduced  {cause.commit[:_SHORT]}  {escape(cause.author)}")
    console.print(f"  owner       {escape(cause.owner or 'nobody')}")
    console.print(f"  branch      {written.branch or 'merged'}  [dim]{written.commit[:_SHORT]}[/]")
    if found.proved is not None:
        proven = "[green]proven[/]" if found.proved.payload["proven"] else "[red]not proven[/]"
        seal = dict(found.proved.payload).get("envelope", "not signed")
        console.print(f"  proof       {proven} {to_iso(found.proved.at)}  [dim]{seal}[/]")
    console.print()
    for path, lines in sorted(files.items()):
        console.print(f"  [green]+{lines:<4}[/] {escape(path)}")
    if found.proposed is not None:
        _measured(dict(found.proposed.payload))
    for point in beside.points():
        console.print(f"  [yellow]•[/] {escape(point)}")
    if not written.merged:
        owner = f" --set owner={lesson.cause.owner}" if lesson.cause.owner else ""
        console.print(
            f"  [dim]a pull request to its owner: git push REMOTE {written.branch}, then[/]\n"
            f"  [dim]lemnis playbook plan propose_lesson -i {lesson.incident} --set lesson={written.id} "
            f"--set content=OWNER/NAME@main{escape(owner)}[/]"
        )
    console.print()


def _measured(facts: dict[str, Any]) -> None:
    """Print what was measured when the lesson was written."""
    _table(
        "gates on the history",
        ("", "scope", "changes stopped", "wrongly"),
        [(_mark(g), g["scope"], str(len(g["stopped"])), str(len(g["wrongly"]))) for g in facts["gates"]],
    )
    _table(
        "detections on the history",
        ("", "detection", "events of the attack", "others", "first"),
        [
            (_mark(d), d["name"], str(d["on_attack"]), str(d["on_others"]), _instant(d["first"]))
            for d in facts["detections"]
        ],
    )
    console.print("\n  [bold]for review[/]")
    for point in facts["review"]:
        console.print(f"  [yellow]•[/] {escape(point)}")


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=box.SIMPLE, header_style="bold", title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row[0], *(escape(cell) for cell in row[1:]))
    console.print(table)


def _document(found: State) -> dict[str, Any]:
    lesson = found.written.lesson
    return {
        "id": found.written.id,
        "incident": lesson.incident,
        "state": found.state,
        "proven": found.proven,
        "title": lesson.title,
        "branch": found.written.branch,
        "commit": found.written.commit,
        "base": found.written.base,
        "gate": lesson.gate,
        "detection": lesson.detection,
        "threat": lesson.threat,
        "cause": lesson.cause.model_dump(mode="json"),
    }


def _state(found: State) -> str:
    return "merged, not proven" if found.state == "merged" and not found.proven else found.state


def _mark(row: dict[str, Any]) -> str:
    return "[green]→[/]" if row["chosen"] else ""


def _instant(at: int) -> str:
    return to_iso(at) if at else "never"


def _digest(text: str) -> str:
    return text.removeprefix("sha256:")[:_SHORT]


def _fires(found: object) -> str:
    words = dict(found) if isinstance(found, dict) else {}
    return " / ".join("fires" if words.get(way) else "silent" for way in ("raw", "ocsf"))


def _effect(text: str) -> str:
    return {"deny": "[bold green]stopped[/]", "allow": "[yellow]let pass[/]"}.get(text, escape(text))

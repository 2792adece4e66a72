"""``lemnis playbook``: response, from the plan to its undoing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit, messages, show_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lemnis.app.playbook_tests import Tested
    from lemnis.app.respond_blast import Blast
    from lemnis.respond.records import Planned, Run

PlanArgument = Annotated[str, typer.Argument(metavar="DIGEST", help="The plan's digest, or how it begins.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Playbooks; all if none.")]
_STYLES = {"done": "green", "already": "cyan", "refused": "yellow", "failed": "red", "unfinished": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands about playbooks."""
    playbook = group(app, "playbook")
    playbook.command("list")(list_)
    playbook.command("test")(try_out)
    for command in (lint, plan, approve, run, runs, undo):
        playbook.command(command.__name__)(command)


def list_(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the playbooks; with --json one object a line, with `name`.

    Example: lemnis playbook list
    """
    from lemnis import app
    from lemnis.app import respond

    found = respond.playbooks(app.library(app.around(workspace)))
    if json:
        for name, one in found.items():
            emit({"name": name, "title": one.title, "trigger": one.trigger, "kind": one.kind})
        return
    rows = ((name, one.title, one.trigger, ", ".join(one.inputs)) for name, one in found.items())
    show_table("playbooks", ("name", "title", "trigger", "inputs"), rows)


def lint(names: NamesArgument = None, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Check playbooks and every action; exit 2 if something is wrong.

    Example: lemnis playbook lint
    """
    from lemnis import app
    from lemnis.app import playbook_lint
    from lemnis.interfaces.cli.output import report

    around = app.around(workspace)
    problems = playbook_lint.lint(app.library(around), names or (), workspace=around)
    for one in problems:
        if json:
            emit({"name": one.name, "at": str(one.error.at or ""), "problem": one.error.what})
        else:
            report(one.error)
    if not problems and not json:
        console.print("nothing is wrong")
    raise typer.Exit(2 if problems else 0)


def try_out(names: NamesArgument = None, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Run playbooks' tests on simulators, and actions against their recorded exchanges; exit 1 if one fails.

    With --json one object a case: `name`, `case`, `passed`, `problems`.

    Example: lemnis playbook test contain_compromised_workload
    """
    from lemnis import app
    from lemnis.app import playbook_tests

    failed = 0
    for case in playbook_tests.run(app.library(app.around(workspace)), names or ()):
        failed += bool(case.problems)
        if json:
            emit(
                {
                    "name": case.playbook,
                    "case": case.name,
                    "passed": not case.problems,
                    "problems": case.problems,
                    **_covered(case),
                }
            )
            continue
        mark = "[red]failed[/red]" if case.problems else "[green]passed[/green]"
        told = _covered(case)
        share = f" {told['percent']:.0f} %, not taken: {told['missed'] or 'none'}" if told else ""
        console.print(f"{mark} {escape(case.playbook)}: {escape(case.name + share)}")
        for problem in case.problems:
            console.print(f"       {escape(problem)}")
    raise typer.Exit(1 if failed else 0)


def _covered(case: Tested) -> dict[str, Any]:
    """Return what a case says of branches, if it is about them."""
    from lemnis.app.playbook_tests import Covered

    if not isinstance(case, Covered):
        return {}
    missed = [f"{step}: {branch}" for step, branch in case.missed]
    return {"branches": case.branches, "percent": case.percent, "missed": missed}


def plan(
    playbook: Annotated[str, typer.Argument(metavar="PLAYBOOK", help="The playbook's name.")],
    incident: Annotated[str, typer.Option("--incident", "-i", metavar="ID", help="For which incident.")],
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An input by hand; again for more."),
    ] = None,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say exactly what a playbook would do about an incident: targets are read, nothing is changed.

    The plan is written down under its digest, which is what `approve` and `run` take.

    Example: lemnis playbook plan contain_compromised_workload --incident in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import respond, respond_blast
    from lemnis.contracts.errors import UsageError

    values: dict[str, list[str]] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: no value", fix="write --set NAME=VALUE")
        values.setdefault(name, []).append(value)
    opened = app.open_workspace(workspace)
    with messages.status("reading the targets"):
        planned = respond.plan(opened, playbook, incident, given=values, actor=actor_name(actor))
        radius = respond_blast.blast(opened, planned)
    _show_plan(planned, json=json, radius=radius)


def approve(
    digest: PlanArgument,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why it may be done.")],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Approve exactly this plan, for a while; exit 1 if something in it is refused.

    It says how many approvals are missing still, of which roles, and who has those.

    Example: lemnis playbook approve 3f9a5b0c1d2e --reason "customer data at risk"
    """
    from lemnis import app
    from lemnis.app import respond

    opened = app.open_workspace(workspace)
    granted = respond.approve(opened, digest, actor=actor_name(actor), reason=reason)
    lacking = respond.lacking(opened, digest)
    found = lacking.standing
    if json:
        emit({"approval": granted.key, "actor": granted.actor, "reason": granted.reason,
              "at": granted.at, "expires": granted.expires, "given": found.given, "quorum": found.quorum,
              "missing": found.missing, "roles": found.roles, "people": lacking.people})  # fmt: skip
        return
    console.print(f"approved by {escape(granted.actor)}; it may be begun until {to_iso(granted.expires)}")
    if found.missing:
        whose = f" of {' or '.join(found.roles)}" if found.roles else ""
        who = f": {', '.join(lacking.people)}" if lacking.people else ""
        if found.roles and not lacking.people:
            who = ", and nobody else has that role: `roles:` in lemnis.yaml"
        said = f"{len(found.given)} of {found.quorum} have; {found.missing} more{whose} must{who}"
        console.print(escape(said))


def run(
    digest: PlanArgument, actor: ActorOption = "", json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Run an approved plan, or go on with its run where it was killed; exit 1 if it is refused or fails.

    Example: lemnis playbook run 3f9a5b0c1d2e
    """
    from lemnis import app
    from lemnis.app import respond

    with messages.status("running") as status:
        done = respond.run(
            app.open_workspace(workspace), digest, actor=actor_name(actor),
            told=lambda step, outcome: status.update(f"{step}: {outcome}"),
        )  # fmt: skip
    _show_run(done, json=json)
    raise typer.Exit(0 if done.outcome == "done" else 1)


def runs(
    incident: Annotated[
        str | None, typer.Option("--incident", "-i", metavar="ID", help="Of one incident.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List runs, oldest first; with --json one object a line with `id` and its results.

    Example: lemnis playbook runs
    """
    from lemnis import app
    from lemnis.app import respond

    found = list(respond.runs(app.open_workspace(workspace), incident))
    if json:
        for one in found:
            emit(_run_json(one))
        return
    rows = (
        (one.id, to_iso(one.started), f"undo {one.undoes}" if one.undoes else one.playbook, one.incident_id,
         one.actor, one.outcome)
        for one in found
    )  # fmt: skip
    show_table("runs", ("id", "began", "what", "incident", "by", "outcome"), rows)


def undo(
    run: RunArgument,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", "-m", help="Why; approves and runs the plan at once. Without, it is planned."
        ),
    ] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take back what a run did, last first: plans it, and with --reason approves and runs it.

    Example: lemnis playbook undo run-0123456789abcdef --reason "the workload was rebuilt"
    """
    from lemnis import app
    from lemnis.app import respond

    opened, who = app.open_workspace(workspace), actor_name(actor)
    with messages.status("reading the targets"):
        planned = respond.plan_undo(opened, run, actor=who)
    if not reason or not planned.plan.actions:
        _show_plan(planned, json=json)
        return
    respond.approve(opened, planned.plan.digest, actor=who, reason=reason)
    with messages.status("undoing"):
        done = respond.run(opened, planned.plan.digest, actor=who)
    _show_run(done, json=json)
    raise typer.Exit(0 if done.outcome == "done" else 1)


def _show_plan(planned: Planned, *, json: bool, radius: Sequence[Blast] = ()) -> None:
    from lemnis.contracts.response import node_json
    from lemnis.interfaces.cli.plan_view import outline
    from lemnis.respond.records import action_json

    one = planned.plan
    if json:
        emit({
            "digest": one.digest, "playbook": one.playbook, "incident": one.incident_id,
            "undoes": planned.undoes, "content": planned.library,
            "program": [node_json(node) for node in one.program], "terms": dict(one.terms),
            "approvable": bool(one.actions) and not planned.refusals,
            "actions": [action_json(a) for a in one.actions],
            "blast": [
                {"step": b.step, "target": b.target, "entities": b.entities, "known": b.known,
                 "dependents": b.dependents, "more": b.more}
                for b in radius
            ],
        })  # fmt: skip
        return
    if not one.actions:
        console.print("there is nothing to do")
        return
    rows = (
        (
            a.step,
            a.action,
            a.target,
            a.effect.value,
            (a.refused and f"REFUSED: {a.refused}") or _found(a.before),
            a.undo,
        )
        for a in one.actions
    )
    what = f"undo of {planned.undoes}" if planned.undoes else one.playbook
    columns = ("step", "action", "target", "effect", "found", "way back")
    show_table(f"plan of {what} for {one.incident_id}", columns, rows)
    for line in outline(one):
        console.print(escape(line))
    for each in radius:
        console.print(f"[dim]blast radius of {escape(each.target)}: {escape(each.line())}[/dim]")
    console.print(f"plan {one.digest}", soft_wrap=True)
    short = one.digest[7:19]
    if planned.refusals:
        console.print("[yellow]it cannot be approved: something in it is refused[/yellow]")
    elif planned.writes:
        console.print(f"[dim]lemnis playbook approve {short} --reason …; lemnis playbook run {short}[/dim]")
    else:
        console.print(f"[dim]it changes nothing and needs no approval: lemnis playbook run {short}[/dim]")


def _found(before: Any) -> str:
    return "; ".join(f"{name}: {value}" for name, value in before.items())


def _show_run(done: Run, *, json: bool) -> None:
    if json:
        emit(_run_json(done))
        return
    rows = []
    for one in done.results:
        notes = [str(one["error"])] if one["error"] else []
        notes += ["settled after an interruption"] if one["reconciled"] else []
        rows.append(
            (one["step"], one["action"], one["target"], one["outcome"], f"{one['ms']} ms", "; ".join(notes))
        )
    show_table(f"run {done.id}", ("step", "action", "target", "outcome", "took", "notes"), rows)
    if done.waits_until:
        console.print(f"it waits, until {to_iso(done.waits_until)} at most: `lemnis playbook questions`")
    style = _STYLES.get(done.outcome, "yellow")
    console.print(f"[{style}]{escape(done.outcome)}[/{style}]")


def _run_json(one: Run) -> dict[str, Any]:
    return {
        "id": one.id, "incident": one.incident_id, "plan": one.plan, "playbook": one.playbook,
        "undoes": one.undoes, "actor": one.actor, "started": one.started, "finished": one.finished,
        "outcome": one.outcome, "waits_until": one.waits_until,
        "results": [dict(result) for result in one.results],
    }  # fmt: skip

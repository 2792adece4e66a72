"""``lemnis playbook``: what people decide about runs that wait, and what they let go on."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit, show_table

ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    playbook = group(app, "playbook")
    for command in (request, cancel, questions, answer, resume):
        playbook.command(command.__name__)(command)


def request(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="The plan's digest, or how it begins.")],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Let a plan wait for its approval; `lemnis serve` begins it then, escalates, and refuses it in the end.

    Example: lemnis playbook request 3f9a5b0c1d2e
    """
    from lemnis import app
    from lemnis.app import respond

    run = respond.request(app.open_workspace(workspace), digest, actor=actor_name(actor))
    if json:
        emit({"id": run.id, "plan": run.plan, "outcome": run.outcome})
    else:
        console.print(f"{run.id} waits: `lemnis playbook approve {run.plan[7:19]} --reason …`")


def cancel(
    run: RunArgument,
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Let a run do nothing more; what it has begun is settled first. Undo takes back what it did.

    Example: lemnis playbook cancel run-0123456789abcdef --reason "a false alarm"
    """
    from lemnis import app
    from lemnis.app import respond

    done = respond.cancel(app.open_workspace(workspace), run, actor=actor_name(actor), reason=reason)
    if json:
        emit({"id": done.id, "outcome": done.outcome})
    else:
        console.print("cancelled" if done.finished else "it will stop before its next action")


def questions(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List what runs ask people; with --json one object a line.

    Example: lemnis playbook questions
    """
    from lemnis import app
    from lemnis.app import respond

    found = list(respond.questions(app.open_workspace(workspace)))
    if json:
        for one in found:
            emit({"name": one.step, "run": one.run, "incident": one.incident_id, "text": one.text,
                  "role": one.role, "until": one.until})  # fmt: skip
        return
    rows = ((one.run, one.step, escape(one.text), one.role or "anyone", to_iso(one.until)) for one in found)
    show_table("questions", ("run", "step", "asks", "whom", "until"), rows)


def answer(
    run: RunArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step that asks.")],
    said: Annotated[str, typer.Argument(metavar="yes|no", help="The answer.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Answer what a run asks; `lemnis serve` (or `playbook run`) goes on with it.

    Example: lemnis playbook answer run-0123456789abcdef rebuild yes --reason "the owner agrees"
    """
    from lemnis import app
    from lemnis.app import respond

    opened, who = app.open_workspace(workspace), actor_name(actor)
    respond.answer(opened, run, step, said, actor=who, reason=reason)
    if json:
        emit({"run": run, "step": step, "answer": said, "actor": who})
    else:
        console.print(f"{step}: {said}")


def resume(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="The action that was paused.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Let an action go on that was paused because it failed too often.

    Example: lemnis playbook resume okta.suspend_user --reason "the token was renewed"
    """
    from lemnis import app
    from lemnis.app import respond

    entry = respond.resume(app.open_workspace(workspace), action, actor=actor_name(actor), reason=reason)
    if json:
        emit({"action": action, "actor": entry.actor, "reason": reason})
    else:
        console.print(f"{action} may go on")

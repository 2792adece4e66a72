"""``lemnis incident``: how its alerts belong together, why, and what people decide of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.commands.incident import IncidentArgument
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit

if TYPE_CHECKING:
    from lemnis import app
    from lemnis.contracts.alerts import Entity
    from lemnis.contracts.incidents import Incident
    from lemnis.correlate.explain import Why

ReasonOption = Annotated[str, typer.Option(help="Why.")]


def register(app: typer.Typer) -> None:
    """Add the commands about how alerts belong together."""
    incident = group(app, "incident")
    for command in (merge, split, unmerge, explain):
        incident.command(command.__name__)(command)


def merge(
    incident: IncidentArgument,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The other incident.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Merge two incidents into the one with the earlier alert; `unmerge` takes them apart again.

    Example: lemnis incident merge in-0123456789abcdef in-fedcba9876543210 --reason "one campaign"
    """
    from lemnis import app
    from lemnis.app import incidents_grouping

    opened = app.open_workspace(workspace)
    merged = incidents_grouping.merge(opened, incident, other, actor=actor_name(actor), reason=reason)
    _tell(opened, merged, json=json)


def split(
    incident: IncidentArgument,
    reason: ReasonOption,
    alert: Annotated[list[str] | None, typer.Option(help="An alert to part from the others.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="All alerts of a rule: its id or title.")] = None,
    entity: Annotated[
        list[str] | None, typer.Option(help="All alerts about an entity, such as host:web01.")
    ] = None,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Part alerts from an incident: they are a new one, which is told.

    What both sides have in common ties these alerts to nothing any more. They are joined again only if
    something else ties them, or by `merge`.

    Example: lemnis incident split in-0123456789abcdef --entity host:scanner01 --reason "our own scan"
    """
    from lemnis import app
    from lemnis.app import incidents_grouping

    opened = app.open_workspace(workspace)
    parted = incidents_grouping.split(
        opened, incident, alerts=alert or (), rules=rule or (), entities=_entities(entity or ()),
        actor=actor_name(actor), reason=reason,
    )  # fmt: skip
    _tell(opened, parted, json=json)


def unmerge(
    incident: Annotated[str, typer.Argument(metavar="ID", help="The incident that was merged into another.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take an incident out of the one that it was merged into, with the alerts that it had then.

    Example: lemnis incident unmerge in-fedcba9876543210 --reason "another customer's host"
    """
    from lemnis import app
    from lemnis.app import incidents_grouping

    opened = app.open_workspace(workspace)
    _tell(
        opened,
        incidents_grouping.unmerge(opened, incident, actor=actor_name(actor), reason=reason),
        json=json,
    )


def explain(
    incident: IncidentArgument,
    alert: Annotated[list[str] | None, typer.Option(help="Only this alert.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say why each alert is in an incident: what it shares with which others, and what that weighs.

    It takes 100, by the weights of content/correlations/default/grouping.yaml. With --json one object a line.

    Example: lemnis incident explain in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import incidents_grouping, incidents_handling
    from lemnis.interfaces.cli.grouping_view import why_table

    opened = app.open_workspace(workspace)
    one, every = incidents_grouping.why(opened, incident)
    shown = [why for why in every if not alert or why.alert.id in alert]
    if not json:
        console.print(why_table(one, shown))
        for sentence in incidents_handling.standing(opened, one).weighed.live:
            console.print(f"the risk is raised: {sentence}", markup=False)
        return
    for why in shown:
        emit(_document(why))


def _entities(texts: Sequence[str]) -> list[Entity]:
    from lemnis.contracts.alerts import Entity, EntityKind
    from lemnis.contracts.errors import UsageError

    try:
        return [Entity.parse(text) for text in texts]
    except ValueError as error:
        raise UsageError(
            f"no entity: {error}", fix=f"write KIND:VALUE; kinds are {', '.join(EntityKind)}"
        ) from error


def _document(why: Why) -> dict[str, object]:
    return {
        "id": why.alert.id, "title": why.alert.title, "time": why.alert.time,
        "severity": why.alert.severity.name.lower(),
        "tied_to": [
            {
                "id": link.other, "title": link.title, "apart_ms": link.apart, "weight": link.weight,
                "shares": [{"entity": str(entity), "weight": weight} for entity, weight in link.shares],
            }
            for link in why.links
        ],
    }  # fmt: skip


def _tell(workspace: app.Workspace, one: Incident, *, json: bool) -> None:
    from lemnis.app import incidents
    from lemnis.incidents.export import document
    from lemnis.interfaces.cli.incident_view import one_line

    if json:
        emit(document(one, incidents.metrics(workspace, one)))
    else:
        console.print(one_line(one))

"""The review of an incident: drafted from the journal, recorded there, asked for at the close."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pydantic

from lemnis import app
from lemnis.app import incidents, settings
from lemnis.content import yaml
from lemnis.contracts.alerts import Verdict
from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.errors import ContentError, RefusedError, UsageError
from lemnis.contracts.ids import Json, canonical, digest, stable_id
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.incidents import handling as writing
from lemnis.lessons import review_form
from lemnis.lessons.review_form import Fact, Review

REVIEW = "incident.review"
_WANTED = frozenset({Verdict.TRUE_POSITIVE, Verdict.SECURITY_RISK})
_OPINIONS = frozenset({"note", "review", "priority", "severity", "near", "task", "link"})
"""Kinds of the timeline that say what somebody thought or means to do: a review's timeline has facts."""
_DAY = 86_400_000


def draft(workspace: app.Workspace, incident: str) -> str:
    """Return the form of an incident's review as YAML: what is recorded, else a draft from the journal."""
    one = incidents.get(workspace, incident)
    incidents.refuse_merged(one)
    if (entry := last(workspace, one)) is not None:
        return review_form.written(review_form.read(entry.payload))
    return review_form.draft(one.id, one.title, facts(workspace, one))


def facts(workspace: app.Workspace, one: Incident) -> list[Fact]:
    """Return what happened in an incident, as the journal has it, for its review."""
    items = sorted(
        (item for item in incidents.timeline(workspace, one) if item.kind not in _OPINIONS),
        key=lambda item: item.time,
    )
    return [
        Fact(
            at=to_iso(item.time), what=f"{item.kind}: {' '.join(item.title.split())}"[:500],
            reference=item.reference,
        )
        for item in items
    ]  # fmt: skip


def record(workspace: app.Workspace, incident: str, file: Path, *, actor: str) -> Review:
    """Record a filled-in form (see ``keep``).

    Raises ContentError with file, line and column for what is wrong in it.
    """
    one = incidents.get(workspace, incident)
    incidents.refuse_merged(one)
    review = yaml.load(file, Review)
    if review.incident != one.id:
        raise ContentError(
            f"incident: this is the review of {review.incident}, not of {one.id}",
            at=yaml.locate(file, ["incident"]),
        )
    return keep(workspace, one, review, actor=actor)


def filled(workspace: app.Workspace, one: Incident, given: Mapping[str, object]) -> Review:
    """Return the review of an incident of these parts; its timeline is the journal's unless it is given.

    Raises UsageError for what is wrong in them.
    """
    parts = {"timeline": [fact.model_dump() for fact in facts(workspace, one)], **given}
    try:
        return Review.model_validate({**parts, "incident": one.id})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the review"
        raise UsageError(
            f"{where}: {first['msg']}", fix="docs/incidents.md says what a review has"
        ) from error


def keep(workspace: app.Workspace, one: Incident, review: Review, *, actor: str) -> Review:
    """Record a review, and its actions as the incident's tasks; the same again changes nothing."""
    journal, before = app.journal(workspace), last(workspace, one)
    payload: dict[str, Json] = {"review": review_form.document(review)}
    if before is None or canonical(dict(before.payload)) != canonical(payload):
        key = stable_id("rv", one.id, before.hash if before else "", digest(canonical(payload)))
        journal.append(NewEntry(REVIEW, one.id, key, payload, actor, "the review was recorded"))
    from lemnis.app.incidents_handling import handling_of

    known = {task.title for task in handling_of(journal, one).tasks}
    now = workspace.clock.now()
    journal.append_all(
        [
            writing.task(
                one.id, action.what, actor=actor, at=now, assignee=action.owner,
                due=from_iso(f"{action.due.isoformat()}T00:00:00Z") + _DAY - 1,
            )
            for action in review.actions
            if action.what not in known
        ]
    )  # fmt: skip
    return review


def last(workspace: app.Workspace, incident: Incident) -> Entry | None:
    """Return the entry of an incident's review as it was recorded last, of what was merged into it too."""
    found = app.journal(workspace).about_all([*incident.merged_from, incident.id], [REVIEW])
    return max(found, key=lambda entry: entry.seq, default=None)


def told(workspace: app.Workspace, incident: Incident) -> dict[str, Json] | None:
    """Return an incident's review with when and by whom it was recorded; None where there is none."""
    entry = last(workspace, incident)
    if entry is None:
        return None
    return {
        "at": to_iso(entry.at),
        "actor": entry.actor,
        **review_form.document(review_form.read(entry.payload)),
    }


def missing(workspace: app.Workspace, incident: Incident, verdict: Verdict) -> bool:
    """Say whether an incident that is closed with this verdict should have a review, and has none."""
    return verdict in _WANTED and last(workspace, incident) is None


def demand(workspace: app.Workspace, incident: Incident, verdict: Verdict) -> None:
    """Raise RefusedError where the settings require the review that is missing (``incidents.review``)."""
    if missing(workspace, incident, verdict) and settings.load(workspace).incidents.review == "require":
        raise RefusedError(
            f"{incident.id} has no review, which `incidents.review: require` asks for",
            fix=f"`lemnis incident review {incident.id}` drafts it, --from FILE records it",
        )


def markdown(workspace: app.Workspace, incident: Incident) -> str:
    """Return an incident's review as the parts of a report; empty where there is none."""
    from lemnis.incidents.export import inline, table

    entry = last(workspace, incident)
    if entry is None:
        return ""
    review = review_form.read(entry.payload)
    parts = [f"## Review\n\nRecorded {to_iso(entry.at)} by {inline(entry.actor)}."]
    for name, title in review_form.PARTS:
        lines = [f"- {inline(text)}" for text in getattr(review, name)]
        parts.append("\n".join([f"### {title}", "", *(lines or ["nothing"])]))
    parts += [
        f"### Why it was not seen sooner\n\n{inline(review.detection_gap)}",
        f"### The control that failed\n\n{inline(review.control_that_failed)}",
        "### Actions",
        table(("what", "who", "until"), [(a.what, a.owner, a.due.isoformat()) for a in review.actions]),
        "### Facts",
        table(("time", "what", "shown by"), [(f.at, f.what, f.reference) for f in review.timeline]),
    ]
    return "\n\n".join(parts) + "\n"

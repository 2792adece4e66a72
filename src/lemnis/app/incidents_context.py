"""What the pipeline did around an incident: commits, scans, attestations, gates, lessons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import attest, settings
from lemnis.contracts.alerts import EntityKind
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.incidents import Incident, TimelineItem
from lemnis.contracts.journal import Entry
from lemnis.incidents import timeline as telling

if TYPE_CHECKING:
    from lemnis.graph.attestation import Build
    from lemnis.store.journal import SqlJournal
    from lemnis.store.lakes import Readable

KINDS = ("commit", "scan", "attestation", "gate", "lesson")
_LESSONS = ("lesson.proposed",)
_SHORT = 12
_SHOWN = 50
_SCANS = """
    SELECT metadata.product.name AS tool, resources[1].version AS revision, min(time) AS time, count(*) AS n,
           max(severity_id) AS worst, any_value(resources[1].uid) AS resource
    FROM application_security_posture_finding
    WHERE resources[1].version IN (SELECT unnest(?))
    GROUP BY ALL ORDER BY time, tool
"""


def images(incident: Incident, started: Sequence[TimelineItem]) -> list[str]:
    """Return the images that an incident is about: its own, and those of containers on its hosts."""
    own = [entity.value for entity in incident.entities if entity.kind is EntityKind.IMAGE]
    ran = [str(item.detail["image"]) for item in started if item.detail.get("image")]
    return list(dict.fromkeys([*own, *ran]))[:_SHOWN]


def pipeline(
    workspace: app.Workspace, journal: SqlJournal, incident: Incident, about: Sequence[str]
) -> tuple[list[TimelineItem], list[str]]:
    """Return what the pipeline did with images and their commits, and the journal's subjects that tell it.

    What cannot be looked up, such as a repository that is gone, is said in the entry that led there.
    """
    items: list[TimelineItem] = []
    subjects = [f"image:{image}" for image in about]
    commits: dict[str, Build] = {}
    for image in about:
        build, problem = _build(workspace, image)
        if build is not None:
            commits.setdefault(build.commit, build)
        items += [_stepped(entry, problem) for entry in journal.entries(subject=f"image:{image}")]
    for commit, build in commits.items():
        subjects.append(f"commit:{commit}")
        items += [_stepped(entry, "") for entry in journal.entries(subject=f"commit:{commit}")]
        items.append(_commit(workspace, commit, build))
    items += _scans(app.events(workspace), list(commits))
    lessons = journal.subjects(_LESSONS, mentioning=f'"{incident.id}"')
    subjects += lessons
    items += [
        telling.entry(
            entry, title=f"lesson {lesson} {entry.kind.rpartition('.')[2]}: {entry.reason}".strip(": ")
        )
        for lesson in lessons
        for entry in journal.entries(subject=lesson)
    ]
    return items, subjects


def _build(workspace: app.Workspace, image: str) -> tuple[Build | None, str]:
    try:
        found = attest.of_image(workspace, image)
    except LemnisError as error:
        return None, str(error)
    return found.build, found.problem


def _stepped(entry: Entry, problem: str) -> TimelineItem:
    """Return a step of the pipeline: a gate's decision, or an attestation and what is wrong with it."""
    about = _short(entry.subject)
    if entry.kind == attest.ATTESTATION:
        wrong = f"; it does not hold: {problem}" if problem else ""
        return telling.entry(entry, title=f"provenance of {about}{wrong}")
    stage = entry.payload.get("stage")
    return telling.entry(entry, title=f"{stage} gate, {about}: {entry.reason}" if stage else "")


def _commit(workspace: app.Workspace, commit: str, build: Build) -> TimelineItem:
    """Return the commit that an image was built from, at its own time if its repository is at hand."""
    from lemnis.app.pipeline import find

    detail = {"commit": commit, "repository": build.repository}
    at = _instant(build.finished)
    try:
        known = find(settings.repository(workspace, build.repository), commit)
    except LemnisError as error:
        title = f"{commit[:_SHORT]} of {build.repository} (not looked up: {error.what})"
        return TimelineItem(at, at, "commit", title, commit, detail=detail)
    title = f"{commit[:_SHORT]} {known.subject}"
    return TimelineItem(known.at, known.at, "commit", title, commit, known.author, detail=detail)


def _scans(lake: Readable, commits: Sequence[str]) -> Iterator[TimelineItem]:
    """Yield what scanners found in commits, one entry a scanner and commit."""
    if not commits or "application_security_posture_finding" not in lake.schemas():
        return
    for row in lake.query(_SCANS, parameters=[list(commits)]).to_pylist():
        many = "finding" if row["n"] == 1 else "findings"
        yield TimelineItem(
            row["time"], row["time"], "scan",
            f"{row['tool']}: {row['n']} {many} in {row['revision'][:_SHORT]} of {row['resource']}",
            f"{row['tool']}:{row['revision']}", str(row["tool"]),
            detail={"findings": row["n"], "commit": row["revision"]},
        )  # fmt: skip


def _instant(text: str) -> int:
    from lemnis.contracts.clock import from_iso

    try:
        return from_iso(text)
    except ValueError:  # a builder that does not say when
        return 0


def _short(subject: str) -> str:
    kind, _, value = subject.partition(":")
    name, _, digest = value.rpartition(":")
    return f"{kind} {f'{name}:' if name else ''}{digest[:_SHORT]}"

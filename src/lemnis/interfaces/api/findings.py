"""Findings: what is to be mended, the gravest first, and what people decide about it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import feedback_findings, findings_life
from lemnis.app import findings_decisions as deciding
from lemnis.app.access.permissions import Person, demand
from lemnis.app.findings_decisions import Stand, Word
from lemnis.app.findings_life import Problem
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import LemnisError
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import (
    USUAL_LIMIT,
    After,
    IdempotencyKey,
    IfMatch,
    Limit,
    Purpose,
    Using,
    allowed,
    router,
    unchanged,
    versioned,
)
from lemnis.interfaces.api.services import Services, sight

ROUTER = router("findings")
Reader = Annotated[Person, allowed("finding.read")]
Changer = Annotated[Person, allowed("finding.change")]
Id = Annotated[str, Path(pattern=r"^(fd|fp)-[0-9a-f]{16}$", description="A problem's id, or a finding's.")]
_MOST = 100_000


@ROUTER.get("/findings")
def list_(
    request: Request,
    person: Reader,
    using: Using,
    *,
    severity: Annotated[models.SeverityName | None, Query(description="This severe at least.")] = None,
    resource: Annotated[
        str, Query(max_length=500, description="Only of this repository, folder or image.")
    ] = "",
    state: Annotated[
        str,
        Query(
            pattern="^(open|accepted|false_positive|mitigated|fixed|all)$",
            description="Open, or what was decided: that it is accepted, none, mitigated, mended; or all.",
        ),
    ] = "open",
    owner: Annotated[
        str, Query(max_length=100, description="Only those of this person or team; `me` for oneself.")
    ] = "",
    fixed: Annotated[bool, Query(description="Also those that are gone.")] = False,
    limit: Limit = USUAL_LIMIT,
    after: After = "",
    purpose: Purpose = "",
) -> Page[models.Finding]:
    """List what is to be mended: findings of several tools about one thing are one."""
    least = int(Severity[severity.upper()]) if severity else 0
    found = findings_life.problems(
        using.workspace, resource=resource, severity=least, fixed=fixed, limit=_MOST
    )
    stand = Stand(using.workspace, feedback_findings.Attacked(using.workspace, alerts=using.newest))
    wanted = person.name if owner == "me" else owner

    def holds(one: Problem) -> bool:
        now = stand.of(one)
        return state in {"all", now.state.value} and wanted in {"", now.owner}

    shown, following = paged(found, _key, like="is", after=after, limit=limit, keep=holds)
    seen = sight(request, person, purpose)
    items = [models.Finding.model_validate(seen.named(_document(one, stand))) for one in shown]
    return Page[models.Finding](items=items, next=following)


@ROUTER.get("/findings/{id}")
def show(
    id: Id, request: Request, response: Response, person: Reader, using: Using, purpose: Purpose = "",
) -> models.Finding:  # fmt: skip
    """Show a problem, by its id or that of one of its findings; its tag is for deciding on it as it is."""
    return models.Finding.model_validate(_told(using, id, request, response, person, purpose))


@ROUTER.get("/findings/{id}/decisions")
def decisions(
    id: Id, request: Request, person: Reader, using: Using, purpose: Purpose = ""
) -> list[models.FindingDecision]:
    """List what was decided about a problem, the oldest first."""
    found = findings_life.problem(using.workspace, id)
    seen = sight(request, person, purpose, id)
    said = (one.document() for one in deciding.of(using.workspace, found.id))
    return [models.FindingDecision.model_validate(seen.named(one)) for one in said]


@ROUTER.post("/findings/{id}/decisions", status_code=201, response_model=models.Finding)
def decide(
    id: Id, body: models.DecidingFinding, request: Request, response: Response, person: Changer,
    using: Using, if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Decide about a problem: accepted until a day, none, mitigated, mended, open again, or whose it is.

    What gates refuse they still refuse: that takes an exception.
    """
    one = _mine(using, id, person)
    known = len(deciding.of(using.workspace, one.id))
    unchanged(if_match, known)
    _decide(using, one, body, person, version=known if if_match else None)
    return _told(using, one.id, request, response, person, "")


@ROUTER.post("/findings/decisions", response_model=list[models.FindingDecided])
def decide_all(body: models.DecidingFindings, person: Changer, using: Using, key: IdempotencyKey = "") -> Any:
    """Decide the same about several problems; each is answered on its own, what was refused with why."""
    said = []
    for name in dict.fromkeys(body.ids):
        try:
            _decide(using, _mine(using, name, person), body, person)
        except LemnisError as error:
            said.append(models.FindingDecided(id=name, done=False, title=error.what, fix=error.fix))
        else:
            said.append(models.FindingDecided(id=name, done=True))
    return said


# -- inside ------------------------------------------------------------------------------------------------


def _mine(using: Services, id: str, person: Person) -> Problem:
    """Return a problem that this person may decide on, by the rules over who and what."""
    one = findings_life.problem(using.workspace, id)
    _, about = next(deciding.about(using.workspace, [one]))
    demand(person, "finding.change", about)
    return one


def _decide(
    using: Services, one: Problem, body: models.FindingWord, person: Person, *, version: int | None = None
) -> None:
    until = body.until.isoformat() if body.until else ""
    deciding.decide(
        using.workspace, one.id, Word(body.decision), actor=person.name, reason=body.reason, until=until,
        to=body.to, version=version,
    )  # fmt: skip


def _told(
    using: Services, id: str, request: Request, response: Response, person: Person, purpose: str
) -> dict[str, Any]:
    """Return a problem as this person sees it, and give the answer its tag."""
    one = findings_life.problem(using.workspace, id)
    words = {one.id: deciding.of(using.workspace, one.id)}
    stand = Stand(using.workspace, feedback_findings.Attacked(using.workspace, alerts=using.newest), words)
    document: dict[str, Any] = sight(request, person, purpose, id).named(_document(one, stand))
    versioned(response, len(words[one.id]), document)
    return document


def _document(one: Problem, stand: Stand) -> dict[str, Any]:
    return {**one.document(), **stand.of(one).document()}


def _key(one: Problem) -> list[int | str]:
    return [-int(one.chief.finding.severity), one.id]

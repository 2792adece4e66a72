"""Findings: what is to be mended, the gravest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request

from lemnis.app import findings_life
from lemnis.app.access.permissions import Person
from lemnis.app.findings_life import Problem
from lemnis.contracts.alerts import Severity
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, Limit, Purpose, Using, allowed, router
from lemnis.interfaces.api.services import sight

ROUTER = router("findings")
Reader = Annotated[Person, allowed("finding.read")]
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
    shown, following = paged(found, _key, like="is", after=after, limit=limit)
    seen = sight(request, person, purpose)
    items = [models.Finding.model_validate(seen.named(one.document())) for one in shown]
    return Page[models.Finding](items=items, next=following)


@ROUTER.get("/findings/{id}")
def show(id: Id, request: Request, person: Reader, using: Using, purpose: Purpose = "") -> models.Finding:
    """Show a problem, by its id or that of one of its findings."""
    found = findings_life.problem(using.workspace, id).document()
    return models.Finding.model_validate(sight(request, person, purpose, id).named(found))


def _key(one: Problem) -> list[int | str]:
    return [-int(one.chief.finding.severity), one.id]

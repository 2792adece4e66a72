"""Detections as content has them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query

from lemnis import app
from lemnis.app import rules as known
from lemnis.app.access.permissions import Person
from lemnis.content import yaml
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, Limit, Using, allowed, router

ROUTER = router("rules")
Reader = Annotated[Person, allowed("rule.read")]
Name = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,120}$", description="The detection's name.")
]


@ROUTER.get("/rules")
def list_(
    _person: Reader,
    using: Using,
    *,
    level: Annotated[
        str, Query(pattern="^(|informational|low|medium|high|critical)$", description="Only of this level.")
    ] = "",
    tag: Annotated[str, Query(max_length=100, description="Only with this tag, such as attack.t1059.")] = "",
    limit: Limit = USUAL_LIMIT,
    after: After = "",
) -> Page[models.Rule]:
    """List the detections by name."""
    found = [
        one
        for one in known.listed(app.library(using.workspace))
        if (not level or (one.rule and one.rule.level == level))
        and (not tag or (one.rule and tag in one.rule.tags))
    ]
    shown, following = paged(found, lambda one: [one.item.name], like="s", after=after, limit=limit)
    return Page[models.Rule](
        items=[models.Rule.model_validate(_document(one)) for one in shown], next=following
    )


@ROUTER.get("/rules/{name}")
def show(name: Name, _person: Reader, using: Using) -> models.RuleDetail:
    """Show a detection with the text of its file."""
    item = app.library(using.workspace).get("detections", name)
    return models.RuleDetail(**_document(known.listed_one(item)), text=yaml.read_text(item.manifest))


def _document(one: known.Listed) -> dict[str, Any]:
    rule = one.rule
    return {
        "name": one.item.name, "id": rule.id if rule else "", "title": rule.title if rule else "",
        "level": rule.level if rule else "", "tags": list(rule.tags) if rule else [], "cases": one.cases,
        "own": one.item.own, "usable": rule is not None,
    }  # fmt: skip

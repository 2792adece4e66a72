"""Detections as content has them: read, checked and tried while they are written, kept and proposed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import rules as known
from lemnis.app import rules_saving, rules_versions, trying
from lemnis.app.access.permissions import Person
from lemnis.app.rules_schema import Finding
from lemnis.content import yaml
from lemnis.incidents import export
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.problem import problem
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
)
from lemnis.interfaces.api.services import Services, sight

ROUTER = router("rules")
Reader = Annotated[Person, allowed("rule.read")]
Writer = Annotated[Person, allowed("rule.change")]
Name = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,120}$", description="The detection's name.")
]
Written = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_]{2,80}$", description="The detection's name, of small letters.")
]
_SHOWN = 100


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
def show(name: Name, response: Response, _person: Reader, using: Using) -> models.RuleDetail:
    """Show a detection with the text of its file; its tag is for changes."""
    return _detail(using, name, response)


@ROUTER.get("/rules/{name}/versions")
def versions(
    name: Name, request: Request, person: Reader, using: Using, purpose: Purpose = ""
) -> list[models.RuleVersion]:
    """List what a detection was, newest first: of git's history, and of what was kept and proposed here."""
    seen = sight(request, person, purpose, name)
    found = rules_versions.versions(using.workspace, name, journal=using.journal)
    return [
        models.RuleVersion.model_validate(seen.named(_version(one), one.by if one.how == "committed" else ""))
        for one in found
    ]


@ROUTER.post("/rules/lint")
def lint(body: models.RuleText, _person: Writer, using: Using) -> models.Linted:
    """Say what is wrong with a rule's text, and where."""
    found = trying.check(app.library(using.workspace), body.text)
    return models.Linted(findings=[_finding(one) for one in found])


@ROUTER.post("/rules/try")
def try_(
    body: models.TryingRule, request: Request, person: Writer, using: Using, purpose: Purpose = ""
) -> models.TriedRule:
    """Check a rule, and say what it would have found in the last days: the newest hundred alerts."""
    seen, library = sight(request, person, purpose), app.library(using.workspace)
    lake = using.lake.shown(person, app.events(using.workspace))
    if seen.masker is not None:
        lake = using.personal.without(library, lake, body.text)
    with using.slots.taken(person.id):
        found = trying.tried(
            using.workspace, library, body.text, days=body.days, seconds=body.timeout,
            lake=lake,
        )  # fmt: skip
    alerts = [seen.alert(export.alert(one)) for one in found.alerts[:_SHOWN]]
    return models.TriedRule(
        findings=[_finding(one) for one in found.findings], sound=found.sound, count=len(found.alerts),
        events=found.events, whole=found.whole,
        alerts=[models.TriedAlert.model_validate(one) for one in alerts],
    )  # fmt: skip


@ROUTER.put("/rules/{name}", response_model=models.RuleDetail)
def save(
    name: Written, body: models.SavingRule, response: Response, person: Writer, using: Using,
    if_match: IfMatch = "",
) -> Any:  # fmt: skip
    """Write a detection into the workspace's content; it counts from then on.

    If-Match takes the tag of the text that it takes the place of; without it, it is a new one. To write what
    is there already changes nothing.
    """
    if rules_saving.tag(app.library(using.workspace), name) == rules_saving.tag_of(body.text):
        return _detail(using, name, response)
    of = _tag(if_match)
    try:
        rules_saving.save(using.workspace, name, body.text, of=of, actor=person.name, reason=body.reason)
    except rules_saving.ChangedError as error:
        return problem(status=412, title=error.what, fix=error.fix) if of else problem(error)
    return _detail(using, name, response)


@ROUTER.post("/rules/{name}/propose", response_model=models.ProposedRule)
def propose(
    name: Written, body: models.SavingRule, person: Writer, using: Using, if_match: IfMatch = "",
    key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Write a detection to a branch of its own, to be reviewed and merged; nothing that runs is changed."""
    of = _tag(if_match)
    try:
        branch = rules_saving.propose(
            using.workspace, name, body.text, of=of, actor=person.name, reason=body.reason
        )
    except rules_saving.ChangedError as error:
        return problem(status=412, title=error.what, fix=error.fix) if of else problem(error)
    return models.ProposedRule(name=name, branch=branch)


def _tag(given: str) -> str:
    return given.strip().removeprefix("W/").strip('"')


def _detail(using: Services, name: str, response: Response) -> models.RuleDetail:
    item = app.library(using.workspace).get(rules_saving.KIND, name)
    text = yaml.read_text(item.manifest)
    response.headers["etag"] = f'"{rules_saving.tag_of(text)}"'
    return models.RuleDetail(**_document(known.listed_one(item)), text=text)


def _version(one: rules_versions.RuleVersion) -> dict[str, Any]:
    return {
        "id": one.id, "how": one.how, "at_ms": one.at, "by": one.by, "why": one.why, "tag": one.tag,
        "commit": one.commit, "branch": one.branch, "text": one.text,
    }  # fmt: skip


def _finding(one: Finding) -> models.LintFinding:
    return models.LintFinding(
        check=one.check, level=one.level, what=one.what, fix=one.fix, line=one.at.line, column=one.at.column
    )


def _document(one: known.Listed) -> dict[str, Any]:
    rule = one.rule
    return {
        "name": one.item.name, "id": rule.id if rule else "", "title": rule.title if rule else "",
        "level": rule.level if rule else "", "tags": list(rule.tags) if rule else [], "cases": one.cases,
        "own": one.item.own, "usable": rule is not None,
    }  # fmt: skip

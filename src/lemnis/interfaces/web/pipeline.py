"""The pipeline: what gates decided by service and stage, findings by priority, what ends soon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import gates
from lemnis.app.access import naming
from lemnis.app.access.people import may
from lemnis.contracts.errors import NotFoundError
from lemnis.interfaces.web import asking, attestations, replay, site
from lemnis.interfaces.web import pipeline_exceptions as exempting
from lemnis.interfaces.web import pipeline_findings as findings
from lemnis.interfaces.web.pipeline_said import Decided, decided, said_by_gates

STAGES = ("editor", "commit", "pull_request", "build", "release", "deploy", "runtime")


# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gate:
    """A service at a stage: how many things were judged there, how often no, and the last word."""

    allowed: int
    denied: int
    unknown: int
    last: Decided


def gates_by_service(found: Iterable[Decided]) -> dict[str, dict[str, Gate]]:
    """Return for each service and stage how its gate did; of each thing the last word counts. Pure."""
    last: dict[tuple[str, str, str], Decided] = {}
    for one in found:
        last[one.service, one.stage, one.subject] = one
    cells: dict[str, dict[str, list[Decided]]] = {}
    for one in last.values():
        cells.setdefault(one.service, {}).setdefault(one.stage, []).append(one)
    return {
        service: {stage: _gate(some) for stage, some in stages.items()}
        for service, stages in sorted(cells.items())
    }


def _gate(some: Sequence[Decided]) -> Gate:
    counts = {effect: sum(one.effect == effect for one in some) for effect in ("allow", "deny", "unknown")}
    return Gate(counts["allow"], counts["deny"], counts["unknown"], max(some, key=lambda one: one.seq))


# -- pages -------------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show gates, findings, and what ends soon."""
    here = site.at(request)
    every = said_by_gates(here)
    cells = gates_by_service(every)
    recent = every[:-21:-1]
    finds = may(site.whose(request), "finding.read")
    exceptions, trouble = exempting.known(here)
    ending = [one for one in exceptions if exempting.pressing(one)]
    said = [text for one in recent for text in (one.why, one.name, one.service)]
    said += [f"{one.name} {one.file.where}" for one in ending]
    people = frozenset(naming.addressed([*said, *cells])) | (
        findings.known(here).people if finds else frozenset()
    )
    site.see(request, people)
    how = asking.asked(request.query_params, findings.FILTERS, sort="-priority")
    found = findings.listed(findings.lines(request, people) if finds else (), how, site.actor(request))
    return here.page(
        request, "pipeline.html", title="Pipeline", here="/pipeline", cells=cells, recent=recent,
        stages=[one for one in STAGES if any(one in row for row in cells.values())],
        columns=findings.COLUMNS, found=found, asked=found.asked, page=found.page, titles=findings.TITLES,
        ending=ending, exceptions=len(exceptions), trouble=trouble,
    )  # fmt: skip


def decision(request: Request) -> Response:
    """Show one decision with its reasons, and what was said of the same thing before."""
    here = site.at(request)
    text = request.path_params["seq"]
    journal = app.journal(here.workspace)
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0  # noqa: PLR2004 - digits of 64 bits
    named = next(iter(journal.some(number - 1, 1)), None)
    entry = None
    if named is not None and named.seq == number and named.kind == gates.DECISION:
        entry = journal.get(named.key)
    if entry is None:
        raise NotFoundError(f"no decision {text!r}", fix="the pipeline lists them")
    p: Mapping[str, Any] = entry.payload
    before = [
        one for one in journal.entries(kind=gates.DECISION, subject=entry.subject) if one.seq != entry.seq
    ]
    site.see(request, naming.addressed([entry.reason, *naming.texts(p)]), about=entry.subject)
    return here.page(
        request,
        "decision.html",
        title=f"{decided(entry).stage} gate: {decided(entry).effect}",
        here="/pipeline",
        one=decided(entry),
        reasons=list(p.get("reasons") or ()),
        exceptions=list(p.get("exceptions") or ()),
        content=str(p.get("content", "")),
        before=[decided(one) for one in reversed(before)][:20],
    )


ROUTES = (
    site.shows("/pipeline", page, "gate.read"),
    site.shows("/pipeline/decision/{seq}", decision, "gate.read"),
    *findings.ROUTES,
    *exempting.ROUTES,
    *attestations.ROUTES,
    *replay.ROUTES,
)

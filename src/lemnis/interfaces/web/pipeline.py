"""The pipeline: what gates decided by service and stage, findings by priority, what ends soon."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import gates
from lemnis.app.access import naming
from lemnis.app.access.people import may
from lemnis.app.loop import short
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.journal import Entry
from lemnis.interfaces.web import asking, attestations, replay, site
from lemnis.interfaces.web import pipeline_exceptions as exempting
from lemnis.interfaces.web import pipeline_findings as findings

STAGES = ("editor", "commit", "pull_request", "build", "release", "deploy", "runtime")


# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decided:
    """A gate's last word on something."""

    seq: int
    at: int
    stage: str
    subject: str
    name: str
    service: str
    effect: str
    why: str
    reasons: int


def decided(entry: Entry) -> Decided:
    """Return a decision as a line. Pure."""
    p: Mapping[str, Any] = entry.payload
    facts = p.get("attestation")
    service = p.get("repository") or (facts.get("repository") if isinstance(facts, Mapping) else "") or "?"
    return Decided(
        entry.seq, entry.at, str(p.get("stage", "")), entry.subject, short(entry.subject), str(service),
        str(p.get("decision", "")), entry.reason, len(p.get("reasons") or ()),
    )  # fmt: skip


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


@dataclass
class Said:
    """What gates said, all of it; each look reads what was written since the one before."""

    workspace: app.Workspace
    _lines: list[Decided] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> Sequence[Decided]:
        """Return the decisions, the oldest first."""
        with self._lock:
            after = self._lines[-1].seq if self._lines else 0
            self._lines += map(decided, app.journal(self.workspace).entries(kind=gates.DECISION, after=after))
            return tuple(self._lines)


def page(request: Request) -> Response:
    """Show gates, findings, and what ends soon."""
    here = site.at(request)
    told: Said = here.once.setdefault("gates", Said(here.workspace))
    every = told.look()
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

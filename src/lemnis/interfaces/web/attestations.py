"""Attestations: what is signed about images and packages, by whom, whether it holds, and which gates ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import attest, attest_labels, attest_listing
from lemnis.app.access import naming
from lemnis.app.attest_listing import Attestations, Attested, Holds
from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import ContentError, NotFoundError
from lemnis.contracts.ids import Json
from lemnis.interfaces.web import asking, site, words
from lemnis.interfaces.web.asking import Asked, Column
from lemnis.interfaces.web.queue import Tab

FILTERS = ("show", "q", "kind")
_KINDS: Mapping[str, str] = {"sbom": "Bill of materials", "vex": "VEX"}
SIZE = 100
_DIGEST = re.compile(r"[a-z0-9]{2,20}:[0-9a-f]{32,128}")


# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A statement as a line."""

    digest: str
    at: int
    kind: str
    type: str
    artefact: str
    name: str
    more: int
    holds: str
    why: str
    signer: str
    builder: str
    commit: str
    repository: str

    @property
    def text(self) -> str:
        """What the filter looks in: what is shown."""
        said = (
            self.digest,
            self.artefact,
            self.name,
            self.kind,
            self.type,
            self.signer,
            self.builder,
            self.commit,
        )
        return " ".join((*said, self.repository)).lower()


COLUMNS: tuple[Column[Line], ...] = (
    Column("holds", "Holds", lambda row: [one.value for one in Holds].index(row.holds), up=False),
    Column("kind", "Statement", lambda row: (row.kind, row.type)),
    Column("artefact", "About", lambda row: (row.name, row.artefact)),
    Column("signer", "Signed by", lambda row: (not row.signer, row.builder, row.signer)),
    Column("at", "Kept", lambda row: row.at, up=False),
)
TABS: Mapping[str, tuple[str, Callable[[Line], bool]]] = {
    "all": ("All", lambda _: True),
    "verified": ("Verified", lambda row: row.holds == Holds.VERIFIED),
    "not": ("Not proven", lambda row: row.holds != Holds.VERIFIED),
}


def line(one: Attested) -> Line:
    """Return a statement as a line. Pure."""
    build = one.build
    return Line(
        one.digest, one.at, one.kind, one.type, one.subjects[0][0] if one.subjects else "", one.name,
        max(0, len(one.subjects) - 1), one.holds.value, one.why, one.signer, one.builder,
        build.commit if build else "", build.repository if build else "",
    )  # fmt: skip


def hidden(one: Line) -> Line:
    """Return a line without the personal data that who looks is not to see."""
    m = words.masked
    return replace(
        one, name=m(one.name), why=m(one.why), signer=m(one.signer), builder=m(one.builder),
        repository=m(one.repository),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """The statements that a page shows: tabs with counts, rows, what was asked, kinds to choose from."""

    tabs: tuple[Tab, ...]
    chosen: str
    page: asking.Page[Line]
    asked: Asked
    kinds: tuple[str, ...]


def listed(every: Sequence[Line], how: Asked) -> Listed:
    """Return the page of statements that was asked for; ``every`` are as who looks sees them. Pure."""
    chosen = how.of("show") if how.of("show") in TABS else "all"
    wanted = how.of("q").lower().split()
    some = [
        one for one in every if all(word in one.text for word in wanted) and how.of("kind") in {"", one.kind}
    ]
    tabs = tuple(Tab(name, title, sum(map(holds, some))) for name, (title, holds) in TABS.items())
    rows, how = asking.ordered([one for one in some if TABS[chosen][1](one)], COLUMNS, how)
    kinds = tuple(sorted({one.kind for one in every if one.kind}))
    return Listed(tabs, chosen, asking.paged(rows, how, SIZE), how, kinds)


def people(found: Sequence[Attested]) -> set[str]:
    """Return whom statements name: signers are often addresses. Pure."""
    said: list[str] = []
    for one in found:
        said += [one.why, one.signer, one.builder, *one.notes, *(name for _, name in one.subjects)]
        said += naming.texts(one.facts)
        if one.build is not None:
            said += [
                one.build.repository,
                one.build.invocation,
                one.build.ref,
                *naming.texts(one.build.parameters),
            ]
    return naming.addressed(said)


# -- pages -------------------------------------------------------------------------------------------------


def _all(here: site.Site) -> Attestations:
    found: Attestations = here.once.setdefault("attestations", Attestations(here.workspace))
    return found


def page(request: Request) -> Response:
    """Show all statements."""
    here = site.at(request)
    found, total = _all(here).look()
    site.see(request, people(found))
    how = asking.asked(request.query_params, FILTERS, sort="-at")
    shown = listed([hidden(line(one)) for one in found], how)
    return here.page(
        request, "attestations.html", title="Attestations", here="/pipeline", columns=COLUMNS, found=shown,
        asked=shown.asked, page=shown.page, total=total, most=attest_listing.MOST,
    )  # fmt: skip


def attestation(request: Request) -> Response:
    """Show one statement: what it says, whether it holds, the build and commit, which gates ask for it."""
    here = site.at(request)
    one = _all(here).get(request.path_params["digest"])
    site.see(request, people([one]), about=one.digest)
    first = one.subjects[0][0] if one.subjects else ""
    commit = one.build.commit if one.build else ""
    asks, wrong = _asking(here)
    kind = _KINDS.get(one.kind) or words.words(one.kind).capitalize() or "Statement"
    title = f"{kind} of {one.name or words.short(first, 30)}"
    return here.page(
        request, "attestation.html", title=title, here="/pipeline", one=one, checks=_checks(here, one),
        facts=_facts(one.facts), parameters=_facts(one.build.parameters) if one.build else [],
        commit=commit, built=attest_listing.decisions(here.workspace, f"commit:{commit}") if commit else [],
        answers=attest_listing.decisions(here.workspace, f"image:{first}") if first else [],
        asking=[a for a in asks if attest_listing.asks(a, one.kind)], wrong=wrong,
        sound=one.holds is Holds.VERIFIED, began=_instant(one.build.started if one.build else ""),
        finished=_instant(one.build.finished if one.build else ""),
    )  # fmt: skip


def artefact(request: Request) -> Response:
    """Show what is attested of an image or package, and what gates made of it."""
    here = site.at(request)
    digest = request.path_params["digest"]
    if not _DIGEST.fullmatch(digest):
        raise NotFoundError(f"{digest[:80]!r} is no digest", fix="the page of attestations lists them")
    found = _all(here).about(digest)
    said = attest_listing.decisions(here.workspace, f"image:{digest}")
    if not found and not said:
        raise NotFoundError(f"nothing is known of {digest}", fix="the page of attestations lists them")
    image = digest.startswith("sha256:")
    labels = attest_labels.document(attest_labels.of_image(here.workspace, digest)) if image else []
    asks, wrong = _asking(here)
    texts = [*naming.texts(labels), *(one.why for one in said)]
    site.see(request, people(found) | naming.addressed(texts), about=digest)
    title = next((one.name for one in found if one.name), words.short(digest, 40))
    return here.page(
        request, "artefact.html", title=title, here="/pipeline", digest=digest,
        found=[line(one) for one in found], answers=said, labels=labels,
        stands=attest.statements(here.workspace, digest) if image else {},
        asking=asks, asks=attest_listing.asks, wrong=wrong,
    )  # fmt: skip


def _asking(here: site.Site) -> tuple[list[attest_listing.Asking], str]:
    try:
        return attest_listing.asking(here.library), ""
    except ContentError as error:
        return [], str(error)


def _checks(here: site.Site, one: Attested) -> list[attest.Checked]:
    """Return the checks of an image's provenance, one by one; of others there is the one answer."""
    first = one.subjects[0][0] if one.subjects else ""
    if one.kind != "provenance" or one.holds is Holds.LOST or not first.startswith("sha256:"):
        return []
    return attest.verify(here.workspace, app.vault(here.workspace).get(one.digest), first, one.digest)


def _instant(text: str) -> int:
    """Return the instant (ms) that a statement tells; 0 where it tells none that is one. Pure."""
    try:
        return from_iso(text) if text else 0
    except (ValueError, OverflowError):
        return 0


def _facts(said: Mapping[str, Any], most: int = 40) -> list[tuple[str, str]]:
    """Return facts as words, the first of them. Pure."""
    return [(words.words(name), _word(value)[:500]) for name, value in list(said.items())[:most]]


def _word(value: Json) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_word(one)}" for name, one in value.items())
    return ", ".join(map(_word, value)) if isinstance(value, list | tuple) else str(value)


ROUTES = (
    site.shows("/pipeline/attestations", page, "gate.read"),
    site.shows("/pipeline/attestation/{digest}", attestation, "gate.read"),
    site.shows("/pipeline/artefact/{digest}", artefact, "gate.read"),
)

"""The journal, read: the newest entries first."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request

from lemnis.app.access import naming
from lemnis.app.access.masking import WITHHELD
from lemnis.app.access.permissions import Person
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.journal import Entry
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, decode, encode
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, Limit, Purpose, Using, allowed, router
from lemnis.interfaces.api.services import Services, Sight, sight

ROUTER = router("journal")
Reader = Annotated[Person, allowed("journal.read")]
_LOOKED = "access.personal_read"
_TYPED = frozenset({"console.view", "access.exported"})
"""Kinds of entries that keep what somebody asked for, as they typed it: names may be in it."""
_ID = re.compile(r"[a-z]{2}-[0-9a-f]{16}|sha256:[0-9a-f]{64}")


@ROUTER.get("/journal")
def list_(
    request: Request,
    person: Reader,
    using: Using,
    *,
    kind: Annotated[list[str] | None, Query(max_length=50, description="Only these kinds.")] = None,
    subject: Annotated[str, Query(max_length=200, description="Only about this.")] = "",
    limit: Limit = USUAL_LIMIT,
    after: After = "",
    purpose: Purpose = "",
) -> Page[models.JournalEntry]:
    """List the journal's entries, the newest first; their hashes are told with a purpose alone.

    Entries about what one may not see are left out: a page may have fewer than ``limit``.
    """
    using.board.look()
    seen, eyes = sight(request, person, purpose), using.eyes(person)
    before = int(decode(after, "i")[0]) if after else None
    found = using.journal.newest(kinds=kind or (), subject=subject, before=before, limit=limit + 1)
    if subject:
        found = [one for one in found if _subject(one, seen) == subject]
    items = [_document(one, seen, _about(using, one)) for one in found[:limit] if not eyes.entry(one)]
    following = encode([found[limit - 1].seq]) if len(found) > limit else None
    return Page[models.JournalEntry](items=items, next=following)


def _about(using: Services, one: Entry) -> list[str]:
    """Return whom an entry may name: the entities of the incidents that it is about, and its subject."""
    board, names = using.board, [one.subject]
    if one.subject.startswith("al-"):
        names = [board.holder(one.subject) or ""]
    elif one.subject.startswith("case-"):
        names = list(board.inside(one.subject))
    found = [one.subject] if one.kind == _LOOKED else []
    for name in names:
        with suppress(NotFoundError):
            found += map(str, board.standing(name).incident.entities)
    return found


def _subject(one: Entry, seen: Sight) -> str:
    """Return what an entry is about; who looked at personal data may have asked for it by somebody's name."""
    told = seen.masker is None or one.kind != _LOOKED or _ID.fullmatch(one.subject)
    return one.subject if told else WITHHELD


def _document(one: Entry, seen: Sight, about: list[str]) -> models.JournalEntry:
    chain = {"previous": one.previous, "hash": one.hash} if seen.masker is None else {}
    told: dict[str, Any] = {"payload": dict(one.payload), "reason": one.reason}
    if seen.masker is not None:
        event = one.payload.get("event")
        if isinstance(event, dict):
            about = [*about, *(f"person:{value}" for value in seen.masker.values(event))]
            told["payload"] = seen.alert(told["payload"])
        named = naming.addressed(naming.texts(told))
        told = seen.document(told, *seen.masker.of_entities([*about, *named]))
        if one.kind in _TYPED:
            typed = {name: WITHHELD for name in ("name", "query") if one.payload.get(name)}
            told = {"payload": {**told["payload"], **typed}, "reason": WITHHELD if one.reason else ""}
    return models.JournalEntry(
        seq=one.seq, at=to_iso(one.at), kind=one.kind, subject=_subject(one, seen), actor=one.actor,
        reason=told["reason"], payload=told["payload"], **chain,
    )  # fmt: skip

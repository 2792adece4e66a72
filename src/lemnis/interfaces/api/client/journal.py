"""Routes of journal, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class JournalEntry(TypedDict):
    """An entry of the journal; `hash` covers all of it and `previous`."""

    seq: int
    at: str
    kind: str
    subject: str
    actor: str
    reason: str
    payload: dict[str, Any]
    previous: NotRequired[str | None]
    hash: NotRequired[str | None]


class PageJournalEntry(TypedDict):
    """PageJournalEntry."""

    items: list[JournalEntry]
    next: NotRequired[str | None]


class JournalClient(Caller):
    """Routes of journal by their operations."""

    def list_journal(
        self,
        *,
        kind: list[str] | None = None,
        subject: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageJournalEntry:
        """List the journal's entries, the newest first; their hashes are told with a purpose alone."""
        found: PageJournalEntry = self.call(
            "GET",
            "/journal",
            query={"kind": kind, "subject": subject, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

"""Routes of cases, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Because, Problem


class AddingToCase(TypedDict):
    """Which incident a case is about, too."""

    incident: str
    reason: NotRequired[str]


class AssigningCase(TypedDict):
    """Who owns a case from now on."""

    owner: str


class Case(TypedDict):
    """The work file over some incidents. `version` grows with each change of it."""

    id: str
    title: str
    version: int
    owner: str
    open: bool
    incidents: list[str]
    opened: str
    by: str
    updated: str
    closed: NotRequired[str | None]
    closed_by: NotRequired[str | None]
    closed_because: NotRequired[str | None]
    notes: list[dict[str, Any]]


class NotingCase(TypedDict):
    """What is written down of a case."""

    text: str


class OpeningCase(TypedDict):
    """What a case is called, and why it is opened."""

    title: str
    reason: NotRequired[str]


class PageCase(TypedDict):
    """PageCase."""

    items: list[Case]
    next: NotRequired[str | None]


class CasesClient(Caller):
    """Routes of cases by their operations."""

    def list_cases(
        self,
        *,
        state: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageCase:
        """List the cases, the last opened first."""
        found: PageCase = self.call(
            "GET",
            "/cases",
            query={"state": state, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def create_cases(self, body: OpeningCase, *, key: str = "") -> Case:
        """Open a case; it is owned by who opens it."""
        found: Case = self.call("POST", "/cases", headers={"Idempotency-Key": key}, body=body)
        return found

    def show_cases(self, id: str, *, purpose: str = "") -> Case:
        """Show a case; its tag is for changes that are to be made only if nobody changed it meanwhile."""
        found: Case = self.call("GET", f"/cases/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

    def assign_cases(self, id: str, body: AssigningCase, *, if_match: str = "", key: str = "") -> Case:
        """Give a case an owner."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/assign",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def close_cases(self, id: str, body: Because, *, if_match: str = "", key: str = "") -> Case:
        """Close a case; refused while incidents in it are open."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/close",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def add_cases(self, id: str, body: AddingToCase, *, if_match: str = "", key: str = "") -> Case:
        """Put an incident into a case; it may be in several."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/incidents",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def remove_cases(
        self, id: str, incident: str, body: Because, *, if_match: str = "", key: str = ""
    ) -> Case:
        """Take an incident out of a case."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/incidents/{self.part(incident)}/remove",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def note_cases(self, id: str, body: NotingCase, *, key: str = "") -> Case:
        """Write a note to a case."""
        found: Case = self.call(
            "POST", f"/cases/{self.part(id)}/notes", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def reopen_cases(self, id: str, body: Because, *, if_match: str = "", key: str = "") -> Case:
        """Open a closed case again."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/reopen",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

"""Routes of evidence, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Because, Problem


class Evidence(TypedDict):
    """A piece of evidence: its digest, what it is, who has it, and every act on it."""

    id: str
    incident: str
    title: str
    holder: str
    custody: list[dict[str, Any]]


class HandingOver(TypedDict):
    """Why a package is made, and for whom, if it is handed on."""

    reason: str
    to: NotRequired[str]


class EvidenceClient(Caller):
    """Routes of evidence by their operations."""

    def list_evidence(self, id: str, *, purpose: str = "") -> list[Evidence]:
        """List an incident's evidence with every act on it, in the order in which it was collected."""
        found: list[Evidence] = self.call(
            "GET", f"/incidents/{self.part(id)}/evidence", headers={"X-Purpose": purpose}
        )
        return found

    def package_evidence(self, id: str, body: HandingOver, *, purpose: str = "") -> None:
        """Make and get the evidence package of an incident, which `lemnis incident verify` checks anywhere."""
        self.call(
            "POST", f"/incidents/{self.part(id)}/evidence/package", headers={"X-Purpose": purpose}, body=body
        )

    def read_evidence(self, id: str, digest: str, body: Because, *, purpose: str = "") -> None:
        """Get a piece of evidence as it was collected; that, and why, is in its chain of custody."""
        self.call(
            "POST",
            f"/incidents/{self.part(id)}/evidence/{self.part(digest)}/read",
            headers={"X-Purpose": purpose},
            body=body,
        )

"""Routes of playbooks, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class Answering(TypedDict):
    """What a run is answered."""

    step: str
    answer: str
    reason: NotRequired[str]


class Approved(TypedDict):
    """An approval: until when a run may begin, and how many are missing still."""

    approval: str
    digest: str
    actor: str
    expires: str
    missing: int
    people: list[str]


class Approving(TypedDict):
    """Why a plan may be run; `digest` repeats which one, so that nobody approves what they did not see."""

    digest: str
    reason: str


class Cancelling(TypedDict):
    """Why a run does nothing more."""

    reason: str


class PagePlan(TypedDict):
    """PagePlan."""

    items: list[Plan]
    next: NotRequired[str | None]


class PagePlaybook(TypedDict):
    """PagePlaybook."""

    items: list[Playbook]
    next: NotRequired[str | None]


class PageQuestion(TypedDict):
    """PageQuestion."""

    items: list[Question]
    next: NotRequired[str | None]


class PageRun(TypedDict):
    """PageRun."""

    items: list[Run]
    next: NotRequired[str | None]


class Plan(TypedDict):
    """A plan: exactly what would be done. Its digest is what is approved; a plan of another digest is not."""

    digest: str
    playbook: str
    incident: str
    by: str
    at: str
    undoes: str
    approvable: bool
    writes: bool
    given: list[str]
    quorum: int
    missing: int
    roles: list[str]
    people: list[str]
    actions: list[dict[str, Any]]
    program: list[dict[str, Any]]
    blast: list[dict[str, Any]]


class Planning(TypedDict):
    """For which incident a playbook is to be planned, and inputs by hand."""

    playbook: str
    incident: str
    inputs: NotRequired[dict[str, list[str]]]


class Playbook(TypedDict):
    """A playbook."""

    name: str
    title: str
    kind: str
    trigger: str
    inputs: list[str]


class Question(TypedDict):
    """What a run asks."""

    run: str
    step: str
    incident: str
    text: str
    role: str
    until: str


class Requested(TypedDict):
    """A run that was asked for and has not begun: `state` is what it waits for, `says` so for people."""

    id: str
    incident: str
    plan: str
    playbook: str
    undoes: str
    actor: str
    started: str
    finished: NotRequired[str | None]
    outcome: str
    waits_until: NotRequired[str | None]
    results: list[dict[str, Any]]
    state: Literal["begins", "waits_for_approval", "waits_for_serve"]
    says: str


class Run(TypedDict):
    """A run of a plan, with the outcome of each step so far."""

    id: str
    incident: str
    plan: str
    playbook: str
    undoes: str
    actor: str
    started: str
    finished: NotRequired[str | None]
    outcome: str
    waits_until: NotRequired[str | None]
    results: list[dict[str, Any]]


class PlaybooksClient(Caller):
    """Routes of playbooks by their operations."""

    def plans_playbooks(
        self,
        *,
        incident: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PagePlan:
        """List the plans, the newest first."""
        found: PagePlan = self.call(
            "GET",
            "/plans",
            query={"incident": incident, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def plan_playbooks(self, body: Planning, *, key: str = "", purpose: str = "") -> Plan:
        """Say exactly what a playbook would do about an incident: targets are read, nothing is changed."""
        found: Plan = self.call(
            "POST", "/plans", headers={"Idempotency-Key": key, "X-Purpose": purpose}, body=body
        )
        return found

    def show_plan_playbooks(self, digest: str, *, purpose: str = "") -> Plan:
        """Show a plan: what would be done to what, how far its approval is, what depends on its targets."""
        found: Plan = self.call("GET", f"/plans/{self.part(digest)}", headers={"X-Purpose": purpose})
        return found

    def approve_playbooks(self, digest: str, body: Approving, *, key: str = "") -> Approved:
        """Approve exactly this plan, for a while. The body repeats its digest: another plan is not approved."""
        found: Approved = self.call(
            "POST", f"/plans/{self.part(digest)}/approve", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def run_playbooks(self, digest: str, *, key: str = "") -> Requested:
        """Ask for a run of a plan, which `lemnis serve` begins once it is approved."""
        found: Requested = self.call(
            "POST", f"/plans/{self.part(digest)}/run", headers={"Idempotency-Key": key}
        )
        return found

    def list_playbooks(self, *, limit: int | None = None, after: str | None = None) -> PagePlaybook:
        """List the playbooks by name."""
        found: PagePlaybook = self.call("GET", "/playbooks", query={"limit": limit, "after": after})
        return found

    def questions_playbooks(
        self, *, limit: int | None = None, after: str | None = None, purpose: str = ""
    ) -> PageQuestion:
        """List what runs ask, what is to be answered soonest first."""
        found: PageQuestion = self.call(
            "GET", "/questions", query={"limit": limit, "after": after}, headers={"X-Purpose": purpose}
        )
        return found

    def runs_playbooks(
        self,
        *,
        incident: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageRun:
        """List the runs, the newest first; those that wait for approval too."""
        found: PageRun = self.call(
            "GET",
            "/runs",
            query={"incident": incident, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def show_run_playbooks(self, id: str, *, purpose: str = "") -> Run:
        """Show a run with the outcome of each step so far."""
        found: Run = self.call("GET", f"/runs/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

    def answer_playbooks(self, id: str, body: Answering, *, key: str = "") -> Run:
        """Answer what a run asks in a step."""
        found: Run = self.call(
            "POST", f"/runs/{self.part(id)}/answers", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def cancel_playbooks(self, id: str, body: Cancelling, *, key: str = "") -> Run:
        """Let a run do nothing more: what it has begun is settled, then it ends."""
        found: Run = self.call(
            "POST", f"/runs/{self.part(id)}/cancel", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def undo_playbooks(self, id: str, *, key: str = "", purpose: str = "") -> Plan:
        """Plan to take back what a run did, last first; the plan is approved and run as any other."""
        found: Plan = self.call(
            "POST", f"/runs/{self.part(id)}/undo", headers={"Idempotency-Key": key, "X-Purpose": purpose}
        )
        return found

"""What the journal keeps of playbooks: plans, approvals, runs and effects, and how they are read back.

All of it is about the incident (the entries' subject), so an incident's timeline shows it. A plan's entry
holds the definitions of its actions too: what was approved is what runs, whatever becomes of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lemnis.content.schemas.action import Action
from lemnis.contracts import kinds
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.ids import Json, canonical, digest
from lemnis.contracts.journal import Entry, Journal, NewEntry
from lemnis.contracts.response import EffectClass, Plan, PlannedAction

COLLECT = "lemnis.collect_evidence"
CONNECTION = "@connection"
"""The argument that names the connection and its address."""
UNDO = ".undo"
"""What the name of an action ends in that takes another one back."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what is needed to run it: which actions go together, and what they are.

    ``groups`` are lists of places in the plan's actions, done one group after the other; ``carry_on`` are
    the steps whose failure stops nothing; ``undoes`` is the run that this plan takes back; ``given`` are
    the inputs that were set by hand.
    """

    plan: Plan
    groups: tuple[tuple[int, ...], ...]
    definitions: Mapping[str, Action]
    carry_on: frozenset[str] = frozenset()
    mitigates: bool = False
    expires_min: int = 60
    undoes: str = ""
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Say whether anything in it has an effect, so that approval is needed."""
        return any(one.effect is not EffectClass.READ for one in self.plan.actions)

    @property
    def refusals(self) -> list[PlannedAction]:
        """The refused actions that would stop the run; all of them if there is nothing else to do."""
        refused = [one for one in self.plan.actions if one.refused]
        if len(refused) == len(self.plan.actions):
            return refused
        return [one for one in refused if one.step not in self.carry_on]

    def definition(self, action: PlannedAction) -> Action:
        """Return what an action is."""
        return self.definitions[action.action.removesuffix(UNDO)]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the journal tells it; ``begun`` has the keys of the effects that were about to be."""

    id: str
    incident_id: str
    plan: str
    playbook: str
    undoes: str
    started: int
    actor: str
    finished: int | None = None
    outcome: str = "unfinished"
    results: tuple[Mapping[str, Any], ...] = ()
    begun: frozenset[str] = frozenset()


def planned_key(plan_digest: str) -> str:
    """Return the key of a plan's entry."""
    return f"{kinds.PLANNED}:{plan_digest}"


def planned_entry(planned: Planned, *, actor: str) -> NewEntry:
    """Write a plan down; the same plan is written once."""
    plan = planned.plan
    payload: dict[str, Json] = {
        "digest": plan.digest,
        "playbook": plan.playbook,
        "content": plan.content_digest,
        "actions": [action_json(one) for one in plan.actions],
        "groups": [list(group) for group in planned.groups],
        "definitions": {
            name: one.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for name, one in planned.definitions.items()
        },
        "carry_on": sorted(planned.carry_on),
        "mitigates": planned.mitigates,
        "expires_min": planned.expires_min,
        "undoes": planned.undoes,
        "given": {name: list(texts) for name, texts in planned.given.items()},
    }
    count = len(plan.actions)
    what = f"undo {planned.undoes}" if planned.undoes else plan.playbook
    reason = f"planned {what}: {count} action{'' if count == 1 else 's'}"
    return NewEntry(kinds.PLANNED, plan.incident_id, planned_key(plan.digest), payload, actor, reason)


def read_planned(entry: Entry) -> Planned:
    """Read a plan back."""
    p: Mapping[str, Any] = entry.payload
    actions = tuple(
        PlannedAction(
            a["step"], a["action"], a["target"], EffectClass(a["effect"]), a["arguments"], a["undo"],
            a["before"], a["refused"],
        )
        for a in p["actions"]
    )  # fmt: skip
    return Planned(
        plan=Plan(p["playbook"], entry.subject, actions, p["content"]),
        groups=tuple(tuple(group) for group in p["groups"]),
        definitions={name: Action.model_validate(one) for name, one in p["definitions"].items()},
        carry_on=frozenset(p["carry_on"]),
        mitigates=p["mitigates"],
        expires_min=p["expires_min"],
        undoes=p["undoes"],
        given=p["given"],
    )


def find_plan(journal: Journal, wanted: str) -> tuple[Planned, Entry]:
    """Return a plan by its digest or the beginning of it (``sha256:`` may be left out).

    Raises NotFoundError if there is none, or more than one.
    """
    entry = journal.get(planned_key(wanted))
    if entry is None:
        start = wanted if wanted.startswith("sha256:") else f"sha256:{wanted}"
        short = len(start) < len("sha256:") + 8
        found = [] if short else [
            one for one in journal.entries(kind=kinds.PLANNED) if str(one.payload["digest"]).startswith(start)
        ]  # fmt: skip
        if len(found) != 1:
            what = "is the beginning of several plans" if found else "is no plan"
            raise NotFoundError(
                f"{wanted!r} {what}",
                fix="`lemnis playbook plan` prints a plan's digest; give 8 digits at least",
            )
        entry = found[0]
    return read_planned(entry), entry


def action_json(one: PlannedAction) -> dict[str, Json]:
    """Return a planned action as JSON."""
    return {
        "step": one.step, "action": one.action, "target": one.target, "effect": one.effect.value,
        "arguments": dict(one.arguments), "undo": one.undo, "before": dict(one.before),
        "refused": one.refused,
    }  # fmt: skip


def effect_key(run: str, one: PlannedAction) -> str:
    """Return the key of an effect: run, step, target and arguments decide it; 32 hex digits."""
    whole = canonical([run, one.step, one.action, one.target, dict(one.arguments)])
    return digest(whole)[7:39]


def runs(journal: Journal, incident: str | None = None) -> Iterator[Run]:
    """Yield the runs, oldest first, of one incident or all."""
    for entry in journal.entries(kind=kinds.STARTED, subject=incident):
        yield _run(journal, entry)


def find_run(journal: Journal, wanted: str) -> Run:
    """Return a run by its id; raises NotFoundError."""
    entry = journal.get(f"{kinds.STARTED}:{wanted}")
    if entry is None:
        raise NotFoundError(f"no run {wanted!r}", fix="`lemnis playbook runs` lists them")
    return _run(journal, entry)


def _run(journal: Journal, entry: Entry) -> Run:
    p: Mapping[str, Any] = entry.payload
    end = journal.get(f"{kinds.FINISHED}:{p['run']}")
    told: dict[str, list[Mapping[str, Any]]] = {
        kind: [
            one.payload
            for one in journal.entries(kind=kind, subject=entry.subject, after=entry.seq)
            if one.payload["run"] == p["run"]
        ]
        for kind in (kinds.INTENT, kinds.RESULT)
    }
    return Run(
        id=p["run"], incident_id=entry.subject, plan=p["plan"], playbook=p["playbook"], undoes=p["undoes"],
        started=entry.at, actor=entry.actor, finished=end.at if end else None,
        outcome=str(end.payload["outcome"]) if end else "unfinished",
        results=tuple(told[kinds.RESULT]), begun=frozenset(str(one["key"]) for one in told[kinds.INTENT]),
    )  # fmt: skip

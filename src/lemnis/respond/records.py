"""What the journal keeps of playbooks: plans, approvals, runs and effects, and how they are read back.

All of it is about the incident (the entries' subject), so an incident's timeline shows it. A plan's entry
holds the definitions of its actions too: what was approved is what runs, whatever becomes of the files.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Approval, Playbook
from lemnis.contracts import kinds
from lemnis.contracts.errors import NotFoundError, RefusedError
from lemnis.contracts.ids import Json, canonical, digest
from lemnis.contracts.journal import Entry, Journal, NewEntry
from lemnis.contracts.response import (
    EffectClass,
    Node,
    Plan,
    PlannedAction,
    node_json,
    read_node,
)

REQUESTED = "playbook.requested"
WAITING = "waiting for approval"
"""The outcome of a run that was asked for and has not begun."""
COLLECT = "lemnis.collect_evidence"
ASK = "lemnis.ask"
CONDITION = "lemnis.condition"
PYTHON = "lemnis.python:"
"""Actions of Lemnis itself; the name of the function follows the last one."""
SKIPPED: Mapping[str, Json] = MappingProxyType({"outcome": "skipped", "error": ""})
"""What conditions see of a step that was not done."""
CONNECTION = "@connection"
"""The argument that names the connection and its address."""
_OF_RUNS = frozenset({kinds.STARTED, REQUESTED, kinds.RESULT, kinds.INTENT, kinds.FINISHED})
UNDO = ".undo"
"""What the name of an action ends in that takes another one back."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what is needed to run it.

    ``carry_on`` are the steps whose failure stops nothing; ``undoes`` is the run that this plan takes back;
    ``given`` are the inputs that were set by hand, ``trigger`` what began it. ``library`` is the digest of
    all content when it was made; the plan itself is bound to what it is made of. ``taken`` are the branches
    that were decided while planning, as step and branch; it is not kept.
    """

    plan: Plan
    definitions: Mapping[str, Action]
    carry_on: frozenset[str] = frozenset()
    mitigates: bool = False
    undoes: str = ""
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trigger: Mapping[str, Json] = field(default_factory=dict)
    library: str = ""
    taken: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def terms(self) -> Approval:
        """Who may approve it, and until when."""
        fields = set(Approval.model_fields)
        return Approval.model_validate({key: one for key, one in self.plan.terms.items() if key in fields})

    @property
    def deadline_min(self) -> int:
        """After so many minutes a run of it is stopped."""
        return int(str(self.plan.terms.get("deadline_min", 24 * 60)))

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
    """A run as the journal tells it; ``begun`` has the keys of the effects that were about to be.

    ``waits_until`` is when a run that waits goes on at the latest, 0 if it does not wait.
    """

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
    waits_until: int = 0


def made_of(playbooks: Mapping[str, Playbook], definitions: Mapping[str, Action]) -> str:
    """Return the digest of what a plan is made of: its playbooks and actions, and no other content."""
    parts = [
        {
            name: one.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for name, one in sorted(some.items())
        }
        for some in (playbooks, definitions)
    ]
    return digest(canonical(parts))


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
        "program": [node_json(node) for node in plan.program],
        "terms": dict(plan.terms),
        "definitions": {
            name: one.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for name, one in planned.definitions.items()
        },
        "carry_on": sorted(planned.carry_on),
        "mitigates": planned.mitigates,
        "undoes": planned.undoes,
        "given": {name: list(texts) for name, texts in planned.given.items()},
        "trigger": dict(planned.trigger),
        "library": planned.library,
    }
    count = len(plan.actions)
    what = f"undo {planned.undoes}" if planned.undoes else plan.playbook
    reason = f"planned {what}: {count} action{'' if count == 1 else 's'}"
    return NewEntry(kinds.PLANNED, plan.incident_id, planned_key(plan.digest), payload, actor, reason)


def read_planned(entry: Entry) -> Planned:
    """Read a plan back; raises RefusedError for one that an older version wrote."""
    p: Mapping[str, Any] = entry.payload
    if "program" not in p:
        raise RefusedError(
            "an older version made this plan: it cannot be run as it was approved", fix="plan again"
        )
    actions = tuple(map(_read_action, p["actions"]))
    program: tuple[Node, ...] = tuple(map(read_node, p["program"]))
    return Planned(
        plan=Plan(p["playbook"], entry.subject, actions, p["content"], program, p["terms"]),
        definitions={name: Action.model_validate(one) for name, one in p["definitions"].items()},
        carry_on=frozenset(p["carry_on"]),
        mitigates=p["mitigates"],
        undoes=p["undoes"],
        given=p["given"],
        trigger=p["trigger"],
        library=p["library"],
    )


def _read_action(a: Mapping[str, Any]) -> PlannedAction:
    return PlannedAction(
        a["step"], a["action"], a["target"], EffectClass(a["effect"]), a["arguments"], a["undo"],
        a["before"], a["refused"], a["item"], a["turn"], a["late"], a["ttl_min"], a["timeout_s"],
        tuple(a["touches"]),
    )  # fmt: skip


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
        "refused": one.refused, "item": one.item, "turn": one.turn, "late": one.late,
        "ttl_min": one.ttl_min, "timeout_s": one.timeout_s, "touches": list(one.touches),
    }  # fmt: skip


def effect_key(run: str, one: PlannedAction) -> str:
    """Return the key of an effect: run, step, turn, target and arguments decide it; 32 hex digits."""
    return digest(canonical([run, *one.identity]))[7:39]


def runs(journal: Journal, incident: str | None = None) -> Iterator[Run]:
    """Yield the runs, oldest first, of one incident or all; also those that wait for approval.

    Of the journal only what is about runs is read, and that once.
    """
    began: dict[str, Entry] = {}
    results: dict[str, list[Mapping[str, Any]]] = {}
    begun: dict[str, set[str]] = {}
    ended: dict[str, Entry] = {}
    if incident is None:
        streams = [journal.entries(kind=kind) for kind in sorted(_OF_RUNS)]
        entries = heapq.merge(*streams, key=lambda entry: entry.seq)
    else:
        entries = (entry for entry in journal.entries(subject=incident) if entry.kind in _OF_RUNS)
    for entry in entries:
        run = str(entry.payload["run"])
        if entry.kind in {kinds.STARTED, REQUESTED}:
            began[run] = entry
        elif entry.kind == kinds.RESULT:
            results.setdefault(run, []).append(entry.payload)
        elif entry.kind == kinds.INTENT:
            begun.setdefault(run, set()).add(str(entry.payload["key"]))
        else:
            ended[run] = entry
    for run, entry in began.items():
        yield _run(entry, ended.get(run), results.get(run, []), begun.get(run, set()))


def find_run(journal: Journal, wanted: str) -> Run:
    """Return a run by its id; raises NotFoundError."""
    entry = journal.get(f"{kinds.STARTED}:{wanted}")
    if entry is None:
        waiting = (one for one in journal.entries(kind=REQUESTED) if one.payload["run"] == wanted)
        entry = next(waiting, None)
    if entry is None:
        raise NotFoundError(f"no run {wanted!r}", fix="`lemnis playbook runs` lists them")
    told: dict[str, list[Mapping[str, Any]]] = {
        kind: [
            one.payload
            for one in journal.entries(kind=kind, subject=entry.subject, after=entry.seq)
            if one.payload["run"] == wanted
        ]
        for kind in (kinds.INTENT, kinds.RESULT)
    }
    begun = {str(one["key"]) for one in told[kinds.INTENT]}
    return _run(entry, journal.get(f"{kinds.FINISHED}:{wanted}"), told[kinds.RESULT], begun)


def unfinished(journal: Journal, planned: Planned) -> str | None:
    """Return the run of a plan that has begun and not ended, if there is one."""
    found = (run for run, end in _of_plan(journal, planned) if end is None)
    return next(found, None)


def ended(journal: Journal, planned: Planned) -> Run | None:
    """Return the last run of a plan that has ended, if there is one."""
    found = [run for run, end in _of_plan(journal, planned) if end is not None]
    return find_run(journal, found[-1]) if found else None


def open_request(journal: Journal, planned: Planned) -> str | None:
    """Return the run of a plan that waits for approval, if there is one."""
    for entry in journal.entries(kind=REQUESTED, subject=planned.plan.incident_id):
        run = str(entry.payload["run"])
        over = [journal.get(f"{kind}:{run}") for kind in (kinds.STARTED, kinds.FINISHED)]
        if entry.payload["plan"] == planned.plan.digest and not any(over):
            return run
    return None


def _of_plan(journal: Journal, planned: Planned) -> Iterator[tuple[str, Entry | None]]:
    for entry in journal.entries(kind=kinds.STARTED, subject=planned.plan.incident_id):
        if entry.payload["plan"] == planned.plan.digest:
            run = str(entry.payload["run"])
            yield run, journal.get(f"{kinds.FINISHED}:{run}")


def _run(entry: Entry, end: Entry | None, results: Sequence[Mapping[str, Any]], begun: set[str]) -> Run:
    p: Mapping[str, Any] = entry.payload
    still = WAITING if entry.kind == REQUESTED else "unfinished"
    return Run(
        id=p["run"], incident_id=entry.subject, plan=p["plan"], playbook=p["playbook"], undoes=p["undoes"],
        started=entry.at, actor=entry.actor, finished=end.at if end else None,
        outcome=str(end.payload["outcome"]) if end else still, results=tuple(results), begun=frozenset(begun),
    )  # fmt: skip

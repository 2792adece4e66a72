"""Plans to take back what a run did, last first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from lemnis.contracts.response import Act, EffectClass, Plan, PlannedAction
from lemnis.respond import effects, records
from lemnis.respond.answers import PRESENT
from lemnis.respond.building import look
from lemnis.respond.client import Reach
from lemnis.respond.records import Planned, Run


def plan_undo(
    run: Run,
    planned: Planned,
    reach: Reach,
    *,
    content_digest: str,
    sleep: Callable[[float], None],
    only: Collection[str] | None = None,
) -> Planned:
    """Plan to take back what a run did, last first; what is not there any more is left out.

    ``only`` are the keys of the effects to take back; all if None. What is refused (somebody has changed it
    since) does not keep the rest from being taken back.
    """
    acts: list[PlannedAction] = []
    results = {str(result["key"]): result for result in run.results}
    context = effects.Context(run.id, run.incident_id, run.started, "", planned)
    for one in reversed(planned.plan.actions):
        result = results.get(records.effect_key(run.id, one))
        if result is None or not _ours(run, one, result):
            continue
        if only is not None and result["key"] not in only:
            continue
        known = effects.values(context, one, str(result["key"]))
        of_run = {"@effect": known["effect.key"], "@run": run.id, "@started": known["run.started"]}
        back = PlannedAction(
            one.step, one.action + records.UNDO, one.target, one.effect, {**one.arguments, **of_run},
            turn=one.turn, touches=one.touches,
        )  # fmt: skip
        before, refused = look(planned.definition(one), back, known, reach, sleep)
        if before.get("state") == PRESENT or refused:
            acts.append(replace(back, before=before, refused=refused))
    names = {one.action.removesuffix(records.UNDO) for one in acts}
    definitions = {name: planned.definitions[name] for name in sorted(names)}
    made_of = records.made_of({}, definitions)
    terms = {name: value for name, value in planned.plan.terms.items() if name != "known"}
    program = tuple(Act(number) for number in range(len(acts)))
    return Planned(
        plan=Plan(planned.plan.playbook, run.incident_id, tuple(acts), made_of, program, terms),
        definitions=definitions,
        carry_on=frozenset(one.step for one in acts if one.refused),
        undoes=run.id,
        library=content_digest,
    )


def _ours(run: Run, one: PlannedAction, result: Mapping[str, Any]) -> bool:
    """Say whether an effect is this run's to take back: it is, or it was begun and its end is not known."""
    unclear = result["key"] in run.begun and result["outcome"] not in {"done", "already"}
    back = one.effect is EffectClass.REVERSIBLE and not one.action.endswith(records.UNDO)
    return back and (bool(result["ours"]) or unclear)

"""Conditions while planning: decided where everything is known, else left in the plan for the run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lemnis.content.schemas.playbook import Condition
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import InputError
from lemnis.respond import expressions, rego
from lemnis.respond.building import Building, Scope
from lemnis.respond.facts import Chosen, Facts


def known(facts: Facts, chosen: Mapping[str, Chosen], many: Mapping[str, bool]) -> dict[str, Any]:
    """Return what conditions know from the beginning; see the schema's text for the names."""
    entities: dict[str, list[str]] = {}
    for one in facts.entities:
        entities.setdefault(one.kind.value, []).append(one.value)
    inputs: dict[str, Any] = {}
    for name, found in chosen.items():
        values = [{"value": one.text, **one.groups} for one in found.values]
        inputs[name] = values if many[name] else (values[0] if values else {})
    trigger = {key: one for key, one in facts.trigger.items() if not key.startswith("@")}
    return {
        "severity": int(facts.severity), "incident": {"id": facts.incident_id, "title": facts.title},
        "entities": entities, "trigger": trigger, **inputs,
    }  # fmt: skip


def decide(condition: Condition, scope: Scope, making: Building) -> bool | str:
    """Say whether a condition holds; what depends on how the plan runs comes back as a CEL expression.

    A question in Rego that is left stands in it as a name; ``making.rego`` keeps what it asks. Raises
    ExpressionError for a condition that is not valid or has no value.
    """
    if condition.has is not None:
        return bool(scope.chosen[condition.has].values)
    if condition.severity_at_least is not None:
        return making.facts.severity >= Severity[condition.severity_at_least.upper()]
    if condition.cel is not None:
        return _expression(condition.cel, scope)
    if condition.rego is not None or condition.policy is not None:
        return _question(asked(condition, making.policies, scope.playbook.inputs), scope, making)
    return _together(condition, scope, making)


def _together(condition: Condition, scope: Scope, making: Building) -> bool | str:
    """Decide what is made of other conditions."""
    if condition.no is not None:
        inner = decide(condition.no, scope, making)
        return f"!({inner})" if isinstance(inner, str) else not inner
    parts = condition.all if condition.all is not None else condition.any or ()
    ends = condition.all is None  # one true part decides an `any`, one false part an `all`
    decided = [decide(part, scope, making) for part in parts]
    if ends in [one for one in decided if isinstance(one, bool)]:
        return ends
    left = [f"({one})" for one in decided if isinstance(one, str)]
    return (" || " if ends else " && ").join(left) if left else not ends


def holds(condition: Condition, values: Mapping[str, Any], policies: Mapping[str, str]) -> bool:
    """Say whether a trigger's condition holds; raises ExpressionError as ``decide`` does."""
    if condition.severity_at_least is not None:
        return bool(values["severity"] >= Severity[condition.severity_at_least.upper()])
    if condition.cel is not None:
        return expressions.holds(condition.cel, values)
    if condition.rego is not None or condition.policy is not None:
        question = asked(condition, policies)
        rego.check(question, rego.shape(None, (), {}))
        return rego.holds(question, values)
    if condition.no is not None:
        return not holds(condition.no, values, policies)
    said = (holds(one, values, policies) for one in condition.all or condition.any or ())
    return all(said) if condition.all is not None else any(said)


def asked(condition: Condition, policies: Mapping[str, str], inputs: Collection[str] = ()) -> rego.Question:
    """Return what a condition in Rego asks; raises InputError for a policy that there is not."""
    if condition.rego is not None:
        return rego.of_body(condition.rego, inputs)
    name = str(condition.policy)
    if name not in policies:
        raise InputError(f"there is no policy {name}", fix="content/policies/NAME, with `stages: [playbook]`")
    return rego.of_policy(name, policies[name], inputs)


def text(expression: str, scope: Scope) -> tuple[str, bool]:
    """Return the text that an expression gives, and True; or itself and False, if only a run knows."""
    if expressions.knows(expression, _names(scope)):
        return expressions.chosen(expression, _values(scope)), True
    expressions.check(expression, {*_names(scope), *scope.later}, gives=expressions.TEXT)
    return expression, False


def _expression(cel: str, scope: Scope) -> bool | str:
    if expressions.knows(cel, _names(scope)):
        return expressions.holds(cel, _values(scope))
    expressions.check(cel, {*_names(scope), *scope.later})
    return cel


def _question(question: rego.Question, scope: Scope, making: Building) -> bool | str:
    names = {*_names(scope), *scope.later}
    rego.check(question, rego.shape(scope.playbook, names, making.actions))
    steps = rego.steps_of(question)
    if scope.later if steps is None else steps & set(scope.later):
        making.rego[question.name] = question
        return question.name
    return rego.holds(question, _values(scope))


def _values(scope: Scope) -> dict[str, Any]:
    return {**scope.known, "turn": scope.turn}


def _names(scope: Scope) -> set[str]:
    return {*scope.known, "turn"}

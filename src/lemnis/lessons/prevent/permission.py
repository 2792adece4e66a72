"""A permission in a cloud that was used and not needed: refused in the policy that grants it."""

from __future__ import annotations

from lemnis.contracts.findings import Kind
from lemnis.lessons.prevent import setting
from lemnis.lessons.prevent.base import Drawn, Grant, NewCheck, Traced, fails, literal

NAME = "cloud permission"
_CONTROLS = ("NIST.800-53.AC-6", "CWE-269")
_RULES = ("iam_", "aws_iam", "gcp_iam", "azure_role")


def recognise(traced: Traced, name: str) -> Drawn | str:
    """Draw a check over policies from the action that was called; else from a finding about a policy."""
    grant = traced.grant
    if grant is not None and ":" in grant.action:
        says = f"a policy that allows {grant.action} on every resource"
        return setting.new(NAME, traced, name, _check(grant), says=says)
    found = [one for one in traced.findings if one.kind is Kind.CONFIG and one.rule_id.startswith(_RULES)]
    if found:
        return setting.known(NAME, found, _CONTROLS)
    if grant is not None:
        return f"{grant.action!r} is no action of a policy (service:Action)"
    return "nothing says which action of a cloud was allowed in excess"


def _check(one: Grant) -> NewCheck:
    """Refuse the action, its service and everything, allowed on ``*`` without a condition."""
    service, _, called = one.action.partition(":")
    actions = sorted({one.action, f"{service}:*", "*", "*:*"})
    other = f"{service}:{'Get' if called != 'Get' else 'List'}Another"
    narrow = one.resource if one.resource not in ("", "*") else f"arn:aws:{service}:::one"

    def allowing(action: str, resource: str) -> dict[str, object]:
        return {
            "statements": [
                {
                    "effect": "Allow", "actions": [action], "resources": [resource], "principals": [],
                    "conditions": False, "all_but": False,
                }
            ]
        }  # fmt: skip

    return NewCheck(
        title=f"Policy allows {one.action} on every resource",
        kinds=("iam.policy",),
        why="An incident came of this permission, which its holder did not need.",
        fix="List the actions and resources that are needed.",
        body=f"""actions := {literal(list(actions))}

{fails('["statements", n]', 'sprintf("%s on every resource", [action])')}
    some i, one in input.resources
    some n, statement in one.statements
    statement.effect == "Allow"
    not statement.conditions == true
    "*" in statement.resources
    some action in statement.actions
    action in actions
}}""",
        fails=(allowing(one.action, "*"), allowing(f"{service}:*", "*")),  # type: ignore[arg-type]
        passes=(allowing(one.action, narrow), allowing(other, "*")),  # type: ignore[arg-type]
        unknown=("statements", 0, "actions"),
        cwes=(269,),
        controls=("NIST.800-53.AC-6",),
    )

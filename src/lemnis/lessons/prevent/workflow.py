"""What a workflow lets others do: an action whose tag moved, a token with rights that it needs not."""

from __future__ import annotations

import re
from dataclasses import replace

from lemnis.contracts.findings import Kind
from lemnis.lessons.prevent import setting
from lemnis.lessons.prevent.base import Action, Drawn, NewCheck, Right, Traced, fails, literal

NAME = "workflow"
_CONTROLS = ("OpenSSF.Scorecard.Pinned-Dependencies", "OWASP.CICD-SEC-3")
_FOLDER = ".github/workflows/"
_USES = re.compile(r"^\s*(?:-\s+)?uses:\s*[\"']?(?P<name>[\w.-]+/[\w./-]+)@(?P<ref>[\w./-]+)")
_RIGHTS = (
    "actions|attestations|checks|contents|deployments|discussions|id-token|issues|models|packages|pages|"
    "pull-requests|repository-projects|security-events|statuses"
)
_WRITES = re.compile(rf"^\s*(?P<scope>{_RIGHTS}):\s*[\"']?write[\"']?\s*(?:#.*)?$")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_GOOD = "0" * 40  # stands for a commit that was looked at, in the example that passes


def recognise(traced: Traced, name: str) -> Drawn | str:
    """Draw a gate from an action or a right in a workflow; else from the rule that found the place in it.

    An action is refused by name at the ref that ran, and at whatever can be moved there (tags, branches).
    """
    inside = traced.path.startswith(_FOLDER)
    action = traced.action or (_action(traced.text) if inside else None)
    if action is not None:
        return _by(traced, name, _action_check(action), f"a workflow that uses {action.name} at what moves")
    right = traced.right or (_right(traced.text) if inside else None)
    if right is not None:
        says = f"a workflow whose token may write {right.scope}"
        return _by(traced, name, _right_check(right, traced.path), says)
    found = [one for one in traced.findings if one.kind is Kind.CONFIG and one.path.startswith(_FOLDER)]
    if found:
        return setting.known(NAME, found, _CONTROLS)
    return "no action, right or finding in a workflow"


def _by(traced: Traced, name: str, check: NewCheck, says: str) -> Drawn:
    drawn = setting.new(NAME, traced, name, check, says=says)
    return replace(drawn, because=f"{traced.path or 'the workflow'} names it, and is part of the change")


def _action(text: str) -> Action | None:
    found = _USES.match(text)
    return Action(found["name"], found["ref"]) if found else None


def _right(text: str) -> Right | None:
    found = _WRITES.match(text)
    return Right(found["scope"]) if found else None


def _action_check(one: Action) -> NewCheck:
    """Refuse the actions of a repository at the commit that ran, and unless that was named, at what moves.

    Names of owners and repositories are the same whatever their case (GitHub).
    """
    repository = "/".join(one.name.split("/")[:2]).lower()
    pinned = bool(_COMMIT.fullmatch(one.ref))
    ref, commit = one.ref or "main", one.ref if pinned else one.commit

    def uses(name: str, ref: str) -> dict[str, object]:
        known = bool(_COMMIT.fullmatch(ref))
        return {"uses": {"kind": "action", "action": name, "ref": ref, "pinned": known, "own": False}}

    def rule(wanted: str) -> str:
        return f"""{fails('["uses"]', 'sprintf("%s@%s", [one.uses.action, one.uses.ref])')}
    some i, one in input.resources
    startswith(sprintf("%s/", [lower(one.uses.action)]), {literal(repository + "/")})
    {wanted}
}}"""

    rules = [] if pinned else [rule("one.uses.pinned == false")]
    rules += [rule(f"one.uses.ref == {literal(commit)}")] if commit else []
    bad = [uses(one.name, ref), uses(repository.upper(), ref), uses(f"{repository}/below", ref)]
    bad += [uses(one.name, commit)] if commit and not pinned else []
    good = [
        uses(one.name, _GOOD),
        uses(repository.partition("/")[0] + "/another", ref),
        uses(f"{repository}-x", ref),
    ]
    return NewCheck(
        title=f"{one.name} is used at {'a bad commit' if pinned else 'a ref that moves'}",
        kinds=("github.step", "github.job"),
        why="An incident came of what this action did at that ref.",
        fix="Name a commit that was looked at since, or take the action out.",
        body="\n\n".join(rules),
        fails=tuple(bad),  # type: ignore[arg-type]
        passes=tuple(good),  # type: ignore[arg-type]
        unknown=("uses",),
        cwes=(829,),
        controls=_CONTROLS,
    )


def _right_check(one: Right, path: str) -> NewCheck:
    """Refuse the right, and the right to everything."""

    def given(everything: str, *writes: str) -> dict[str, object]:
        return {"permissions": {"all": everything, "writes": list(writes)}}

    beside = "pages" if one.scope != "pages" else "checks"
    return NewCheck(
        title=f"A job's token may write {one.scope}",
        kinds=("github.job",),
        why=f"An incident came of a token with this right ({path or 'in a workflow'}).",
        fix=f"Say permissions without {one.scope}: write.",
        body=f"""{fails('["permissions"]', literal(one.scope + ": write"))}
    some i, one in input.resources
    {literal(one.scope)} in one.permissions.writes
}}

{fails('["permissions"]', '"everything may be written"')}
    some i, one in input.resources
    one.permissions.all == "write"
}}""",
        fails=(given("listed", one.scope), given("write")),  # type: ignore[arg-type]
        passes=(given("listed", beside), given("read")),  # type: ignore[arg-type]
        unknown=("permissions",),
        cwes=(250,),
        controls=("OpenSSF.Scorecard.Token-Permissions", "OWASP.CICD-SEC-5"),
    )

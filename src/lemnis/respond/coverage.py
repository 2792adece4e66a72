"""Which branches of a playbook were taken. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from lemnis.content.schemas.playbook import Playbook, Step

Branch = tuple[str, str]
"""A step's id and the branch: ``then``, ``else``, ``case x``, ``default``, ``do``."""
_ELSE = {"if": "else", "switch": "default"}


def branches(playbook: Playbook) -> list[Branch]:
    """Return every branch of a playbook's own steps, in order."""
    return [(step.id, name) for step in playbook.walk() for name in _names(step)]


def covered(playbook: Playbook, taken: Iterable[tuple[str, str]]) -> set[Branch]:
    """Return the branches that were taken, from what plans and runs say of themselves."""
    kinds = {step.id: step.kind for step in playbook.walk()}
    found = {(step, _name(kinds[step], branch)) for step, branch in taken if step in kinds}
    return found & set(branches(playbook))


def _names(step: Step) -> list[str]:
    if step.kind == "if":
        return ["then", "else"]
    if step.kind == "switch":
        return [*(f"case {name}" for name in step.cases), "default"]
    return ["do"] if step.kind == "while" else []


def _name(kind: str, branch: str) -> str:
    if branch == "else":
        return _ELSE.get(kind, branch)
    return {"if": "then", "switch": f"case {branch}"}.get(kind, branch)

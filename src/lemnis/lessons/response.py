"""The playbook that a lesson drafts where the response was slow: it calls the one that contained. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from lemnis.content.schemas.playbook import Playbook
from lemnis.content.schemas.playbook_tests import Case, PlaybookTests
from lemnis.contracts.clock import span
from lemnis.contracts.ids import Json
from lemnis.lessons.compile import folder, rule_id

STEP = "contain"
"""The one step of a drafted playbook: the call of the one that contained."""


@dataclass(frozen=True, slots=True)
class Response:
    """How an incident was contained: ``late`` is by how much too late (ms), 0 if in time or not yet due.

    ``playbook`` is the one that contained it first, empty if none did; ``by_hand``: a person began that.
    """

    late: int = 0
    playbook: str = ""
    by_hand: bool = False

    @property
    def slow(self) -> bool:
        """Say whether a playbook that begins with the lesson's alert would have been there sooner."""
        return bool(self.playbook) and (self.late > 0 or self.by_hand)

    @property
    def told(self) -> str:
        """Say in words why it was slow, or why nothing is drafted."""
        if not self.playbook:
            late = "it was not contained in time, and " if self.late else ""
            return f"{late}no playbook contained it: there is none to begin sooner"
        if not self.slow:
            return f"{self.playbook} began by itself and contained it in time"
        how = "was begun by hand" if self.by_hand else "began by itself"
        when = f"{span(self.late)} too late" if self.late else "in time"
        return f"{self.playbook} {how} and contained it {when}"


def cases_of(tests: PlaybookTests) -> list[Case]:
    """Return the cases that can be asked of the call: those whose inputs are all taken from the incident."""
    return [one for one in tests.cases if not one.given]


def compile_response(
    lesson: str, incident: str, response: Response, called: Playbook, cases: list[Case]
) -> dict[str, bytes]:
    """Return the playbook and its tests, by path in the workspace's repository.

    Who approves and how long all of it holds is as in the playbook that it calls.
    """
    inside = f"content/playbooks/{folder(lesson)}"
    return {
        f"{inside}/playbook.yaml": _yaml(_playbook(lesson, incident, response, called)),
        f"{inside}/tests.yaml": _yaml({"coverage": 100, "cases": [_case(one) for one in cases]}),
    }


def _playbook(lesson: str, incident: str, response: Response, called: Playbook) -> dict[str, Json]:
    approval = called.approval.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {
        "title": f"Lesson {lesson}: {response.playbook} begins with the alert",
        "description": f"Incident {incident}: {response.told}. Who approves is as it was there.",
        "kind": called.kind,
        "triggers": [{"by": "alert", "if": f"trigger.rule == '{rule_id(lesson)}'"}],
        **({"approval": approval} if approval else {}),
        "deadline_min": called.deadline_min,
        "steps": [{"id": STEP, "title": called.title, "playbook": response.playbook}],
    }


def _case(one: Case) -> dict[str, Json]:
    """Return a case of the called playbook as one of the caller: its steps are below the call."""
    said: dict[str, Json] = one.model_dump(mode="json", by_alias=True, exclude_unset=True)
    expect = one.expect.model_dump(mode="json", by_alias=True, exclude_unset=True)
    said["expect"] = {**expect, "plan": [_line(line) for line in one.expect.plan]}
    if one.answers:
        said["answers"] = {f"{STEP}/{step}": answer for step, answer in one.answers.items()}
    return said


def _line(line: str) -> str:
    """Return a line of a plan, "step action target", below the call; without a target it is the step."""
    step, action, target = line.split(" ", 2)
    return f"{STEP}/{step} {action} {f'{STEP}/{target}' if target == step else target}"


def _yaml(document: Mapping[str, Json]) -> bytes:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100).encode()

"""Recorded exchanges beside actions: ``NAME.exchange.json`` holds requests and answers, phase by phase.

::

    {"values": {…}, "exchange": [{"phase": "probe", "state": "absent", "request": {…}, "answer": {…}}, …]}

``values`` are what the templates are filled with. A phase is ``probe`` (with the state that its answer shows,
whether it is ``ours``, and what is ``kept`` of it), ``do``, ``undo``, ``collect`` or ``read`` (with its
``outputs``). ``record`` makes a recording. Checked against an action,
they show that it still asks what was asked when it worked, and still understands what was answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.action import Action, Do, Probe, Request
from lemnis.contracts.errors import LemnisError
from lemnis.respond.answers import Answer, accepted, extract, judge
from lemnis.respond.client import Caller
from lemnis.respond.template import Rendered, render


class Asked(Model):
    """A request as it went out."""

    line: str
    content_type: str = ""
    headers: dict[str, str] = pydantic.Field(default_factory=dict)
    body: str = ""


class Answered(Model):
    """What came back."""

    status: int
    content_type: str = ""
    body: str = ""


class Turn(Model):
    """One request and its answer."""

    phase: str
    request: Asked
    answer: Answered
    state: str = ""
    ours: bool = False
    kept: dict[str, Any] = pydantic.Field(default_factory=dict)
    outputs: dict[str, Any] | None = None


class Exchange(Model):
    """A recording."""

    values: dict[str, Any]
    exchange: tuple[Turn, ...]


def check(action: Action, recorded: Exchange) -> list[str]:
    """Return where an action no longer fits its recording; what it never did is a problem too."""
    said: list[str] = []
    for number, turn in enumerate(recorded.exchange, 1):
        try:
            said += [f"turn {number} ({turn.phase}): {problem}" for problem in _check(action, turn, recorded)]
        except LemnisError as error:
            said.append(f"turn {number} ({turn.phase}): {error.what}")
    wanted = {
        name for name in ("read", "do", "undo", "probe", "collect") if getattr(action, name) is not None
    }
    missing = wanted - {turn.phase for turn in recorded.exchange}
    return said + [f"there is no recording of {name}" for name in sorted(missing)]


def record(action: Action, values: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """Do an action and take it back, and return what was asked and answered, as JSON.

    ``values`` are the action's inputs and what a run would give. Raises what the caller raises.
    """
    known, turns = dict(values), list[dict[str, Any]]()

    def ask(request: Request) -> tuple[Rendered, Answer]:
        made = render(request, known)
        return made, caller.send(made, timeout=action.timeout_s, service=action.aws_service)

    def look(probe: Probe) -> None:
        made, answer = ask(probe.request)
        state = judge(probe, answer, known)
        known.update(state.kept)
        more = {"state": state.name, "ours": state.ours, "kept": dict(state.kept)}
        turns.append(turn("probe", made, answer, **more))

    for phase in ("read", "collect", "do", "undo"):
        part: Do | None = getattr(action, phase)
        if part is None:
            continue
        if action.probe is not None:
            look(action.probe)
        made, answer = ask(part.request)
        more = {"outputs": extract(action.outputs, answer)} if phase == "read" else {}
        turns.append(turn(phase, made, answer, **more))
    if action.probe is not None:
        look(action.probe)
    return {"values": known, "exchange": turns}


def turn(phase: str, request: Rendered, answer: Answer, **more: Any) -> dict[str, Any]:
    """Return one turn of a recording, as JSON, from what was really asked and answered."""
    asked = _asked(request)
    answered = Answered(status=answer.status, content_type=answer.content_type, body=answer.body.decode())
    return {"phase": phase, **more, "request": asked.model_dump(), "answer": answered.model_dump()}


def _asked(request: Rendered) -> Asked:
    return Asked(
        line=request.line, content_type=request.content_type, headers=dict(request.headers),
        body=request.body.decode(),
    )  # fmt: skip


def _check(action: Action, one: Turn, recorded: Exchange) -> list[str]:
    part = action.probe if one.phase == "probe" else getattr(action, one.phase, None)
    request: Request | None = part.request if part is not None else None
    if request is None:
        return ["the action has no such request"]
    made = render(request, recorded.values)
    found = _asked(made)
    said = (
        []
        if found == one.request
        else [f"asks {found.model_dump()}, recorded was {one.request.model_dump()}"]
    )
    answer = Answer(one.answer.status, one.answer.content_type, one.answer.body.encode())
    if action.probe is not None and one.phase == "probe":
        state = judge(action.probe, answer, recorded.values)
        if (state.name, state.ours) != (one.state, one.ours):
            said.append(f"reads the answer as {state.name}, ours: {state.ours}")
        if dict(state.kept) != one.kept:
            said.append(f"keeps {dict(state.kept)} of the answer")
    elif isinstance(part, Do) and not accepted(part, answer, recorded.values):
        said.append(f"does not expect {answer.status}")
    if one.outputs is not None and extract(action.outputs, answer) != one.outputs:
        said.append(f"takes {extract(action.outputs, answer)} from the answer")
    return said

"""Probes: a target is asked for its state until it answers, within limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from lemnis.content.schemas.action import Action
from lemnis.contracts.errors import InputError, ServiceError
from lemnis.respond.answers import ABSENT, UNKNOWN, Answer, State, dig, judge
from lemnis.respond.client import Caller, CallError
from lemnis.respond.template import Rendered, render

UNCLEAR = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Answers that do not say whether what was asked took effect, or what state a target is in."""
PROBES = 4
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60
"""Seconds that a target may ask to be waited for; one that asks for more is given up."""
_Seen = TypeVar("_Seen")
_Ask = Callable[[Rendered], Answer]


def probe(action: Action, caller: Caller, known: Mapping[str, Any], sleep: Callable[[float], None]) -> State:
    """Ask the target for its state, page by page where it is a list.

    Raises ServiceError if it does not answer, or with rubbish, as often as it is asked.
    """
    if action.probe is None:
        raise InputError(f"{action.title} cannot be probed")
    part = action.probe
    request = render(part.request, known)
    pages = part.pick.pages if part.pick else None

    def look(answer: Answer) -> State:
        return judge(part, answer, known)

    def ask(asked: Rendered) -> Answer:
        return caller.send(asked, timeout=action.timeout_s, service=action.aws_service)

    state = State(UNKNOWN)
    for _ in range(pages.most if pages else 1):
        state, answer = patiently(ask, request, look, sleep)
        cursor = dig(answer.data(), pages.cursor) if pages and state.name == ABSENT else None
        if not pages or not isinstance(cursor, str) or not cursor:
            return state
        request = replace(request, query=_with_cursor(request.query, pages.query, cursor))
    if pages and pages.newest_first:
        return state
    return State(UNKNOWN, said=f"the list goes on after {pages.most if pages else 1} pages")


def patiently(
    ask: _Ask, request: Rendered, look: Callable[[Answer], _Seen], sleep: Callable[[float], None]
) -> tuple[_Seen, Answer]:
    """Ask, and again while there is no clear answer; return what ``look`` sees in the last one, and it.

    ``look`` raises ServiceError for an answer that is none. Raises CallError.
    """
    for number in range(PROBES):
        last, wait = number == PROBES - 1, 0.0
        try:
            answer = ask(request)
            wait = answer.retry_after
            if last or answer.status not in UNCLEAR or wait > LONGEST_PAUSE:
                return look(answer), answer
        except ServiceError as error:
            if last:
                raise CallError(f"whether it took effect is not known: {error.what}", at=error.at) from error
        sleep(max(FIRST_PAUSE * 2**number, wait))
    raise ServiceError("no answer")


def _with_cursor(query: str, name: str, cursor: str) -> str:
    rest = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key != name]
    return urlencode([*rest, (name, cursor)])

"""Checks over resources: each is Rego, asked once of all resources that are alike in what it looks at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import ContentError
from lemnis.contracts.resources import Judged, Resource, Steps, Verdict
from lemnis.policy.check import check_module
from lemnis.policy.engine import UNDEFINED, Engine
from lemnis.policy.parser import parse
from lemnis.policy.reads import Reads, reads
from lemnis.policy.tokens import Source

_AT_ONCE = 200
"""Documents in one question: what one of them costs is bounded with those beside it."""
_SHAPE: Any = {"resources": [None]}


@dataclass(frozen=True, slots=True)
class Check:
    """One check that was read: what it says, its Rego, and what that looks at.

    ``edit`` mends it: a text that stands once in the line of the finding, and what it becomes.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    severity: Severity
    why: str
    fix: str
    text: str
    looks: Reads
    cwes: tuple[int, ...] = ()
    controls: tuple[str, ...] = ()
    edit: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Fail:
    steps: Steps
    message: str


_Answer = tuple[_Fail, ...] | str
"""What a check says of one document: its fails, or why it could not be evaluated."""


def looked_at(text: str, name: str, file: str) -> Reads:
    """Return what a check's Rego looks at, once it was checked; raises ContentError with line and column."""
    source = Source(file, text)
    module = parse(source)
    if module.package != f"lemnis.{name}":
        raise ContentError(
            f"package {module.package} in the folder of check {name}", at=source.at(module.package_at),
            fix=f"package lemnis.{name}",
        )  # fmt: skip
    said = [rule for rule in module.rules if rule.name == "fail"]
    if not said or any(rule.kind != "contains" for rule in said):
        at = source.at(said[0].span[0] if said else module.package_at)
        raise ContentError("no rule `fail contains …`", at=at, fix="add one: it is what is asked")
    check_module(module, source, _SHAPE, "a check")
    return reads(module)


def without_each_fail(text: str) -> Iterator[tuple[int, str]]:
    """Yield the Rego of a check with one of its several ``fail`` rules missing, and that rule's line."""
    source = Source("", text)
    fails = [rule for rule in parse(source).rules if rule.name == "fail"]
    for rule in fails if len(fails) > 1 else ():
        yield source.at(rule.span[0]).line or 0, text[: rule.span[0]] + text[rule.span[1] :]


def judge(checks: Iterable[Check], resources: Iterable[Resource], engine: Engine) -> list[Judged]:
    """Return every verdict of the checks over the resources of their kinds, check by check.

    A resource fails by each value that is wrong; one passes only if nothing that the check looks at is
    unknown; what cannot be evaluated (the check, the document, or both, cost too much) is unknown.
    """
    of_kind: dict[str, list[Resource]] = defaultdict(list)
    for one in resources:
        of_kind[one.kind].append(one)
    found: list[Judged] = []
    for check in checks:
        documents: list[Any] = []
        known: dict[bytes, int] = {}
        places: list[tuple[Resource, int]] = []
        for one in (resource for kind in check.kinds for resource in of_kind.get(kind, ())):
            seen = check.looks.project(one.data)
            number = known.setdefault(orjson.dumps(seen), len(known))
            if number == len(documents):
                documents.append(seen)
            places.append((one, number))
        answers = _answers(check, documents, engine)
        for resource, number in places:
            found += _verdicts(check, resource, answers[number])
    return found


def _verdicts(check: Check, resource: Resource, answer: _Answer) -> Iterator[Judged]:
    if isinstance(answer, str):
        yield Judged(check.name, resource, Verdict.UNKNOWN, (), answer)
        return
    hidden = [way for way in resource.unknown if check.looks.touch(way)]
    sure = [fail for fail in answer if not any(_meet(fail.steps, way) for way in hidden)]
    for fail in sure:
        yield Judged(check.name, resource, Verdict.FAIL, fail.steps, fail.message or check.title)
    if not sure and hidden:
        way = ".".join(map(str, hidden[0])) or "all of it"
        yield Judged(check.name, resource, Verdict.UNKNOWN, hidden[0], f"{way} is not known here")
    elif not sure:
        yield Judged(check.name, resource, Verdict.PASS)


def _meet(one: Steps, other: Steps) -> bool:
    """Say whether one of the ways leads through the other."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _answers(check: Check, documents: Sequence[Any], engine: Engine) -> list[_Answer]:
    """Return what a check says of each document."""
    found: list[_Answer] = []
    for start in range(0, len(documents), _AT_ONCE):
        found += _ask(check, documents[start : start + _AT_ONCE], engine)
    return found


def _ask(check: Check, documents: Sequence[Any], engine: Engine) -> list[_Answer]:
    """Ask one question; if it has no answer ask its halves, so that what is at fault stands alone."""
    query = f"data.lemnis.{check.name}.fail"
    try:
        said = engine.evaluate([check.text], query, {"resources": list(documents)})
    except ContentError as error:
        if len(documents) == 1:
            return [error.what]
        middle = len(documents) // 2
        return [*_ask(check, documents[:middle], engine), *_ask(check, documents[middle:], engine)]
    return _read(said, len(documents))


def _read(said: Any, count: int) -> list[_Answer]:
    """Read a check's answer; what is no fail makes all its documents unknown."""
    if said is UNDEFINED or not isinstance(said, list):
        return ["not evaluated: the check has no result"] * count
    found: list[list[_Fail]] = [[] for _ in range(count)]
    for one in said:
        whole = one if isinstance(one, dict) else {}
        number, path = whole.get("resource"), whole.get("path", [])
        if not isinstance(number, int) or not 0 <= number < count or not isinstance(path, list):
            return [f"not evaluated: the check gave what is no fail: {str(one)[:200]}"] * count
        found[number].append(_Fail(tuple(path), str(whole.get("message", ""))))
    return [tuple(sorted(fails, key=lambda fail: ([*map(str, fail.steps)], fail.message))) for fails in found]

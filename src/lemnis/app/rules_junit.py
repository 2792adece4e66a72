"""Results of detections' tests as JUnit XML, which build servers show. Pure.

One testsuite a detection, one testcase a case; the mutation score, where it was asked for, is one more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from lemnis.app.rules_mutation import Mutated
from lemnis.app.rules_test import CaseResult, Tested
from lemnis.contracts.counting import counted

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SCORE = "mutation score"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One testcase: what it is called, and why it failed ("" if it did not) or could not be run."""

    name: str
    failure: str = ""
    error: str = ""
    details: str = ""


def junit(results: Sequence[Tested | Mutated], *, minimum: float = 0) -> bytes:
    """Return a JUnit document; ``minimum`` is the mutation score that is good enough."""
    root = ET.Element("testsuites", name="lemnis rules test")
    total = [0, 0, 0]
    for result in results:
        tested = result.tested if isinstance(result, Mutated) else result
        outcomes = list(_cases(tested))
        if isinstance(result, Mutated) and tested.passed:
            outcomes.append(_score(result, minimum))
        _suite(root, tested, outcomes)
        for place, count in enumerate(_counts(outcomes)):
            total[place] += count
    _say(root, total)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _cases(tested: Tested) -> Iterator[_Outcome]:
    for case in tested.results:
        yield _Outcome(case.case, "" if case.passed or case.trouble else _why(case), case.trouble)
    if tested.trouble:
        yield _Outcome("the detection can be tested", error=tested.trouble)
    elif not any(case.fires for case in tested.results):
        yield _Outcome("some case must fire", failure="no case has `fires: true`")


def _why(case: CaseResult) -> str:
    if case.raw != case.ocsf:
        return f"{counted(case.raw, 'match')} on raw records, {case.ocsf} on the OCSF events made of them"
    if not case.fires:
        return f"it must be silent, and matched {counted(case.raw, 'time')}"
    wanted = "it must fire" if case.wanted is None else f"it must match {counted(case.wanted, 'time')}"
    return f"{wanted}, and matched {counted(case.raw, 'time')}"


def _score(result: Mutated, minimum: float) -> _Outcome:
    missed = not result.trouble and not result.good(minimum)
    said = f"{result.killed} of {result.made} mutants noticed, {result.score:.0%}; {minimum:.0%} is needed"
    return _Outcome(SCORE, said if missed else "", result.trouble, "\n".join(result.survivors))


def _suite(root: ET.Element, tested: Tested, outcomes: Sequence[_Outcome]) -> None:
    suite = ET.SubElement(root, "testsuite", name=_clean(tested.name), time=f"{tested.seconds:.3f}")
    _say(suite, _counts(outcomes))
    for outcome in outcomes:
        case = ET.SubElement(suite, "testcase", classname=_clean(tested.name), name=_clean(outcome.name))
        for tag, said in (("failure", outcome.failure), ("error", outcome.error)):
            if said:
                ET.SubElement(case, tag, message=_clean(said)).text = _clean(outcome.details) or None


def _counts(outcomes: Sequence[_Outcome]) -> tuple[int, int, int]:
    failed = sum(1 for one in outcomes if one.failure)
    return len(outcomes), failed, sum(1 for one in outcomes if one.error)


def _say(element: ET.Element, counts: Sequence[int]) -> None:
    for name, count in zip(("tests", "failures", "errors"), counts, strict=True):
        element.set(name, str(count))


def _clean(text: str) -> str:
    """Write out what XML cannot hold."""
    return _NOT_XML.sub(lambda found: ascii(found[0])[1:-1], text)

"""Runs a policy's own tests, and breaks the policy to see whether they notice.

The engine crashes on ``with``, so a test's input is evaluated first and then given as the real input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lemnis.contracts.errors import ContentError, Location, UnsupportedError
from lemnis.policy.check import check_test
from lemnis.policy.decide import Policy
from lemnis.policy.engine import Engine
from lemnis.policy.parser import parse
from lemnis.policy.tokens import Source
from lemnis.policy.tree import Module, Rule, With

_INPUT = "lemnis_given_input"


@dataclass(frozen=True, slots=True)
class Case:
    """One test, or one mutant that the tests must notice: whether all is as it should be, what is not."""

    policy: str
    name: str
    passed: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Test:
    name: str
    module: str
    given: str


def run_tests(policy: Policy, test_text: str, test_file: str, engine: Engine) -> list[Case]:
    """Run every ``test_*`` rule, then with each ``deny`` rule taken out: then some test must fail.

    Raises ContentError or UnsupportedError for files that cannot be read.
    """
    source, test_source = Source(policy.file, policy.text), Source(test_file, test_text)
    module = parse(source)
    tests = list(_tests(parse(test_source), test_source, module))
    if not tests:
        raise ContentError("no rule test_*", at=Location(test_file), fix="add one that must refuse something")
    cases = [_run(policy.name, policy.text, test, engine) for test in tests]
    if all(case.passed for case in cases):
        cases += [_mutant(policy.name, name, text, tests, engine) for name, text in _mutants(module, source)]
    return cases


def _run(policy: str, text: str, test: _Test, engine: Engine) -> Case:
    package = f"data.lemnis.{policy}_test"
    try:
        given = engine.evaluate([text, test.given], f"{package}.{_INPUT}", {}) if test.given else {}
        said = engine.evaluate([text, test.module], f"{package}.{test.name}", given)
    except ContentError as error:
        return Case(policy, test.name, passed=False, trouble=error.what)
    return Case(policy, test.name, passed=said is True, trouble="" if said is True else "not true")


def _mutant(policy: str, name: str, text: str, tests: Sequence[_Test], engine: Engine) -> Case:
    noticed = [test.name for test in tests if not _run(policy, text, test, engine).passed]
    trouble = "" if noticed else "no test fails: add one that needs this rule"
    return Case(policy, name, passed=bool(noticed), trouble=trouble)


def _mutants(module: Module, source: Source) -> Iterator[tuple[str, str]]:
    """Yield the policy with no ``deny`` rule, and, if there are several, with each one missing."""
    denies = [rule for rule in module.rules if rule.name == "deny"]
    for rules in [denies] if len(denies) < 2 else [denies, *([rule] for rule in denies)]:  # noqa: PLR2004 - one is all
        lines = ", ".join(str(source.at(rule.span[0]).line) for rule in rules)
        text = source.text
        for rule in reversed(rules):
            text = text[: rule.span[0]] + text[rule.span[1] :]
        yield f"without deny of line {lines}", f'{text}\ndeny contains "never" if false\n'


def _tests(module: Module, source: Source, policy: Module) -> Iterator[_Test]:
    check_test(module, source, policy)
    for rule in module.rules:
        if not rule.name.startswith("test_"):
            continue
        withs = list(_withs(rule))
        texts = {source.text[slice(*one.value_span)] for one in withs}
        if len(texts) > 1:
            raise UnsupportedError(
                f"{rule.name} has two inputs", at=source.at(rule.span[0]), fix="make two tests of it"
            )
        bare = _without_withs(module, source)
        yield _Test(rule.name, bare, f"{bare}\n{_INPUT} := {texts.pop()}\n" if texts else "")


def _without_withs(module: Module, source: Source) -> str:
    text = source.text
    spans = [one.span for rule in module.rules for one in _withs(rule)]
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text


def _withs(rule: Rule) -> Iterator[With]:
    for query, _ in rule.branches:
        for literal in query:
            yield from literal.withs

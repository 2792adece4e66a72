"""Runs a policy's own tests, and breaks the policy to see whether they notice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lemnis.contracts.errors import ContentError, Location
from lemnis.policy.check import check_test
from lemnis.policy.decide import Policy
from lemnis.policy.evaluate import Program
from lemnis.policy.parser import parse
from lemnis.policy.tokens import Source
from lemnis.policy.tree import Module


@dataclass(frozen=True, slots=True)
class Case:
    """One test, or one mutant that the tests must notice: whether all is as it should be, what is not."""

    policy: str
    name: str
    passed: bool
    trouble: str = ""


def run_tests(policy: Policy, test_text: str, test_file: str) -> list[Case]:
    """Run every ``test_*`` rule, then with each ``deny`` rule taken out: then some test must fail.

    Raises ContentError or UnsupportedError for files that cannot be read.
    """
    source, test_source = Source(policy.file, policy.text), Source(test_file, test_text)
    module, tests = parse(source), parse(test_source)
    check_test(tests, test_source, module)
    names = list(dict.fromkeys(rule.name for rule in tests.rules if rule.name.startswith("test_")))
    if not names:
        raise ContentError("no rule test_*", at=Location(test_file), fix="add one that must refuse something")
    beside = (tests, test_source)
    cases = list(_run(policy.name, (module, source), beside, names))
    if all(case.passed for case in cases):
        for name, mutant in _mutants(module, source):
            noticed = any(not case.passed for case in _run(policy.name, (mutant, source), beside, names))
            trouble = "" if noticed else "no test fails: add one that needs this rule"
            cases.append(Case(policy.name, name, passed=noticed, trouble=trouble))
    return cases


def _run(
    policy: str, module: tuple[Module, Source], tests: tuple[Module, Source], names: Sequence[str]
) -> Iterator[Case]:
    program = Program([module, tests])
    for name in names:
        try:
            said = program.ask(tests[0].package, name, {})
        except ContentError as error:
            yield Case(policy, name, passed=False, trouble=error.what)
            continue
        yield Case(policy, name, passed=said is True, trouble="" if said is True else "not true")


def _mutants(module: Module, source: Source) -> Iterator[tuple[str, Module]]:
    """Yield the policy with no ``deny`` rule, and, if there are several, with each one missing."""
    denies = [rule for rule in module.rules if rule.name == "deny"]
    for rules in [denies] if len(denies) < 2 else [denies, *([rule] for rule in denies)]:  # noqa: PLR2004 - one is all
        lines = ", ".join(str(source.at(rule.span[0]).line) for rule in rules)
        left = tuple(rule for rule in module.rules if rule not in rules)
        if len(rules) == len(denies):  # the name stays, and nothing is in it
            left += (replace(rules[0], branches=(((), None),)),)
        yield f"without deny of line {lines}", replace(module, rules=left)

"""Compiles the rules of modules, each once: sets, values, functions. One that needs itself is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from lemnis.contracts.errors import ContentError
from lemnis.policy.queries import Maker, Running, Scope, Value, agreed
from lemnis.policy.tokens import Source
from lemnis.policy.tree import Module, Rule
from lemnis.policy.values import UNDEFINED, Set


def compile_rules(modules: Sequence[tuple[Module, Source]]) -> Mapping[tuple[str, str], Value]:
    """Return the value of each rule without parameters, by package and name; raises ContentError."""
    world = World({module.package: (module, source) for module, source in modules})
    return {(package, name): world.rule(package, name) for package, name in world.plain()}


@dataclass(slots=True)
class World:
    """All modules: finds rules by name, compiles each once, refuses those that need themselves."""

    modules: Mapping[str, tuple[Module, Source]]
    made: dict[tuple[str, str], Any] = field(default_factory=dict)
    making: list[tuple[str, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def plain(self) -> Iterator[tuple[str, str]]:
        """Yield package and name of each rule without parameters."""
        seen: dict[tuple[str, str], None] = {}
        for package, (module, _) in self.modules.items():
            for rule in module.rules:
                if rule.parameters is None:
                    seen[(package, rule.name)] = None
        yield from seen

    def has(self, package: str, name: str) -> bool:
        """Say whether there is such a rule."""
        found = self.modules.get(package)
        return found is not None and any(rule.name == name for rule in found[0].rules)

    def rule(self, package: str, name: str) -> Any:
        """Return a rule's value, or a function's: ``run, arguments`` to value."""
        place = (package, name)
        if place in self.made:
            return self.made[place]
        module, source = self.modules[package]
        rules = [rule for rule in module.rules if rule.name == name]
        if place in self.making:
            at = source.at(rules[0].span[0])
            raise ContentError(f"{name} needs itself", at=at, fix="a rule cannot be recursive")
        self.making.append(place)
        makers = [Maker(self, module, source) for _ in rules]
        if len({rule.parameters is None for rule in rules}) > 1:
            makers[0].fail(f"{name} is a function and none", rules[0].span[0])
        number = next(self.numbers)
        if rules[0].parameters is not None:
            self.made[place] = _function(name, rules, makers)
        elif any(rule.kind == "contains" for rule in rules):
            self.made[place] = _set_rule(number, rules, makers)
        else:
            self.made[place] = _value_rule(number, name, rules, makers)
        self.making.pop()
        return self.made[place]


def _set_rule(number: int, rules: Sequence[Rule], makers: Sequence[Maker]) -> Value:
    """A set that rules add to."""
    ready = []
    for rule, maker in zip(rules, makers, strict=True):
        if rule.kind != "contains":
            maker.fail(f"{rule.name} is a set elsewhere", rule.span[0])
        if len(rule.branches) > 1:
            maker.fail(f"`else` of the set {rule.name}", rule.span[0])
        query, head = rule.branches[0]
        if head is not None:
            ready.append((maker.collect(query, (head,), {}), maker))

    def value(run: Running) -> Any:
        if number not in run.known:
            found = Set((), run.budget)
            for body, maker in ready:
                body(maker.env(run), found.add)
            run.known[number] = found
        return run.known[number]

    return value


def _value_rule(number: int, name: str, rules: Sequence[Rule], makers: Sequence[Maker]) -> Value:
    """A rule with one value; of several definitions those that hold must agree."""
    chains = [
        (maker.chain(rule, {}), maker)
        for rule, maker in zip(rules, makers, strict=True)
        if rule.kind != "default"
    ]
    others = [
        (maker.chain(rule, {}), maker)
        for rule, maker in zip(rules, makers, strict=True)
        if rule.kind == "default"
    ]

    def value(run: Running) -> Any:
        if number not in run.known:
            found = agreed(name, [chain(maker.env(run)) for chain, maker in chains], run.budget)
            if found is UNDEFINED:
                found = agreed(name, [chain(maker.env(run)) for chain, maker in others], run.budget)
            run.known[number] = found
        return run.known[number]

    return value


def _function(name: str, rules: Sequence[Rule], makers: Sequence[Maker]) -> Any:
    """A function: of several definitions those that hold must agree."""
    made = []
    for rule, maker in zip(rules, makers, strict=True):
        scope: Scope = {}
        takes = [maker.pattern(parameter, scope) for parameter in rule.parameters or ()]
        made.append((takes, maker.chain(rule, scope), maker))

    def value(run: Running, arguments: Sequence[Any]) -> Any:
        run.budget.spend(1)
        found = []
        for takes, chain, maker in made:
            if len(takes) != len(arguments):
                raise ContentError(
                    f"not evaluated: {name} takes {len(takes)} arguments, not {len(arguments)}"
                )
            env = maker.env(run)
            if all(take(env, argument) for take, argument in zip(takes, arguments, strict=True)):
                found.append(chain(env))
        return agreed(name, found, run.budget)

    return value

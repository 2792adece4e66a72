"""What protects a branch on GitHub: classic protection and rulesets, which add up. Pure.

Of three values: a rule that is known holds whatever else is not; that none holds is known only if both
are. So a token that may not read the classic protection still sees what rulesets ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lemnis.scan.readers import listed, mapping

Rule = Mapping[str, Any]
_ADMINS = frozenset({"OrganizationAdmin", "RepositoryRole"})
"""Who may get past a ruleset by their role; teams, apps and deploy keys are named one by one."""
_GUARDS = frozenset(
    {
        "pull_request", "required_status_checks", "workflows", "non_fast_forward", "deletion", "update",
        "required_signatures", "required_linear_history", "merge_queue", "code_scanning",
    }
)  # fmt: skip
"""Rules that keep changes out; others say how names and messages look."""


@dataclass(frozen=True, slots=True)
class Protection:
    """``classic`` is the answer of ``/protection`` (empty: there is none), ``rules`` are those in force.

    ``sets`` are the rulesets that these are of, by id. What is None is not known.
    """

    classic: Mapping[str, Any] | None
    rules: Sequence[Rule] | None
    sets: Mapping[int, Mapping[str, Any] | None]

    def facts(self) -> dict[str, Any]:
        """Return what is known, by name; None where it is not."""
        return {
            "protected": self._either(bool, _guards),
            "reviews": self._reviews(),
            "code_owners": self._review("require_code_owner_reviews", "require_code_owner_review"),
            "dismisses_stale": self._review("dismiss_stale_reviews", "dismiss_stale_reviews_on_push"),
            "signed": self._either(lambda one: _on(one, "required_signatures"), _is("required_signatures")),
            "keeps_history": self._either(
                lambda one: bool(one) and not _on(one, "allow_force_pushes"), _is("non_fast_forward")
            ),
            "keeps_branch": self._either(
                lambda one: bool(one) and not _on(one, "allow_deletions"), _is("deletion")
            ),
            "status_checks": self._either(_checks, _checks_rule),
            "binds_admins": self._admins(),
        }

    def _either(
        self, classic: Callable[[Mapping[str, Any]], bool], rule: Callable[[Rule], bool]
    ) -> bool | None:
        """Say whether the classic protection or a rule asks for something."""
        one = None if self.classic is None else classic(self.classic)
        other = None if self.rules is None else any(map(rule, self.rules))
        return _or(one, other)

    def _reviews(self) -> int | None:
        """Return how many must approve; with one half unknown, one that is asked for surely is enough."""
        counts = [_count(_parameters(rule), "required_approving_review_count") for rule in self._pulls()]
        reviews = mapping((self.classic or {}).get("required_pull_request_reviews"))
        counts.append(_count(reviews, "required_approving_review_count"))
        most = max(counts)
        return most if most or (self.classic is not None and self.rules is not None) else None

    def _review(self, classic: str, rule: str) -> bool | None:
        return self._either(
            lambda one: mapping(one.get("required_pull_request_reviews")).get(classic) is True,
            lambda one: one.get("type") == "pull_request" and _parameters(one).get(rule) is True,
        )

    def _pulls(self) -> Iterator[Rule]:
        return (rule for rule in self.rules or () if rule.get("type") == "pull_request")

    def _admins(self) -> bool | None:
        """Say whether something that protects the branch holds for administrators too.

        Of a ruleset it does if nobody may get past it by a role, be it in pull requests only: those are then
        merged without a review. Who may is told only to those who may change it.
        """
        classic = None if self.classic is None else _on(self.classic, "enforce_admins")
        if self.rules is None:
            return _or(classic, None)
        bound: bool | None = False
        for rule in filter(_guards, self.rules):
            number = rule.get("ruleset_id")
            said = self.sets.get(number) if isinstance(number, int) else None
            actors = None if said is None else said.get("bypass_actors")
            free = None
            if isinstance(actors, list):
                free = not any(str(mapping(one).get("actor_type")) in _ADMINS for one in actors)
            bound = _or(bound, free)
        return _or(classic, bound)


def _or(one: bool | None, other: bool | None) -> bool | None:  # noqa: FBT001 - three values
    if one or other:
        return True
    return None if one is None or other is None else False


def _on(said: Mapping[str, Any], name: str) -> bool:
    return mapping(said.get(name)).get("enabled") is True


def _guards(rule: Rule) -> bool:
    return str(rule.get("type")) in _GUARDS


def _is(kind: str) -> Callable[[Rule], bool]:
    return lambda rule: rule.get("type") == kind


def _parameters(rule: Rule) -> Mapping[str, Any]:
    return mapping(rule.get("parameters"))


def _count(said: Mapping[str, Any], name: str) -> int:
    number = said.get(name)
    return number if isinstance(number, int) else 0


def _checks(classic: Mapping[str, Any]) -> bool:
    said = mapping(classic.get("required_status_checks"))
    return bool(listed(said.get("checks")) or listed(said.get("contexts")))


def _checks_rule(rule: Rule) -> bool:
    return rule.get("type") == "workflows" or (
        rule.get("type") == "required_status_checks"
        and bool(listed(_parameters(rule).get("required_status_checks")))
    )

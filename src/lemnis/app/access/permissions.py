"""Who may do what: what roles of the content give, and what policies at ``access`` take away. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from lemnis.content.schemas.role import PERMISSIONS, Role
from lemnis.contracts.errors import AccessError, ContentError, UsageError
from lemnis.contracts.findings import Effect
from lemnis.contracts.ids import Json
from lemnis.policy.concerns import concerns, looks
from lemnis.policy.decide import Policy, decide
from lemnis.policy.parser import parse
from lemnis.policy.tokens import Source

STAGE = "access"
STEPS = 200_000
"""What one decision may cost: some milliseconds."""
ABOUT = ("kind", "id", "service", "team", "owner", "author", "severity")
"""What rules may know of the thing that something is to be done to; what is not said is empty."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, and how they were recognised; ``scopes`` are those of the token, of which each allows one.

    ``permissions`` are what the roles gave when it was recognised, ``rules`` the policies that decide.
    """

    id: str
    name: str
    roles: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    how: Literal["session", "token"] = "session"
    scopes: tuple[str, ...] = ()
    permissions: frozenset[str] = field(default=frozenset(), repr=False)
    rules: tuple[Policy, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Rights:
    """What the content says: what each role may, and the rules over that."""

    roles: Mapping[str, frozenset[str]]
    rules: tuple[Policy, ...] = ()

    def of(self, roles: Iterable[str]) -> frozenset[str]:
        """Return what somebody with these roles may; a role that is no more gives nothing."""
        return frozenset().union(*(self.roles.get(one, frozenset()) for one in roles))


def rights(roles: Mapping[str, Role], rules: Iterable[Policy] = ()) -> Rights:
    """Return the rights that roles give; raises ContentError for one that includes what there is not."""
    found: dict[str, frozenset[str]] = {}

    def of(name: str, way: tuple[str, ...]) -> frozenset[str]:
        if name in way or name not in roles:
            what = "includes itself" if name in way else "is included, and there is none"
            raise ContentError(f"the role {name!r} {what}", fix=f"there are: {', '.join(roles)}")
        if name not in found:
            included = (of(one, (*way, name)) for one in roles[name].includes)
            found[name] = frozenset(roles[name].permissions).union(*included)
        return found[name]

    return Rights({name: of(name, ()) for name in roles}, tuple(one for one in rules if STAGE in one.stages))


def may(person: Person | None, permission: str, about: Mapping[str, Json] | None = None) -> bool:
    """Say whether somebody may do something, about this thing (see ``ABOUT``), or at all if none is given.

    Nobody may do anything. Raises UsageError for a permission that there is not.
    """
    return not refusal(person, permission, about)


def refusal(person: Person | None, permission: str, about: Mapping[str, Json] | None = None) -> str:
    """Return why somebody may not do something; empty if they may. What cannot be decided is refused."""
    if permission not in PERMISSIONS:
        raise UsageError(f"no permission {permission!r}", fix=f"one of {', '.join(PERMISSIONS)}")
    if person is None:
        return "nobody is signed in"
    if permission not in person.permissions:
        return f"{person.name} may not {PERMISSIONS[permission]}"
    if person.how == "token" and permission not in person.scopes:
        return f"the token has no scope {permission}"
    return barred(person, permission, about) if about else ""


def barred(person: Person, permission: str, about: Mapping[str, Json]) -> str:
    """Return why rules take something away, whatever roles and tokens give; empty if none does."""
    rules = concerning(person.rules, permission)
    if not rules:
        return ""
    decision = decide(rules, _document(person, permission, about), STAGE, steps=STEPS)
    if decision.effect is Effect.ALLOW:
        return ""
    return "; ".join(one.message for one in decision.reasons if one.effect is not Effect.ALLOW)


@lru_cache(maxsize=256)
def concerning(rules: tuple[Policy, ...], permission: str) -> tuple[Policy, ...]:
    """Return the rules that can take a permission away: not those that say that they are about others."""
    values = [concerns(parse(Source(one.file, one.text)), "permission") for one in rules]
    return tuple(one for one, said in zip(rules, values, strict=True) if said is None or permission in said)


@lru_cache(maxsize=256)
def looked_at(rules: tuple[Policy, ...]) -> tuple[str, ...]:
    """Return what rules look at of ``ABOUT``: they decide the same of whatever is alike in it."""
    ways = {way for one in rules for way in looks(parse(Source(one.file, one.text)))}
    if () in ways or ("about",) in ways:
        return ABOUT
    named = {way[1] for way in ways if way[0] == "about"}
    return tuple(one for one in ABOUT if one in named)


def demand(person: Person | None, permission: str, about: Mapping[str, Json] | None = None) -> None:
    """Raise AccessError if somebody may not do something."""
    why = refusal(person, permission, about)
    if why:
        raise AccessError(why, fix=f"it takes the permission {permission}")


def _document(person: Person, permission: str, about: Mapping[str, Json]) -> dict[str, Json]:
    strange = set(about) - set(ABOUT)
    if strange:
        raise UsageError(
            f"rules know nothing of {', '.join(sorted(strange))}", fix=f"one of {', '.join(ABOUT)}"
        )
    return {
        "stage": STAGE,
        "permission": permission,
        "person": {
            "id": person.id, "name": person.name, "roles": list(person.roles), "teams": list(person.teams),
            "how": person.how,
        },
        "about": {name: about.get(name) or "" for name in ABOUT},
    }  # fmt: skip

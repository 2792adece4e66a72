"""Policies and exceptions of a library, checked and ready to be asked; and their tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.exemption import Exemption
from lemnis.content.schemas.policy import Policy as Manifest
from lemnis.contracts.errors import ContentError, Location
from lemnis.policy.decide import SCAN, Exempt, Policy, checked
from lemnis.policy.testing import Case, run_tests


def load(library: Library) -> tuple[Policy, ...]:
    """Return every policy; raises ContentError for the first that does not hold: a gate has no gaps."""
    return tuple(load_one(item) for item in library.items("policies").values())


def load_one(item: Item) -> Policy:
    """Return one policy; raises ContentError or UnsupportedError with file, line and column."""
    manifest = yaml.load(item.manifest, Manifest)
    if manifest.id != item.name:
        raise ContentError(
            f"id {manifest.id!r} in the folder {item.name}", at=Location(str(item.manifest), 1, 1)
        )
    file = item.folder / "policy.rego"
    return checked(
        Policy(
            name=item.name,
            text=yaml.read_text(file),
            file=str(file),
            stages=manifest.stages,
            warns=manifest.effect == "warn",
            controls=manifest.controls,
            severity=manifest.severity,
            grants="" if manifest.exceptions == "none" else manifest.exceptions,
        )
    )


def exceptions(library: Library) -> tuple[Exempt, ...]:
    """Return every exception; raises ContentError for one that cannot be read or is about no policy."""
    known = library.items("policies")
    found = []
    for item in library.items("exceptions").values():
        one = yaml.load(item.manifest, Exemption)
        if one.policy not in known and one.policy != SCAN:
            raise ContentError(
                f"policy: there is no policy {one.policy!r}", at=Location(str(item.manifest)),
                fix=f"one of {', '.join(sorted(known))}",
            )  # fmt: skip
        expires = one.expires.isoformat()
        found.append(Exempt(item.name, one.policy, one.where, one.fingerprint, expires, one.stages))
    return tuple(found)


def run_tests_of(library: Library, names: Sequence[str] = ()) -> Iterator[Case]:
    """Run the tests of policies (all unless named); one that cannot be read is a case that failed.

    Raises NotFoundError for a name there is not.
    """
    for item in [library.get("policies", name) for name in names] or library.items("policies").values():
        file = item.folder / "policy_test.rego"
        try:
            yield from run_tests(load_one(item), yaml.read_text(file), str(file))
        except ContentError as error:
            yield Case(item.name, "read", passed=False, trouble=str(error))

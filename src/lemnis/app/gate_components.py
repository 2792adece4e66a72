"""What gates are told of components: those that a commit's lock files name, and those that are attested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from lemnis.contracts.errors import RecordError
from lemnis.scan import sbom_locks

if TYPE_CHECKING:
    from lemnis.contracts.ids import Json
    from lemnis.policy.decide import Policy
    from lemnis.scan.sbom import Component
    from lemnis.store.git import Repository

_ASKED = "sbom"


def asked(policies: Sequence[Policy], stage: str) -> bool:
    """Say whether a policy of the stage looks at components: reading them takes time."""
    return any(_ASKED in one.text for one in policies if stage in one.stages)


def of_commit(repository: Repository, commit: str) -> Iterator[Component]:
    """Yield the components that a commit's lock files name.

    One that cannot be read is left out: the scan of vulnerabilities tells it, and makes the answer unknown.
    """
    for path in sorted(repository.files(commit)):
        if sbom_locks.reader(path) is not None:
            yield from _read(repository, commit, path)


def _read(repository: Repository, commit: str, path: str) -> tuple[Component, ...]:
    try:
        return sbom_locks.read(repository.read(commit, path), path).components
    except RecordError:
        return ()


def documents(components: Iterable[Component]) -> list[dict[str, Json]]:
    """Return components as policies see them; ``path`` is the file that names one, if a file does."""
    return [
        {
            "name": one.name, "version": one.version, "purl": one.purl, "licenses": list(one.licenses),
            "path": one.path,
        }
        for one in components
    ]  # fmt: skip

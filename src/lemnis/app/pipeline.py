"""The pipeline: what scans found goes into the lake; repositories and commits that are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import policies, settings
from lemnis.content.library import Library
from lemnis.contracts.errors import InputError, Location, NotFoundError
from lemnis.contracts.findings import ScanReport
from lemnis.policy.testing import Case

if TYPE_CHECKING:
    from lemnis.store.git import Commit, Repository


def into_lake(
    workspace: app.Workspace, report: ScanReport, *, resource: str, revision: str, gone: bool = False
) -> int:
    """Append a scan's findings to the lake, or (``gone``) that they are resolved; return how many are new."""
    from lemnis.scan import posture

    if not report.findings:
        return 0
    made = posture.batches(report, resource=resource, revision=revision, now=workspace.clock.now(), gone=gone)
    return app.lake(workspace).append(made).accepted


def test_policies(content: Library, names: Sequence[str]) -> list[Case]:
    """Run the tests of policies (all if none is named), with mutants that they must notice."""
    return list(policies.run_tests_of(content, names))


def find(repository: Repository, revision: str) -> Commit:
    """Return the commit that a revision names; raises NotFoundError."""
    name = repository.resolve(revision)
    return next(commit for commit in reversed(repository.commits(name)) if commit.id == name)


def repository_name(workspace: app.Workspace, repository: Repository) -> str:
    """Return the name that the settings have for a repository's folder, else the folder's."""
    here = repository.path.resolve()
    known = settings.load(workspace).repositories
    return next((r.name for r in known if settings.resolve(workspace, r.path) == here), here.name)


def open_repository(path: Path) -> Repository:
    """Open a repository; raises NotFoundError where there is none."""
    from lemnis.store.git import Repository as Opened

    repository = Opened(path)
    try:
        repository.run("rev-parse", "--git-dir")
    except InputError as error:
        raise NotFoundError(
            "no git repository here", at=Location(str(path)), fix="go to one, or make one: git init"
        ) from error
    return repository


def repository_around(path: Path) -> Repository | None:
    """Open the repository that a folder is the top of; None where there is none."""
    try:
        return open_repository(path)
    except NotFoundError:
        return None

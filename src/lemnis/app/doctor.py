"""What works here and what does not: the machine, the scanners, and a workspace if there is one."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import LemnisError, NotFoundError

if TYPE_CHECKING:
    from lemnis.content.schemas.scanner import Scanner


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is well, what was found, and what to do if not.

    ``absent`` says that it is not there, and need not be.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    absent: bool = False


def examine(root: Path | None) -> list[Check]:
    """Look at everything; a workspace must be there if ``root`` is given, else one is looked at if found."""
    checks = [*_machine(), *_scanners()]
    try:
        workspace = app.open_workspace(root)
    except NotFoundError as error:
        return [*checks, Check("workspace", root is None, "none here", error.fix)]
    return [*checks, *_workspace(workspace)]


def _machine() -> Iterator[Check]:
    version = platform.python_version()
    yield Check("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    git = shutil.which("git")
    yield Check("git", git is not None, "found" if git else "missing", "install git")


def _scanners() -> Iterator[Check]:
    """Look for each scanner; one that takes part only where it is present may be missing."""
    from lemnis.app.scans import scanners

    with ThreadPoolExecutor() as pool:  # some take seconds to say their version
        yield from pool.map(_scanner, scanners(app.library(None)))


def _scanner(scanner: Scanner) -> Check:
    from lemnis.scan.programs import has_rules, missing, version

    name, needed = f"scanner {scanner.name}", scanner.part == "always"
    lacking = missing(scanner)
    if lacking in scanner.needs:
        found = f"{lacking} is missing, which it needs"
    elif lacking:
        found = "missing" if needed else "not installed, optional"
    else:
        found = version(scanner) or "found, but does not say its version"
        if has_rules(scanner):
            return Check(name, ok=True, found=found)
        own = f"copy {scanner.name} into scanners/ of your own content, rules into rules/ beside it"
        return Check(name, ok=True, found=f"{found}, without rules", fix=own, absent=True)
    return Check(name, not needed, found, scanner.install, absent=not needed)


def _workspace(workspace: app.Workspace) -> Iterator[Check]:
    yield Check("workspace", ok=True, found=str(workspace.root))
    yield _try("settings", lambda: _settings(workspace), f"mend {app.SETTINGS}")
    yield _try("journal", lambda: _journal(workspace), "restore the journal from a backup")
    yield _try("lake", lambda: _lake(workspace), "restore the lake from a backup")
    yield _try("content", lambda: _content(workspace), "run `lemnis content lint`")
    yield from _feeds(workspace)


def _feeds(workspace: app.Workspace) -> Iterator[Check]:
    """Look at the data on vulnerabilities: they may be missing, but not damaged, and not old."""
    from lemnis.app import feeds

    now = workspace.clock.now()
    for one in feeds.known(feeds.folder(workspace)):
        absent = one.manifest is None and one.problem == feeds.ABSENT
        well = absent or (one.manifest is not None and not one.old(now))
        found = f"{feeds.ABSENT}, optional" if absent else one.told(now)
        yield Check(f"feed {one.name}", well, found, f"lemnis content pull {one.name}", absent=absent)


def _try(name: str, look: Callable[[], str], fix: str) -> Check:
    """Turn a look that may fail on purpose into a check."""
    try:
        return Check(name, ok=True, found=look())
    except LemnisError as error:
        return Check(name, ok=False, found=str(error), fix=error.fix or fix)


def _settings(workspace: app.Workspace) -> str:
    from lemnis.app import settings

    loaded = settings.load(workspace)
    builders = settings.trusted(workspace, loaded)
    wanted = {
        value
        for connection in loaded.connections.values()
        for name, value in connection
        if name.endswith("_env") and value
    }
    missing = sorted(name for name in wanted if name not in os.environ)
    absent = f", not set: {', '.join(missing)}" if missing else ""
    return f"{counted(len(builders), 'builder')}, {counted(len(loaded.connections), 'connection')}{absent}"


def _journal(workspace: app.Workspace) -> str:
    return f"a chain of {app.journal(workspace).verify()} entries holds"


def _lake(workspace: app.Workspace) -> str:
    lake = app.events(workspace)
    return f"{sum(table.rows for table in lake.status()):,} rows, {lake.backlog().rows:,} more in the spool"


def _content(workspace: app.Workspace) -> str:
    from lemnis.content.library import KINDS

    library = app.library(workspace)
    for problem in library.problems:
        raise problem
    return f"{sum(len(library.items(kind)) for kind in KINDS)} items, {library.digest[:19]}"

"""The composition root: the one place that builds services and stages and hands them to each other.

A workspace on disk::

    DIR/lemnis.yaml      settings, committed
    DIR/content/         the user's content, overlaid on the built-in one, committed
    DIR/.lemnis/         state, never committed: lake/ journal.db vault/ playbooks.db keys/ cache/
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import yaml

from lemnis.contracts.clock import Clock, OffsetClock, SystemClock
from lemnis.contracts.errors import Location, NotFoundError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from lemnis.content.library import Library
    from lemnis.contracts.journal import Unchanged, Vault
    from lemnis.store.journal import SqlJournal
    from lemnis.store.lake import Lake
    from lemnis.store.lakes import Readable

SETTINGS = "lemnis.yaml"
STATE = ".lemnis"
AUTHOR = "Lemnis <lemnis@localhost>"
ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "LEMNIS_WORKSPACE": "The workspace of a command without --workspace; else the one around the folder.",
        "LEMNIS_DATABASE_URL": "A PostgreSQL address for journal and graph; else SQLite in the workspace.",
        "LEMNIS_ACTOR": "Who decides, in commands that change an incident; else the account's name.",
        "LEMNIS_FEEDS": "A folder of advisories and the like for many workspaces; else in each one's state.",
        "LEMNIS_BENCH_DATA": "Where `lemnis bench` finds data sets; else shared/data beside the checkout.",
        "LEMNIS_BENCH_SCALE": "The part of its events that `lemnis bench` takes, such as 0.01; else all.",
        "LEMNIS_PEERS": "Binaries or checkouts of peers that `lemnis bench` also runs, separated as in PATH.",
        "LEMNIS_LOG": "What is logged to stderr: debug, info, warning (unless set) or error.",
        "LEMNIS_TRACEBACK": "Set, it shows where in the code an unforeseen error came from.",
        "LEMNIS_CLOCK_OFFSET": "Milliseconds to move the clock by; recorded input is handled as if new.",
    }
)
"""Every variable that Lemnis reads on its own; the settings may name others that hold credentials."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """An opened workspace: where things are, and the clock that everything in it uses."""

    root: Path
    clock: Clock = field(default_factory=SystemClock)
    settles: bool = True
    """Whether who asks for incidents waits until all alerts are grouped; a console has that done beside."""
    database: Engine | None = field(default=None, repr=False, compare=False)
    """The database, where it is open for as long as the process runs; else who needs it opens it."""
    only: Unchanged | None = field(default=None, repr=False, compare=False)
    """What a change is made on: its journal refuses what does not follow that."""

    def __reduce__(self) -> tuple[type[Workspace], tuple[Path, Clock, bool]]:
        """Leave the open database behind: another process opens its own."""
        return Workspace, (self.root, self.clock, self.settles)

    @property
    def state(self) -> Path:
        """The folder of everything that is not content."""
        return self.root / STATE

    @property
    def content(self) -> Path:
        """The folder of the user's own content."""
        return self.root / "content"


def init(root: Path, *, name: str = "", clock: Clock | None = None) -> Workspace:
    """Make a workspace in ``root``, as a git repository unless it is in one that you keep yourself.

    Raises UsageError if there is a workspace already.
    """
    from lemnis.store.git import Repository

    settings = root / SETTINGS
    if settings.exists():
        raise UsageError("this folder is a workspace already", at=Location(str(settings)))
    root.mkdir(parents=True, exist_ok=True)
    root = root.resolve()
    (root / "content").mkdir(exist_ok=True)
    (root / STATE).mkdir(mode=0o700, exist_ok=True)
    _ignore_state(root / ".gitignore")
    settings.write_text(yaml.safe_dump({"name": name or root.name}) + _BEGINNING, encoding="utf-8")
    workspace = Workspace(root, clock or default_clock())
    if not (root / ".git").exists():
        repository = Repository.create(root)
        repository.commit_all("Begin the workspace", author=AUTHOR, at=workspace.clock.now())
    return workspace


_BEGINNING = """\
gates:
  # Until advisories were pulled (lemnis content pull osv) nobody looks for known vulnerabilities:
  # with `block` the answer of a gate is then unknown.
  advisories: waive
"""


def _ignore_state(path: Path) -> None:
    """Keep state out of git; what else a repository ignores stays."""
    line = f"/{STATE}/"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if line not in before.splitlines():
        between = "" if not before or before.endswith("\n") else "\n"
        path.write_text(f"{before}{between}{line}\n", encoding="utf-8")


def open_workspace(root: Path | None = None, *, clock: Clock | None = None) -> Workspace:
    """Open the workspace in ``root``, else in ``LEMNIS_WORKSPACE``, else in this folder or one above it.

    Raises NotFoundError where there is none.
    """
    chosen = root or (Path(os.environ["LEMNIS_WORKSPACE"]) if "LEMNIS_WORKSPACE" in os.environ else None)
    candidates = [chosen] if chosen else [Path.cwd(), *Path.cwd().parents]
    for candidate in candidates:
        if (candidate / SETTINGS).is_file():
            return Workspace(candidate.resolve(), clock or default_clock())
    raise NotFoundError(
        "no workspace here", at=Location(str(candidates[0])), fix="make one with `lemnis init DIR`"
    )


def around(root: Path | None) -> Workspace | None:
    """Open the workspace in ``root`` or around; None if none was asked for and there is none."""
    try:
        return open_workspace(root)
    except NotFoundError:
        if root is not None:
            raise
        return None


def default_clock() -> Clock:
    """Return the machine's clock, moved by LEMNIS_CLOCK_OFFSET milliseconds if that is set.

    With an offset, recorded input is worked on as if it came now: a demonstration, an exercise, a replay.
    Raises UsageError if it is not a whole number.
    """
    text = os.environ.get("LEMNIS_CLOCK_OFFSET", "")
    if not text:
        return SystemClock()
    try:
        return OffsetClock(int(text))
    except ValueError as error:
        raise UsageError(
            f"LEMNIS_CLOCK_OFFSET is {text!r}, not a number of milliseconds", fix="unset it"
        ) from error


def library(workspace: Workspace | None) -> Library:
    """Open the workspace's content over what ships with Lemnis; only that where there is no workspace."""
    from lemnis.content.library import Library

    return Library.open(workspace.content if workspace else None)


def engine(workspace: Workspace) -> Engine:
    """Open the workspace's database: LEMNIS_DATABASE_URL (PostgreSQL) if set, else ``.lemnis/journal.db``.

    It is the one that is open already, if there is.
    """
    from lemnis.store.database import open_engine

    if workspace.database is not None:
        return workspace.database
    return open_engine(os.environ.get("LEMNIS_DATABASE_URL") or workspace.state / "journal.db")


def journal(workspace: Workspace, *, on: Engine | None = None) -> SqlJournal:
    """Open the workspace's journal, on an engine that is open already if given."""
    from lemnis.store.journal import SqlJournal

    return SqlJournal(on if on is not None else engine(workspace), workspace.clock, only=workspace.only)


def lake(workspace: Workspace) -> Lake:
    """Open the workspace's event lake; raises ContentError where the settings are wrong."""
    from lemnis.app import settings
    from lemnis.store.deadletters import Keep
    from lemnis.store.lake import Lake

    kept = settings.load(workspace).dead_letters
    keep = Keep(kept.days, int(kept.megabytes * 1_000_000))
    return Lake(workspace.state / "lake", workspace.clock, keep=keep)


def events(workspace: Workspace) -> Readable:
    """Open the lake of a workspace's events, to ask and to keep it.

    It is that of the cluster where the settings have one (``cluster``), else the workspace's own (``lake``).
    Raises ContentError where the settings are wrong, UsageError where the storage's keys are not set.
    """
    from lemnis.app.cluster import remote

    return remote(workspace) or lake(workspace)


def clustered(workspace: Workspace) -> bool:
    """Say whether a workspace is of a cluster."""
    from lemnis.app import settings

    return settings.load(workspace).cluster is not None


def alone(workspace: Workspace) -> Workspace:
    """Return a workspace that has a lake of its own; raises UsageError where it is of a cluster."""
    if clustered(workspace):
        raise UsageError(
            "this workspace is of a cluster, whose lake is written by its workers", at=Location(SETTINGS),
            fix="send it to a gateway of the cluster (`lemnis worker gateway`), or use a workspace without "
            "`cluster:`",
        )  # fmt: skip
    return workspace


def vault(workspace: Workspace) -> Vault:
    """Open the workspace's evidence vault."""
    from lemnis.store.vault import FileVault

    return FileVault(workspace.state / "vault")


def cache_folder() -> Path:
    """Return where is kept what is worked out anew without a workspace: XDG_CACHE_HOME, or ``~/.cache``."""
    from lemnis.store import cache

    return cache.folder()


def require_file(path: Path) -> None:
    """Raise NotFoundError unless a path leads to a file; of a folder it says that it is one."""
    if path.is_dir():
        raise NotFoundError("this is a folder", at=Location(str(path)), fix="name a file in it")
    if not path.is_file():
        raise NotFoundError("no such file", at=Location(str(path)))

"""Where a workspace's grouping is kept, and what it says without loading what it takes to group."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from lemnis.content import yaml
from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.ids import canonical, digest
from lemnis.incidents import entries as writing
from lemnis.incidents import handling
from lemnis.store.groups import Groups

if TYPE_CHECKING:
    from lemnis import app
    from lemnis.content.library import Library
    from lemnis.store.journal import SqlJournal

LOCK = "correlate.lock"
FILE = "grouping.db"
SETTLED = "settled"
"""The note of how far the journal was when everything in it was grouped and published."""
GROUPED = frozenset({
    writing.ALERT, writing.REPEATED, writing.SUPPRESSED, *writing.KINDS, handling.SEVERITY, handling.PRIORITY,
})  # fmt: skip
"""The kinds of entries that are grouped, or published of incidents; all others leave nothing to do."""
_GROUPING = "default"


def load_grouping(library: Library) -> Grouping:
    """Read how alerts are grouped; raises ContentError with file, line and column."""
    return yaml.load(library.get("correlations", _GROUPING).manifest, Grouping)


def open_groups(workspace: app.Workspace, library: Library) -> Groups:
    """Open what was grouped by the same content."""
    manifest = library.get("correlations", _GROUPING).manifest.read_text("utf-8")
    return Groups(workspace.state / "cache" / FILE, digest(canonical(manifest)))


def place(head: tuple[int, str]) -> str:
    """Return how far a journal is, as it is noted."""
    return f"{head[0]} {head[1]}"


def settled(workspace: app.Workspace, library: Library, journal: SqlJournal) -> bool:
    """Say whether all that the journal has was grouped and published, so that nothing is left to do."""
    if not (workspace.state / "cache" / FILE).exists():
        return False
    with closing(open_groups(workspace, library)) as groups:
        noted = groups.note(SETTLED) if groups.current else ""
    if not noted or noted == place(journal.head()):
        return bool(noted)
    seq, _, seen = noted.partition(" ")
    last = next(iter(journal.some(int(seq) - 1, 1)), None)
    return last is not None and last.hash == seen and not GROUPED & journal.counts(int(seq)).keys()


def loose(workspace: app.Workspace, library: Library) -> int:
    """Return how many alerts are in no incident, because what they are tied to does not weigh enough."""
    with closing(open_groups(workspace, library)) as groups:
        return groups.loose_count() if groups.current else 0

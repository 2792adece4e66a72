"""Scans of commits, kept by tree in the workspace's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from importlib import metadata
from pathlib import Path

from lemnis import app
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts import scanning
from lemnis.contracts.findings import Health, ScanReport
from lemnis.store import durable
from lemnis.store.git import Commit, Repository


class Kept(MutableMapping[str, bytes]):
    """A folder of files by key: a cache, which may be lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, key: str) -> bytes:
        """Return what is kept; raises KeyError."""
        try:
            return (self._folder / key).read_bytes()
        except OSError as error:
            raise KeyError(key) from error

    def __setitem__(self, key: str, value: bytes) -> None:
        """Keep it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        durable.write(self._folder / key, value)

    def __delitem__(self, key: str) -> None:
        """Forget it."""
        (self._folder / key).unlink()

    def __iter__(self) -> Iterator[str]:
        """Yield the keys."""
        yield from sorted(path.name for path in self._folder.glob("*"))

    def __len__(self) -> int:
        """Return how many are kept."""
        return sum(1 for _ in self)


Maker = Callable[[Library, app.Workspace | None], Iterable[scanning.Scanner]]
"""Makes scanners from the content and the workspace, if there is one."""

OWN: tuple[Maker, ...] = ()
"""The scanners that are Python: a function here for each group of them, which loads its room when called."""
GROUP = "lemnis.scanners"
"""Entry points of other packages that are such functions."""


def own(library: Library, workspace: app.Workspace | None) -> list[scanning.Scanner]:
    """Return the scanners that are Python: ours, and those that installed packages register."""
    others = (point.load() for point in metadata.entry_points(group=GROUP))
    return [scanner for maker in (*OWN, *others) for scanner in maker(library, workspace)]


def scanners(library: Library) -> list[Scanner]:
    """Return a library's scanners; raises ContentError for the first that cannot be read."""
    return [yaml.load(item.manifest, Scanner) for item in library.items("scanners").values()]


def reports(
    workspace: app.Workspace, repository: Repository, commits: Sequence[Commit]
) -> Mapping[str, ScanReport]:
    """Scan the whole tree of each commit with the workspace's scanners."""
    from lemnis.scan.history import history

    chosen = scanners(app.library(workspace))
    return history(repository, commits, chosen, Kept(workspace.state / "cache" / "scans"))


def trouble(report: ScanReport) -> str:
    """Say what a scan could not look at; empty if it looked at everything."""
    bad = [f"{one.tool}: {'; '.join(one.errors)}" for one in report.health if one.state is not Health.OK]
    return "; ".join(bad)

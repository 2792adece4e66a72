"""Scans of commits, kept by tree in the workspace's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts import scanning
from lemnis.contracts.errors import ContentError, Location, NotFoundError
from lemnis.contracts.findings import Health, ScanReport
from lemnis.store import durable
from lemnis.store.git import Commit, Repository

if TYPE_CHECKING:
    from lemnis.scan.runner import Progress, Scan


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
        """Keep it, if the folder can be written."""
        with suppress(OSError):
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

    def trim(self, most: int) -> None:
        """Forget what was kept longest ago, until no more than ``most`` are left."""
        oldest = sorted(self._folder.glob("*"), key=lambda path: path.stat().st_mtime_ns)
        for path in oldest[: max(len(oldest) - most, 0)]:
            path.unlink(missing_ok=True)


_MOST_KEPT = 2000


def kept(workspace: app.Workspace, name: str) -> Kept:
    """Return a cache of the workspace."""
    return Kept(workspace.state / "cache" / name)


Maker = Callable[[Library, app.Workspace | None], Iterable[scanning.Scanner]]
"""Makes scanners from the content and the workspace, if there is one."""


def _checks(library: Library, workspace: app.Workspace | None) -> Iterable[scanning.Scanner]:
    from lemnis.app import checks

    return checks.scanners(library, workspace)


def _vulnerabilities(library: Library, workspace: app.Workspace | None) -> Iterable[scanning.Scanner]:
    from lemnis.app import vulnerabilities

    return vulnerabilities.scanners(library, workspace)


OWN: tuple[Maker, ...] = (_checks, _vulnerabilities)
"""The scanners that are Python: a function here for each group of them, which loads its room when called."""
VULNERABILITIES = "lemnis_vulnerabilities"
GATING = ("lemnis", "lemnis_modules", "lemnis_images", VULNERABILITIES)
"""Those of ours that take part in every gate: they go by content and by data whose state is told."""
GROUP = "lemnis.scanners"
"""Entry points of other packages that are such functions."""


def own(library: Library, workspace: app.Workspace | None) -> list[scanning.Scanner]:
    """Return the scanners that are Python: ours, and those that installed packages register."""
    others = (point.load() for point in metadata.entry_points(group=GROUP))
    return [scanner for maker in (*OWN, *others) for scanner in maker(library, workspace)]


def scanners(library: Library) -> list[Scanner]:
    """Return a library's scanners; raises ContentError for the first that cannot be read.

    The rules that one names are files in its own folder: what is there of them, by their whole paths.
    """
    return [_scanner(item) for item in library.items("scanners").values()]


def _scanner(item: Item) -> Scanner:
    from lemnis.scan.languages import narrowed

    made = yaml.load(item.manifest, Scanner)
    found = sorted(
        str(path) for pattern in made.rules for path in item.folder.glob(pattern) if path.is_file()
    )
    return narrowed(made.model_copy(update={"rules": tuple(found)})) if made.rules else made


def scan(
    path: Path,
    library: Library,
    workspace: app.Workspace | None = None,
    *,
    asked: Sequence[str] = (),
    progress: Progress = lambda _name, _health: None,
) -> Scan:
    """Scan a folder or a file as it lies there; with a workspace, what was found goes into its lake.

    Only the scanners named in ``asked`` run, if any is. Raises NotFoundError if there is nothing there or no
    such scanner.
    """
    from lemnis.scan.runner import scan as run

    programs, pythons = scanners(library), own(library, workspace)
    known = sorted([*(one.name for one in programs), *(one.name for one in pythons)])
    for name in asked:
        if name not in known:
            raise NotFoundError(f"no scanner {name!r}", fix=f"there are: {', '.join(known)}")
    kept = Kept(app.cache_folder() / "scans" if workspace is None else workspace.state / "cache" / "scanned")
    with ThreadPoolExecutor(max_workers=1) as meanwhile:
        if workspace is not None:
            meanwhile.submit(_ready, workspace)
        done = run(path, programs, pythons, kept=kept, versions=_versions(), asked=asked, progress=progress)
    kept.trim(_MOST_KEPT)
    if workspace is not None:
        from lemnis.app import findings_life, pipeline

        resource = str(path.resolve())
        pipeline.into_lake(workspace, done.report, resource=resource, revision="work tree")
        if not asked:
            findings_life.remember(workspace, done.report, resource=resource, revision="work tree")
    return done


def _versions() -> Kept:
    """Return what programs say of themselves, by their files: for all workspaces, as asking takes a while."""
    return Kept(app.cache_folder() / "programs")


def _ready(workspace: app.Workspace) -> None:
    """Load and open what keeps findings: that takes a second, in which the programs can run.

    What fails here fails again where it is used, and is told there.
    """
    import pyarrow as pa

    from lemnis.app import findings_life

    for name in ("app.pipeline", "scan.posture", "store.lake"):
        import_module(f"lemnis.{name}")
    pa.array([0])  # the first one looks for pandas, and loads it if it is installed
    findings_life.store(workspace)


def reports(
    workspace: app.Workspace,
    repository: Repository,
    commits: Sequence[Commit],
    *,
    library: Library | None = None,
) -> Mapping[str, ScanReport]:
    """Scan the whole tree of each commit with the scanners that gates go by; raises as ``gating`` does.

    They are those of the workspace's content as it is, or of another ``library``.
    """
    from lemnis.scan.history import history

    programs, pythons = gating(workspace, library or app.library(workspace))
    steady = [one for one in pythons if one.definition]
    kept = Kept(workspace.state / "cache" / "scans")
    found = history(repository, commits, programs, kept, steady)
    changing = [one for one in pythons if not one.definition and _reads(one, repository, commits)]
    if not changing:
        return found
    alike = _alike(changing, repository, commits)
    more = history(repository, list({one.id: one for one in alike.values()}.values()), (), None, changing)
    return {name: _both(report, more[alike[name].id]) for name, report in found.items()}


def gated(workspace: app.Workspace, folder: Path) -> ScanReport:
    """Scan a folder as it lies there with the scanners that gates go by; raises as ``gating`` does."""
    from lemnis.scan.runner import scan as run

    programs, pythons = gating(workspace, app.library(workspace))
    kept = Kept(workspace.state / "cache" / "scanned")
    names = [*(one.name for one in programs), *(one.name for one in pythons)]
    return run(folder, programs, pythons, kept=kept, versions=_versions(), asked=names).report


def gating(workspace: app.Workspace, library: Library) -> tuple[list[Scanner], list[scanning.Scanner]]:
    """Return the programs and our own scanners that gates go by: those that always do, and those named.

    What happens to be installed beside them must not change what a gate decided or a proof showed. Raises
    ContentError for a name in the settings that no scanner has.
    """
    from lemnis.app import settings

    programs, pythons = scanners(library), own(library, workspace)
    wanted = set(settings.load(workspace).gates.scanners)
    there = {one.name for one in programs} | {one.name for one in pythons}
    if missing := sorted(wanted - there):
        raise ContentError(
            f"gates.scanners: no scanner {missing[0]!r}", at=Location(str(workspace.root / app.SETTINGS)),
            fix="`lemnis content list scanners` shows the programs; ours always take part",
        )  # fmt: skip
    return (
        [one for one in programs if one.part == "always" or one.name in wanted],
        [one for one in pythons if one.name in wanted or one.name in GATING],
    )


def _reads(scanner: scanning.Scanner, repository: Repository, commits: Sequence[Commit]) -> bool:
    """Say whether a scanner has something to read in any commit: laying trees out for nothing is slow."""
    paths = frozenset().union(*(_files(repository.path, one.id) for one in commits))
    return any(map(scanner.fits, paths))


def _alike(
    own: Sequence[scanning.Scanner], repository: Repository, commits: Sequence[Commit]
) -> Mapping[str, Commit]:
    """Return for each commit the first that has the same of all that some scanners read.

    What looks at all commits anew each time needs to look at that one only. Of an image's layout, what fits
    is one file, and what is read are all in its folder.
    """
    first: dict[frozenset[tuple[str, str]], Commit] = {}
    found = {}
    for one in commits:
        files = _files(repository.path, one.id)
        read = {path for path in files if any(scanner.fits(path) for scanner in own)}
        layouts = tuple(path.removesuffix("oci-layout") for path in read if path.endswith("oci-layout"))
        read |= {path for path in files if layouts and path.startswith(layouts)}
        found[one.id] = first.setdefault(frozenset((path, files[path]) for path in read), one)
    return found


@lru_cache(maxsize=4096)
def _files(repository: Path, commit: str) -> Mapping[str, str]:
    """Return a commit's files, path to blob, which never change."""
    return Repository(repository).files(commit)


def _both(one: ScanReport, other: ScanReport) -> ScanReport:
    return ScanReport((*one.findings, *other.findings), (*one.health, *other.health))


def trouble(report: ScanReport) -> str:
    """Say what a scan could not look at; empty if it looked at everything."""
    bad = [f"{one.tool}: {'; '.join(one.errors)}" for one in report.health if one.state is not Health.OK]
    return "; ".join(bad)

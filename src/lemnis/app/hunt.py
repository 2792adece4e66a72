"""Hunting: rules over raw input, without a workspace."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lemnis import app
from lemnis.app import exceptions, hunt_jobs
from lemnis.app.hunt_correlation import Gathered, Signalled
from lemnis.app.hunt_jobs import Jobs, tasks, total
from lemnis.app.hunting import End, Excepted, Hit, Hunter, Progress, Skipped, Task
from lemnis.content.library import Item, Library
from lemnis.content.schemas.rule_exception import KIND
from lemnis.contracts.errors import ContentError, Location, NotFoundError
from lemnis.contracts.events import Reject
from lemnis.detect import RuleSet, load_rules
from lemnis.detect.rules import rule_files
from lemnis.ingest.reading import AUTO
from lemnis.ingest.streams import STDIN, walk

__all__ = ["Excepted", "Hit", "Progress", "Skipped", "excepting", "hunt", "rules"]

_FILTER = "filter.yml"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest, and leave alone what is made: nothing of so many rules is garbage.

    To look took half a second, longer than to hunt a small file.
    """
    resting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if resting:
            gc.enable()


def rules(paths: Sequence[Path]) -> RuleSet:
    """Load the rules in files and folders, or the built-in detections if none are given.

    Raises NotFoundError for a path that is not there.
    """
    for path in paths:
        if not path.exists():
            raise NotFoundError("no such file or folder", at=Location(str(path)))
    library = Library.open()
    chosen = list(paths) or [item.manifest for item in library.items("detections").values()]
    empty = tuple(
        ContentError("no rules in this folder", at=Location(str(path)), fix="rules are *.yml files")
        for path in paths
        if not rule_files([path])
    )
    with _uncollected():
        loaded = load_rules(chosen, cache=app.cache_folder())
    return replace(loaded, problems=(*empty, *loaded.problems))


def excepting(
    paths: Sequence[Path], loaded: RuleSet
) -> tuple[tuple[exceptions.Compiled, ...], tuple[ContentError, ...]]:
    """Read exceptions from these rules: ``filter.yml`` files, or folders of them, as content has them.

    Return them and what is wrong: with a file, or that one is for none of the rules. Raises NotFoundError
    for a path that is not there.
    """
    found: list[exceptions.Compiled] = []
    problems: list[ContentError] = []
    called = exceptions.Called(loaded.rules)
    for path in paths:
        if not path.exists():
            raise NotFoundError("no such file or folder", at=Location(str(path)))
        files = sorted(path.rglob(_FILTER)) if path.is_dir() else [path]
        if not files:
            problems.append(ContentError(f"no {_FILTER} in this folder", at=Location(str(path))))
        for file in files:
            try:
                made = exceptions.compiled(Item(KIND, file.parent.name, file.parent, file, own=True))
            except ContentError as error:
                problems.append(error)
                continue
            found.append(made)
            if not called.meant(made):
                problems.append(ContentError("it is for none of these rules", at=Location(str(file))))
    return tuple(found), tuple(problems)


def hunt(
    paths: Sequence[Path],
    loaded: RuleSet,
    *,
    source: str = AUTO,
    jobs: int = 1,
    made: tuple[exceptions.Compiled, ...] = (),
) -> Generator[Hit | Reject | Skipped | Progress | Excepted, None, None]:
    """Yield what matched, what could not be read, and what was left out, in order of the input.

    What exceptions (``made``) hold back, as of the records' times, is counted and no match.

    ``jobs`` processes look at once if the input is worth it. They import the program that asks: it has to be
    one that can be imported (``if __name__ == "__main__"``). Raises NotFoundError for a path or a source that
    is not there.
    """
    for path in paths:
        if str(path) != STDIN and not path.exists():
            raise NotFoundError("no such file or folder", at=Location(str(path)))
    with _uncollected():
        hunter = Hunter(loaded, tuple(paths), source, made)
    for path in paths:
        if path.is_dir() and next(iter(walk([path])), None) is None:
            yield Reject(Location(str(path)), "the folder is empty")
    files = list(walk(paths))
    gathered = Gathered(loaded)
    several = jobs if total(files) >= hunt_jobs.WORTH else 1
    todo = tasks(hunter, files) if several > 1 else [Task((file,)) for file in files]
    for item in Jobs(hunter, loaded, several).run(todo):
        if isinstance(item, Signalled):
            gathered.add(item)
        elif not isinstance(item, End):
            yield item
    for came in gathered.found():
        yield Hit(came.rule, came.time, came.file, came.record, came.event)
    for sentence in gathered.sentences():
        yield Reject(Location("correlations"), sentence)

"""Lessons as the workspace's git repository has them: on a branch, or merged; and content at any commit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lemnis import app
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.lesson import Lesson
from lemnis.contracts.errors import ContentError, IntegrityError, Location, NotFoundError
from lemnis.contracts.ids import tree_digest
from lemnis.store.git import Repository

PREFIX = "lesson/"
BESIDE_GATE = ("content/checks/{}/", "content/scanners/opengrep/rules/{}.yaml")
"""Where that lies by which a lesson's gate finds the cause, by the gate's name, if it brought any."""
PLAYBOOK = "content/playbooks/{}/"
"""Where the playbook lies that a lesson drafts where the response was slow, by the gate's name."""
_HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Written:
    """A lesson in git: ``commit`` is its newest state, ``first`` brought it in, ``base`` was before that."""

    id: str
    branch: str
    commit: str
    first: str
    base: str
    merged: bool
    lesson: Lesson


def repository(workspace: app.Workspace) -> Repository:
    """Return the workspace's own git repository; raises NotFoundError if it has none."""
    found = Repository(workspace.root)
    found.resolve("HEAD")
    return found


def branch_of(lesson: str) -> str:
    """Return the name of a lesson's branch."""
    return PREFIX + lesson


def names(workspace: app.Workspace) -> list[str]:
    """Return the ids of all lessons: those on branches, and those that were merged."""
    git = repository(workspace)
    heads = git.run("for-each-ref", "--format=%(refname)", f"{_HEADS}{PREFIX}").decode().split()
    found = {head.removeprefix(f"{_HEADS}{PREFIX}") for head in heads}
    found |= {
        parts[2]
        for path in git.files("HEAD")
        if len(parts := path.split("/")) > 3 and path.startswith("content/lessons/")  # noqa: PLR2004
    }
    return sorted(found)


def find(workspace: app.Workspace, lesson: str) -> Written:
    """Return a lesson; raises NotFoundError naming those that there are, ContentError if it is no lesson."""
    git = repository(workspace)
    file = f"content/lessons/{lesson}/lesson.yaml"
    head = git.files("HEAD")
    branch = ""
    try:
        commit, branch = git.resolve(f"{_HEADS}{branch_of(lesson)}"), branch_of(lesson)
    except NotFoundError:
        commit = git.resolve("HEAD")
        if file not in head:
            there = ", ".join(names(workspace)) or "none"
            raise NotFoundError(f"no lesson {lesson!r}", fix=f"there are: {there}") from None
    text = git.read(commit, file).decode(errors="replace")
    out = git.run("log", "--diff-filter=A", "--format=%H %P", commit, "--", file).decode().splitlines()
    if not out or len(out[-1].split()) < 2:  # noqa: PLR2004 - a commit and its parent
        raise ContentError(
            f"lesson {lesson} has nothing before it: it is not proposed on a base", at=Location(file),
            fix="commit the workspace first, and propose it anew",
        )  # fmt: skip
    first, base = out[-1].split()[:2]
    return Written(
        lesson, branch, commit, first, base, file in head,
        yaml.load(text, Lesson, file=f"{commit[:12]}:{file}"),
    )  # fmt: skip


def lesson_files(workspace: app.Workspace, written: Written) -> dict[str, bytes]:
    """Return the files of a lesson's change set as they are now, by path."""
    tree = repository(workspace).tree(written.commit)
    return {path: data for path, data in tree if path.startswith(folders(written))}


def files_digest(workspace: app.Workspace, written: Written) -> str:
    """Return the digest of a lesson's change set as it is now."""
    return tree_digest(lesson_files(workspace, written).items())


def folders(written: Written) -> tuple[str, ...]:
    """Return the folders that are a lesson's own, those that it may have too, and its scanner's rule."""
    lesson = written.lesson
    return (
        f"content/policies/{lesson.gate}/", f"content/detections/{lesson.detection}/",
        f"content/threats/{lesson.threat}/", f"content/lessons/{lesson.id}/",
        *(place.format(lesson.gate) for place in (*BESIDE_GATE, PLAYBOOK)),
    )  # fmt: skip


def beside(workspace: app.Workspace, written: Written) -> tuple[str, ...]:
    """Return what a lesson's branch changes that is not the lesson's own; nothing once it is merged."""
    git = repository(workspace)
    common = git.run("merge-base", "HEAD", written.commit).decode().split()[0]
    out = git.run("diff", "--name-only", "--no-renames", "-z", common, written.commit)
    paths = out.decode(errors="replace").split("\0")[:-1]
    return tuple(path for path in paths if not path.startswith(folders(written)))


@contextmanager
def laid_over(library: Library, files: Mapping[str, bytes]) -> Iterator[Library]:
    """Yield content with some files (``content/KIND/ITEM/…``) added; the content itself if there are none.

    Content is laid over other content by whole items, so what the library has of an item stays beside them.
    """
    if not files:
        yield library
        return
    whole: dict[str, bytes] = {}
    for kind, item in sorted({(path.split("/")[1], path.split("/")[2]) for path in files}):
        if (known := library.items(kind).get(item)) is not None:
            whole |= {f"content/{kind}/{item}/{path}": data for path, data in known.read()}
    with tempfile.TemporaryDirectory(prefix="lemnis-content-") as name:
        for path, data in {**whole, **files}.items():
            file = Path(name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        yield Library((*library.roots, Path(name) / "content"))


@contextmanager
def library_at(workspace: app.Workspace, revision: str) -> Iterator[Library]:
    """Yield the content as it was at a commit of the workspace, over the built-in content."""
    inside = f"{_place(workspace)}content/"
    with tempfile.TemporaryDirectory(prefix="lemnis-content-") as name:
        root = Path(name)
        (root / "content").mkdir()
        for path, data in repository(workspace).tree(revision):
            if not path.startswith(inside):
                continue
            file = root / "content" / path.removeprefix(inside)
            if ".." in PurePosixPath(path).parts or path.startswith("/"):
                raise IntegrityError(f"{revision[:12]} holds a file name that leads outside: {path}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        yield Library.open(root / "content")


def _place(workspace: app.Workspace) -> str:
    """Return where the workspace lies in its repository: "", or a path that ends in a slash."""
    return repository(workspace).run("rev-parse", "--show-prefix").decode("utf-8", "surrogateescape").strip()

"""The library: every item of content, from the built-in folder with the workspace's own laid over it.

An item is a folder ``KIND/NAME/`` with a file that makes it one (``rule.yml``, ``policy.yaml`` …). Actions
are single files, ``actions/GROUP/NAME.yaml``, and are named ``GROUP.NAME``; ``exceptions/NAME.yaml`` (from a
policy), ``protected/NAME.yaml`` and ``roles/NAME.yaml`` are too, while ``exceptions/NAME/filter.yml`` is an
exception from rules; so are the files of what is known beside the events, ``assets/NAME.yaml``,
``identities/NAME.yaml`` and ``networks/NAME.yaml``.
There is no list of items anywhere: what lies there is what there is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import lemnis
from lemnis.contracts.errors import ContentError, Location, NotFoundError, choices
from lemnis.contracts.ids import tree_digest

MANIFESTS: Mapping[str, str] = MappingProxyType(
    {
        "sources": "source.yaml",
        "detections": "rule.yml",
        "correlations": "grouping.yaml",
        "handling": "handling.yaml",
        "policies": "policy.yaml",
        "playbooks": "playbook.yaml",
        "pulls": "pull.yaml",
        "searches": "search.yaml",
        "scanners": "scanner.yaml",
        "readers": "reader.yaml",
        "checks": "check.yaml",
        "threats": "threat.yaml",
        "lessons": "lesson.yaml",
        "rule_exceptions": "filter.yml",
    }
)
FOLDERS: Mapping[str, str] = MappingProxyType({"rule_exceptions": "exceptions"})
"""Where items of a kind lie that is not called as its folder is."""
ACTIONS = "actions"
EXCEPTIONS = "exceptions"
PROTECTED = "protected"
ROLES = "roles"
REFERENCE = ("assets", "identities", "networks")
"""Kinds of which an item is a file with many records."""
_FILES = frozenset({ACTIONS, EXCEPTIONS, PROTECTED, ROLES, *REFERENCE})
KINDS = (*MANIFESTS, ACTIONS, EXCEPTIONS, PROTECTED, ROLES, *REFERENCE)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of content: its kind and name, its folder, its manifest, and whether the user's own."""

    kind: str
    name: str
    folder: Path
    manifest: Path
    own: bool

    def files(self) -> Iterator[Path]:
        """Yield the item's files, sorted."""
        yield from [self.manifest] if self.kind in _FILES else sorted(map(Path, self._below()[0]))

    def links(self) -> Iterator[Path]:
        """Yield what is a link among the item's files, sorted."""
        yield from sorted(map(Path, self._below()[1]))

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Yield each file: its path below the folder, its bytes; raises ContentError if one is a link."""
        files, links = self._below()
        if links:
            raise _linked(Path(min(links)))
        start = len(str(self.folder)) + 1
        for path in files:
            with open(path, "rb") as file:  # noqa: PTH123 - there are thousands
                yield path[start:].replace(os.sep, "/"), file.read()

    def _below(self) -> tuple[list[str], list[str]]:
        """Return its regular files and its links, which are not followed: nothing outside is taken in."""
        if self.kind in _FILES:
            path = str(self.manifest)
            return ([], [path]) if self.manifest.is_symlink() else ([path], [])
        files, links, folders = [], [], [str(self.folder)]
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        links.append(entry.path)
                    elif entry.is_dir():
                        folders.append(entry.path)
                    elif entry.is_file():
                        files.append(entry.path)
        return files, links


@dataclass(frozen=True)
class Library:
    """Content from one or two roots; later roots shadow earlier ones, item by item."""

    roots: tuple[Path, ...]
    _problems: list[ContentError] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(cls, overlay: Path | None = None, *, builtin: Path | None = None) -> Library:
        """Open the built-in content, with ``overlay`` (a workspace's ``content/``) laid over it."""
        roots = [builtin or builtin_root()]
        if overlay is not None and overlay.is_dir():
            roots.append(overlay)
        return cls(tuple(roots))

    @cached_property
    def _items(self) -> Mapping[str, Mapping[str, Item]]:
        found: dict[str, dict[str, Item]] = {kind: {} for kind in KINDS}
        for number, root in enumerate(self.roots):
            for item in self._discover(root, own=number > 0):
                found[item.kind][item.name] = item
        return {kind: dict(sorted(items.items())) for kind, items in found.items()}

    def _discover(self, root: Path, *, own: bool) -> Iterator[Item]:
        for kind, manifest in MANIFESTS.items():
            place = root / FOLDERS.get(kind, kind)
            for folder in sorted(path for path in place.glob("*") if path.is_dir()):
                if (folder / manifest).is_file():
                    yield Item(kind, folder.name, folder, folder / manifest, own)
                else:
                    self._problems.append(
                        ContentError(f"no {manifest} in this folder", at=Location(str(folder)), fix="add it")
                    )
        for path in sorted((root / ACTIONS).glob("*/*.yaml")):
            yield Item(ACTIONS, f"{path.parent.name}.{path.stem}", path.parent, path, own)
        for kind in (EXCEPTIONS, PROTECTED, ROLES, *REFERENCE):
            for path in sorted((root / kind).glob("*.yaml")):
                yield Item(kind, path.stem, path.parent, path, own)

    def items(self, kind: str) -> Mapping[str, Item]:
        """Return the items of a kind by name; raises NotFoundError for a kind there is not."""
        if kind not in self._items:
            raise NotFoundError(f"no kind of content {kind!r}", fix=f"one of {', '.join(KINDS)}")
        return self._items[kind]

    def get(self, kind: str, name: str) -> Item:
        """Return one item; raises NotFoundError naming what there is."""
        items = self.items(kind)
        if name not in items:
            fix = choices(name, items, f"`lemnis content list --kind {kind}`")
            raise NotFoundError(f"no {_one_of(kind)} {name!r}", fix=fix)
        return items[name]

    @cached_property
    def digest(self) -> str:
        """Digest of every effective item's files, by kind, name and path: what decided, in one value.

        Raises ContentError where an item holds a link: what decides could change, and the digest would not.
        """
        return tree_digest(
            (f"{kind}/{name}/{path}", data)
            for kind, items in self._items.items()
            for name, item in items.items()
            for path, data in item.read()
        )

    def stamped(self) -> Library:
        """Note what lies there, and return itself: for whoever keeps it and asks whether it ``stands``."""
        self.__dict__["_stamp"] = _stamp(self.roots)
        return self

    @property
    def stands(self) -> bool:
        """Say whether no file came, went or was written since it was ``stamped``; none is read for that."""
        return self.__dict__.get("_stamp") == _stamp(self.roots)

    @property
    def problems(self) -> tuple[ContentError, ...]:
        """What lies in the content folders and is no item, or is a link."""
        items = (item for items in self._items.values() for item in items.values())
        return (*self._problems, *(_linked(path) for item in items for path in item.links()))


def _stamp(roots: Iterable[Path]) -> int:
    """Return a number of every file's path, size and times, and of what links are called."""
    found: list[tuple[str | int, ...]] = []
    folders = [str(root) for root in roots]
    for folder in folders:
        found.append((folder,))
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                told = entry.stat(follow_symlinks=False)
                found.append((entry.path, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns))
    return hash(tuple(found))


def builtin_root() -> Path:
    """Return the content that ships with Lemnis: beside ``src`` in a checkout, package data in a wheel."""
    return _shipped("content")


def examples_root() -> Path:
    """Return the examples that ship with Lemnis."""
    return _shipped("examples")


def _shipped(name: str) -> Path:
    package = Path(lemnis.__file__).parent
    for candidate in (package / "_data" / name, package.parent.parent / name):
        if candidate.is_dir():
            return candidate
    raise NotFoundError(
        f"the built-in {name} is missing", at=Location(str(package)), fix="install Lemnis again"
    )


def _linked(path: Path) -> ContentError:
    return ContentError(
        "a link, which the digest of the content does not cover", at=Location(str(path)),
        fix="put the file itself here",
    )  # fmt: skip


def _one_of(kind: str) -> str:
    """Return what one item of a kind is called."""
    for ending, single in (("ies", "y"), ("ches", "ch"), ("s", "")):
        if kind.endswith(ending):
            return kind.removesuffix(ending).replace("_", " ") + single
    return kind

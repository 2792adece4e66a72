"""Saved searches: `content/searches/NAME/search.yaml`, shipped or a workspace's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml as pyyaml

from lemnis import app
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.search import KIND, NAME, SavedSearch
from lemnis.contracts.errors import ContentError, InputError, Location, NotFoundError, UsageError
from lemnis.store import durable
from lemnis.store import search as searching
from lemnis.store.searching import pipes

_NAMED = re.compile(r"\s*@([A-Za-z0-9][\w-]*)\s*(.*)", re.DOTALL)
_NOTHING = SavedSearch(title="-", query="-")


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved search: its name, what its file says, where that is, and whether it is the workspace's own."""

    name: str
    search: SavedSearch
    path: Path
    own: bool


def names(workspace: app.Workspace) -> list[str]:
    """Return the names of all saved searches."""
    return list(app.library(workspace).items(KIND))


def every(library: Library) -> tuple[list[Saved], list[ContentError]]:
    """Return the saved searches by name, and what is wrong with those that cannot be used."""
    found, wrong = [], []
    for item in library.items(KIND).values():
        try:
            found.append(read(item))
        except ContentError as error:
            wrong.append(error)
    return found, wrong


def load(library: Library, name: str) -> Saved:
    """Return one; raises NotFoundError, and ContentError with file, line and column."""
    items = library.items(KIND)
    if name not in items:
        known = ", ".join(items) or "none"
        raise NotFoundError(f"there is no saved search {name}", fix=f"there are: {known}")
    return read(items[name])


def expand(workspace: app.Workspace, text: str) -> tuple[str, SavedSearch]:
    """Return the query that ``@NAME`` or ``@NAME | stages`` stands for, with its saved search; else the text.

    Raises NotFoundError for a name there is not, ContentError where its file is wrong.
    """
    found = _NAMED.fullmatch(text)
    if not found:
        return text, _NOTHING
    saved = load(app.library(workspace), found[1]).search
    if found[2] and not found[2].startswith("|"):
        at = Location("query", 1, found.start(2) + 1)
        raise InputError("after a saved search come stages", at=at, fix=f"write @{found[1]} | where …")
    return f"{saved.query} {found[2]}", saved


def save(
    workspace: app.Workspace, name: str, query: str, *, title: str = "", since: str = "", until: str = ""
) -> Path:
    """Save a search in the workspace's content; return its file.

    Raises InputError for a query that cannot be read, UsageError for a name that cannot be one or is taken.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError(f"{name!r} cannot be a name", fix="use small letters, digits, - and _")
    searching.check(query)
    path = workspace.content / KIND / name / "search.yaml"
    if path.exists():
        raise UsageError(
            f"there is a saved search {name} already",
            at=Location(str(path)),
            fix="edit it, or choose another name",
        )
    given = {"title": title or name, "query": query, "since": since, "until": until}
    model = SavedSearch.model_validate({key: value for key, value in given.items() if value})
    shown = {key: value for key, value in model.model_dump(exclude_defaults=True).items() if value}
    text = pyyaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=1000)
    durable.write(path, text.encode())
    path.chmod(0o644)
    return path


def read(item: Item) -> Saved:
    """Read a file and check what it asks; raises ContentError with file, line and column."""
    search = yaml.load(item.manifest, SavedSearch)
    try:
        searching.check(search.query)
    except InputError as error:
        raise _at(item.manifest, ("query",), search.query, error) from error
    if search.schedule is not None:
        try:
            pipes.test_of(search.schedule.when)
        except InputError as error:
            raise _at(item.manifest, ("schedule", "when"), search.schedule.when, error) from error
    return Saved(item.name, search, item.manifest, item.own)


def _at(path: Path, keys: tuple[str, ...], text: str, error: InputError) -> ContentError:
    """Return an error in a query as one of its file: at the character, where it stands on one line."""
    place = yaml.locate(path, keys)
    column = error.at.column if error.at else None
    lines = yaml.read_text(path).splitlines()
    line = lines[place.line - 1][(place.column or 1) - 1 :] if place.line and place.line <= len(lines) else ""
    quoted = line[:1] in {"'", '"'}
    if column is not None and line[int(quoted) :].startswith(text):
        exact = Location(place.file, place.line, (place.column or 1) + column - 1 + int(quoted))
        return ContentError(error.what, at=exact, fix=error.fix)
    where = f" (column {column} of the query)" if column is not None else ""
    return ContentError(f"{error.what}{where}", at=place, fix=error.fix)

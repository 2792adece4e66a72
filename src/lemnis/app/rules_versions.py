"""What a detection was, by whom and since when: of git's history of the content, and of the journal.

What was kept in the console and committed later is one version: who kept it is who changed it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lemnis import app
from lemnis.app.rules_saving import CHANGED, KIND, PROPOSED, tag_of
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.contracts.errors import InputError, LemnisError, NotFoundError
from lemnis.store.git import Repository

if TYPE_CHECKING:
    from lemnis.contracts.journal import Journal

MOST = 50
"""So many commits, and so many entries of the journal, are looked at."""
_FORMAT = "--format=%H%x00%an <%ae>%x00%at%x00%s"
_FIELDS = 4
How = Literal["ships", "kept", "committed", "proposed", "here"]


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """A text that a detection had: ``id`` names it, ``at`` (ms; 0 where nobody knows), by whom and why.

    It ``ships`` with Lemnis, was ``kept`` in the console, ``committed`` or ``proposed`` on a branch; what
    lies ``here`` was written by other means since. ``commit`` is that which brought it in, ``branch`` that of
    a proposal.
    """

    id: str
    how: How
    at: int
    by: str
    why: str
    text: str
    commit: str = ""
    branch: str = ""

    @property
    def tag(self) -> str:
        """What stands for its text."""
        return tag_of(self.text)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference: ``=``, ``-`` or ``+``; its numbers in both texts (0: it is not there).

    ``…`` stands for lines that are alike and left out.
    """

    sign: Literal["=", "-", "+", "…"]
    text: str
    old: int = 0
    new: int = 0


def versions(workspace: app.Workspace, name: str, *, journal: Journal | None = None) -> list[RuleVersion]:
    """Return the versions of a detection, newest first; raises NotFoundError where there never was one."""
    library = Library.open(workspace.content)
    commits = [*_committed(workspace, name)][::-1]  # git's times are whole seconds: what was kept came after
    known = [*commits, *_told(journal or app.journal(workspace), name)]
    known.sort(key=lambda one: one.at)
    found: list[RuleVersion] = [*_shipped(name), *_merged(known)]
    item = library.items(KIND).get(name)
    live = [one for one in found if one.how != "proposed"]
    if item is not None and item.own:
        text = yaml.read_text(item.manifest)
        if not live or live[-1].text != text:
            at = int(item.manifest.stat().st_mtime * 1000)
            found.append(RuleVersion("here", "here", at, "", "not committed yet", text))
    if not found:
        raise NotFoundError(
            f"there is no detection {name!r}", fix="`lemnis rules list` shows those there are"
        )
    return found[::-1]


def current(known: Sequence[RuleVersion], library: Library, name: str) -> RuleVersion | None:
    """Return the version that holds now; None where the detection was taken away. Pure but for its file."""
    item = library.items(KIND).get(name)
    if item is None:
        return None
    text = yaml.read_text(item.manifest)
    return next((one for one in known if one.how != "proposed" and one.text == text), None)


def version(known: Sequence[RuleVersion], wanted: str) -> RuleVersion:
    """Return one of the versions; raises NotFoundError. Pure."""
    found = next((one for one in known if one.id == wanted), None)
    if found is None:
        raise NotFoundError(f"there is no version {wanted!r}", fix=f"one of {', '.join(o.id for o in known)}")
    return found


def _merged(known: Iterable[RuleVersion]) -> list[RuleVersion]:
    """Return versions, oldest first; of those of the same text one after the other, the first. Pure."""
    found: list[RuleVersion] = []
    last: int | None = None
    for one in known:
        if one.how == "proposed":
            found.append(one)
        elif last is not None and found[last].text == one.text:
            commit = found[last].commit or one.commit
            found[last] = replace(
                one if (found[last].how, one.how) == ("committed", "kept") else found[last], commit=commit
            )
        else:
            last = len(found)
            found.append(one)
    return found


def _told(journal: Journal, name: str) -> list[RuleVersion]:
    """Return what was kept and proposed in the console."""
    found = []
    for entry in journal.entries(subject=name):
        if entry.kind in {CHANGED, PROPOSED}:
            how: How = "kept" if entry.kind == CHANGED else "proposed"
            payload = entry.payload
            found.append(
                RuleVersion(
                    f"j{entry.seq}", how, entry.at, entry.actor, entry.reason, str(payload.get("text", "")),
                    str(payload.get("commit", "")), str(payload.get("branch", "")),
                )
            )  # fmt: skip
    return found[-MOST:]


def _committed(workspace: app.Workspace, name: str) -> Iterator[RuleVersion]:
    """Yield what git has of it; nothing where the content is in no repository."""
    git = Repository(workspace.root)
    path = f"{workspace.content.name}/{KIND}/{name}/rule.yml"
    try:
        found = git.run("log", "-z", f"--max-count={MOST}", _FORMAT, "HEAD", "--", path)
    except LemnisError:  # no repository, no commit, no git: then it has no history there
        return
    parts = found.decode("utf-8", "replace").split("\0")
    for start in range(0, len(parts) - _FIELDS + 1, _FIELDS):
        commit, author, at, subject = parts[start : start + _FIELDS]
        try:
            text = git.run("show", "--end-of-options", f"{commit}:./{path}").decode("utf-8", "replace")
        except InputError:  # it was deleted there
            continue
        yield RuleVersion(commit[:12], "committed", int(at) * 1000, author, subject, text, commit)


def _shipped(name: str) -> Iterator[RuleVersion]:
    """Yield what Lemnis has of it."""
    item = Library.open().items(KIND).get(name)
    if item is not None:
        yield RuleVersion("ships", "ships", 0, "Lemnis", "ships with Lemnis", yaml.read_text(item.manifest))


def difference(before: str, after: str, *, around: int = 3) -> list[Line]:
    """Return what differs between two texts, with ``around`` lines before and after. Pure."""
    old, new = before.splitlines(), after.splitlines()
    found: list[Line] = []
    reached = 0
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(around):
        if group[0][1] > reached:
            found.append(Line("…", ""))
        for kind, a, b, c, d in group:
            if kind == "equal":
                found += [Line("=", old[n], n + 1, c + n - a + 1) for n in range(a, b)]
                continue
            found += [Line("-", old[n], n + 1, 0) for n in range(a, b)]
            found += [Line("+", new[n], 0, n + 1) for n in range(c, d)]
        reached = group[-1][2]
    if found and reached < len(old):
        found.append(Line("…", ""))
    return found

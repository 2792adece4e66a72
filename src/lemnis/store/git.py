"""Reads and writes git repositories by the ``git`` program: no shell, hooks, checkout or user settings.

Repositories are data from elsewhere: nothing in them is executed, and names are passed after
``--end-of-options`` so that a revision can never be taken for an option.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lemnis.contracts.errors import InputError, Location, NotFoundError, ServiceError

_SAFE = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never",
    "-c", "core.quotePath=false", "-c", "safe.directory=*", "-c", "commit.gpgSign=false",
    "-c", "log.showSignature=false", "-c", "gpg.program=/bin/false", "-c", "log.follow=false",
    "-c", "i18n.logOutputEncoding=UTF-8"
)  # fmt: skip
_LAST = 253_402_300_799
"""The last second that a date can name: a commit's author writes any number."""
_TIMEOUT = 60
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")
_PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
# NUL ends a field: the one character that no name and no message can hold.
_LOG = ("-z", "--topo-order", "--reverse", "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%s")
_WHOLE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOTHING = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The tree without a file, which every repository knows."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: ``at`` is the author's time (ms), ``parents`` are full hashes."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str
    email: str
    at: int
    subject: str


@dataclass(frozen=True, slots=True)
class BlameLine:
    """Who last touched a line: the commit, and the line's number there."""

    commit: str
    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository on this machine."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Repository:
        """Make an empty repository, with ``main`` as its first branch."""
        path.mkdir(parents=True, exist_ok=True)
        repository = cls(path)
        repository.run("init", "--quiet", "--template=", "--initial-branch=main")
        return repository

    def run(
        self,
        *arguments: str,
        data: bytes | None = None,
        extra: Mapping[str, str] | None = None,
        fine: Sequence[int] = (),
    ) -> bytes:
        """Run git here and return its output; exit codes in ``fine`` are no errors.

        Raises NotFoundError where this is no repository, InputError with git's own words when it refuses,
        ServiceError when git is missing or takes more than a minute.
        """
        if not self.path.is_dir():
            raise NotFoundError("no such folder", at=Location(str(self.path)))
        environment = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull, "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1", **(extra or {}),
        }  # fmt: skip
        try:
            done = subprocess.run(
                ["git", *_SAFE, "-C", str(self.path), *arguments],
                input=data, capture_output=True, env=environment, timeout=_TIMEOUT, check=False,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise ServiceError("git is not installed", fix="install git") from error
        except subprocess.TimeoutExpired as error:
            raise ServiceError(f"git {arguments[0]} took over {_TIMEOUT} s") from error
        if done.returncode and done.returncode not in fine:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(
                f"git {arguments[0]}: {words[-1] if words else f'exit {done.returncode}'}",
                at=Location(str(self.path)),
            )
        return done.stdout

    def resolve(self, revision: str) -> str:
        """Return the full hash of the commit that ``revision`` names; raises NotFoundError."""
        try:
            found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except InputError as error:
            raise NotFoundError(f"no commit {revision!r}", at=Location(str(self.path))) from error
        return found.decode().strip()

    def _ask(self, revisions: Sequence[str], *arguments: str, after: Sequence[str] = ()) -> bytes:
        """Run git on the commits that revisions name; raises NotFoundError for one that is not there.

        A whole hash is not looked up before, which would take a process more: git does so itself.
        """
        names = [f"{one}^{{commit}}" if _WHOLE.fullmatch(one) else self.resolve(one) for one in revisions]
        try:
            return self.run(*arguments, *names, *after)
        except InputError:
            for one in revisions:
                self.resolve(one)
            raise

    def commits(self, revision: str = "HEAD") -> list[Commit]:
        """Return the commits that ``revision`` reaches, oldest first."""
        return _commits(self._ask([revision], "log", *_LOG, after=("--",)))

    def holds(self, revision: str, commit: str) -> bool:
        """Say whether ``commit`` is ``revision`` or one of those that it builds on."""
        wanted, base = self.resolve(commit), self.resolve(revision)
        return not self.run("rev-list", "--max-count=1", wanted, f"^{base}").strip()

    def merge_base(self, one: str, other: str) -> str:
        """Return the commit at which two histories parted; empty if they have nothing in common."""
        ends = (self.resolve(one), self.resolve(other))
        return self.run("merge-base", "--all", *ends, fine=(1,)).decode().partition("\n")[0]

    def between(self, span: str) -> list[Commit]:
        """Return the commits of ``A..B``, or those that one revision reaches, oldest first."""
        first, dots, last = span.partition("..")
        found = self.commits(last.lstrip(".") or "HEAD") if dots else self.commits(span)
        before = {commit.id for commit in self.commits(first)} if dots and first else frozenset()
        return [commit for commit in found if commit.id not in before]

    def staged(self) -> Commit:
        """Return what is staged as a commit on top of HEAD that no branch leads to.

        The same staged files on the same HEAD are the same commit.
        """
        tree = self.run("write-tree").decode().strip()
        parents = [self.resolve("HEAD")] if self.branches() else []
        who = _identity("staged <>", 0)
        ends = [part for parent in parents for part in ("-p", parent)]
        made = self.run("commit-tree", tree, *ends, data=b"staged", extra=who).decode().strip()
        return Commit(made, tree, tuple(parents), "staged", "", 0, "staged")

    def touching(self, text: str) -> list[Commit]:
        """Return the commits of HEAD and all refs that change how often a text stands in files, oldest first.

        Merges are left out: what they bring in, others wrote.
        """
        refs = ("--branches", "--tags", "--remotes", self.resolve("HEAD"))
        return _commits(self.run("log", *_LOG, *_PLAIN, f"-S{text}", *refs))

    def branches(self) -> list[str]:
        """Return the names of the branches."""
        return self.run("for-each-ref", "--format=%(refname:short)", "refs/heads").decode().split()

    def changed(self, revision: str) -> list[tuple[str, str]]:
        """Return (status letter, path) of each file that a commit changed against its first parent."""
        out = self._ask(
            [revision], "diff-tree", "--root", "--no-commit-id", "-r", "-z", "--name-status", "--no-renames",
            "-m", "--first-parent", after=("--",),
        )  # fmt: skip
        parts = out.decode(errors="surrogateescape").split("\0")[:-1]
        return list(zip(parts[::2], parts[1::2], strict=True))

    def added(self, base: str, revision: str) -> list[tuple[str, int, str]]:
        """Return (path, line, text) of each line that ``revision`` adds to ``base`` (empty: to nothing)."""
        out = self._ask(
            [base, revision] if base else [revision], "diff", "--unified=0", "--no-color", "--no-ext-diff",
            "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/",
            *(() if base else (_NOTHING,)), after=("--",),
        )  # fmt: skip
        return list(_added(out.decode(errors="replace")))

    def files(self, revision: str) -> dict[str, str]:
        """Return the regular files of a commit: path to blob id. Links and submodules are left out."""
        out = self._ask([revision], "ls-tree", "-r", "-z", "--full-tree")
        return {path: blob for mode, blob, path in _entries(out) if mode.startswith("100")}

    def links(self, revision: str) -> dict[str, str]:
        """Return the symbolic links of a commit: path to where it points."""
        out = self._ask([revision], "ls-tree", "-r", "-z", "--full-tree")
        found = {path: blob for mode, blob, path in _entries(out) if mode == "120000"}
        texts = self._blobs(list(found.values()))
        return {path: text.decode(errors="surrogateescape") for path, text in zip(found, texts, strict=True)}

    def submodules(self, revision: str) -> list[str]:
        """Return the paths of a commit at which other repositories are to be put."""
        out = self._ask([revision], "ls-tree", "-r", "-z", "--full-tree")
        return [path for mode, _, path in _entries(out) if mode == "160000"]

    def read(self, revision: str, path: str) -> bytes:
        """Return a file's bytes at a commit; raises NotFoundError."""
        name = revision if _WHOLE.fullmatch(revision) else self.resolve(revision)
        try:
            return self.run("cat-file", "blob", f"{name}^{{commit}}:{path}")
        except InputError as error:
            commit = self.resolve(name)
            raise NotFoundError(f"no such file at {commit[:12]}", at=Location(path)) from error

    def tree(self, revision: str) -> Iterator[tuple[str, bytes]]:
        """Yield (path, bytes) of every regular file of a commit.

        Not by ``git archive``: there a commit's own ``.gitattributes`` leaves files out and changes others.
        """
        files = self.files(revision)
        yield from zip(files, self._blobs(list(files.values())), strict=True)

    def _blobs(self, blobs: Sequence[str]) -> Iterator[bytes]:
        """Yield the bytes of blobs; raises InputError for one that this repository lacks."""
        out = self.run("cat-file", "--batch", data="".join(f"{blob}\n" for blob in blobs).encode())
        place = 0
        for blob in blobs:
            start = out.index(b"\n", place) + 1
            head = out[place:start].split()
            if len(head) != 3:  # noqa: PLR2004 - id, type, size; what is not there is "id missing"
                raise InputError(
                    f"the object {blob[:12]} is not in this repository", at=Location(str(self.path)),
                    fix="fetch the whole repository: neither partial nor damaged",
                )  # fmt: skip
            end = start + int(head[2])
            yield out[start:end]
            place = end + 1

    def blame(self, revision: str, path: str, line: int) -> BlameLine:
        """Return the commit that introduced a line as it stands at ``revision``; raises InputError."""
        out = self._ask(
            [revision], "blame", "--porcelain", "--no-textconv", "--ignore-revs-file=", f"-L{line},{line}",
            after=("--", path),
        )  # fmt: skip
        rows = out.decode(errors="replace").splitlines()
        origin, number = rows[0].split()[:2]
        name = next((row[len("filename ") :] for row in rows if row.startswith("filename ")), path)
        return BlameLine(origin, name, int(number), rows[-1][1:])

    def parents(self, revision: str) -> tuple[str, ...]:
        """Return a commit's parents, as far as they are here."""
        out = self._ask([revision], "rev-list", "--parents", "--max-count=1", after=("--",))
        return tuple(out.decode().split()[1:])

    def cut(self, revision: str) -> bool:
        """Say whether history ends at a commit because the rest was not fetched."""
        if self.parents(revision):
            return False
        # The commit itself names its parents, whether they are here or not.
        return b"\nparent " in self._ask([revision], "cat-file", "commit").partition(b"\n\n")[0]

    def message(self, revision: str) -> str:
        """Return a commit's whole message."""
        out = self._ask([revision], "show", "--no-patch", "--format=%B", after=("--",))
        return out.decode(errors="replace").strip()

    def reachable(self, revision: str) -> bool:
        """Say whether a branch or tag leads to a commit."""
        commit, where = self.resolve(revision), ("refs/heads", "refs/tags", "refs/remotes")
        if self.run("for-each-ref", "--count=1", f"--contains={commit}", *where).strip():
            return True
        # A copy that a pipeline checked out may have no branch at all.
        return not self.run("for-each-ref", "--count=1", *where).strip() and self.holds("HEAD", commit)

    def refs_without(self, revision: str, most: int) -> list[str]:
        """Return where at most so many refs lead that do not build on a commit, the newest first."""
        out = self.run(
            "for-each-ref", f"--no-contains={self.resolve(revision)}", f"--count={most}",
            "--sort=-committerdate",
            "--format=%(objecttype) %(objectname)", "refs",
        )  # fmt: skip
        rows = (row.split() for row in out.decode().splitlines())
        return list(dict.fromkeys(name for kind, name in rows if kind == "commit"))

    def patch(self, base: str, revision: str) -> str:
        """Return git's id of the changes from one commit to another; empty if there are none."""
        diff = self._ask([base, revision], "diff", *_PLAIN, after=("--",))
        return self.run("patch-id", "--stable", data=diff).decode().partition(" ")[0]

    def copies(self, revision: str, path: str, most: int) -> tuple[str, ...]:
        """Return the commits that refs lead to with the same patch as a commit, the newest first.

        Of the newest ``most`` that touch ``path`` (empty: any).
        """
        commit = self.resolve(revision)
        only = ("--full-diff", "--", f":(top,literal){path}") if path else ()
        log = ("log", *_PLAIN, "--patch", "--no-merges", "--format=commit %H")
        own = self.run("patch-id", "--stable", data=self.run(*log, "--max-count=1", commit))
        wanted = own.decode().partition(" ")[0]
        diffs = (
            self.run(*log, f"--max-count={most}", "--branches", "--tags", "--remotes", *only)
            if wanted
            else b""
        )
        rows = (row.split() for row in self.run("patch-id", "--stable", data=diffs).decode().splitlines())
        return tuple(name for patch, name in rows if patch == wanted and name != commit)

    def write_branch(
        self, branch: str, base: str, files: Mapping[str, bytes], message: str, *, author: str, at: int
    ) -> str:
        """Commit ``files`` on top of ``base`` as a new ``branch``, touching neither index nor work tree.

        The commit's hash depends on the arguments only. Raises InputError if the branch exists elsewhere.
        """
        parent = self.resolve(base)
        who = _identity(author, at)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.run("read-tree", parent, extra=index)
            for path, content in sorted(files.items()):
                blob = self.run("hash-object", "-w", "--stdin", data=content).decode().strip()
                self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", extra=index)
            tree = self.run("write-tree", extra=index).decode().strip()
        commit = (
            self.run("commit-tree", tree, "-p", parent, data=message.encode(), extra=who).decode().strip()
        )
        existing = self.run("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").decode().strip()
        if existing and existing != commit:
            raise InputError(
                f"branch {branch} exists and holds something else (at {existing[:12]})",
                at=Location(str(self.path)), fix="delete it, or choose another name",
            )  # fmt: skip
        self.run("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def commit_all(self, message: str, *, author: str, at: int) -> str:
        """Stage and commit everything in the work tree; return the commit's hash."""
        self.run("add", "--all")
        self.run(
            "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message,
            extra=_identity(author, at),
        )  # fmt: skip
        return self.resolve("HEAD")

    def merge(self, branch: str, *, author: str, at: int) -> str:
        """Merge a branch into the one that is checked out; return the new head. Raises InputError."""
        self.run("merge", "--quiet", "--no-edit", f"refs/heads/{branch}", extra=_identity(author, at))
        return self.resolve("HEAD")


def _commits(log: bytes) -> list[Commit]:
    """Read what ``git log`` says in the form of ``_LOG``."""
    fields = log.decode(errors="replace").split("\0")
    rows = zip(*[iter(fields[: len(fields) // 7 * 7])] * 7, strict=True)
    return [Commit(r[0], r[1], tuple(r[2].split()), r[3], r[4], _instant(r[5]), r[6]) for r in rows]


def _added(diff: str) -> Iterator[tuple[str, int, str]]:
    """Yield the added lines of a diff without context."""
    path, line, left = "", 0, 0
    for text in diff.split("\n"):
        if left and text.startswith("+"):
            yield path, line, text[1:]
            line, left = line + 1, left - 1
        elif text.startswith("+++ "):
            path = _unquoted(text[4:].rstrip("\t")).removeprefix("b/")
        elif match := _HUNK.match(text):
            line, left = int(match[1]), int(match[2] or 1)


def _unquoted(name: str) -> str:
    """Return a path as it is: git quotes one with control characters, quotes or backslashes."""
    if not name.startswith('"'):
        return name
    plain = name[1:-1].encode().decode("unicode_escape")  # UTF-8's bytes are letters of Latin-1 here
    return plain.encode("latin-1", errors="replace").decode(errors="replace")


def _entries(listing: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield (mode, object, path) of what ``ls-tree -z`` says."""
    for entry in listing.decode(errors="surrogateescape").split("\0")[:-1]:
        head, path = entry.split("\t", 1)
        mode, _, name = head.split()
        yield mode, name, path


def _instant(seconds: str) -> int:
    """Return a commit's time in ms; 0 for one that says none, within the years that a date can name."""
    return min(max(int(seconds), 0), _LAST) * 1000 if seconds.lstrip("-").isdigit() else 0


def _identity(author: str, at: int) -> dict[str, str]:
    """Return git's environment for an author ``Name <address>`` at an instant."""
    name, _, email = author.rstrip(">").partition(" <")
    values = {"NAME": name, "EMAIL": email, "DATE": f"@{at // 1000} +0000"}
    return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in values.items()}

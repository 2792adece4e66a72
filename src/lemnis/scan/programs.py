"""Runs one program over files and says what it reported, and what speaks against believing it."""

from __future__ import annotations

import os
import posixpath
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import re2

from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts.errors import RecordError, ServiceError
from lemnis.contracts.ids import canonical, digest, stable_id
from lemnis.scan.decoding import MAX_REPORT
from lemnis.scan.fingerprint import Source, fingerprints
from lemnis.scan.processes import wait
from lemnis.scan.reading import Read, read

_KEPT: Final = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "XDG_CACHE_HOME",
)  # fmt: skip
_ARGUMENTS: Final = 100_000
"""Bytes of file names in one command; more files are more runs."""
_SAID: Final = 300
_WORDS: Final = 1_000_000
"""Bytes that count of what a program says on standard error."""
_MANY: Final = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one program said over some files; ``read`` is None if it left no report."""

    read: Read | None
    errors: tuple[str, ...]
    report: bytes = b""


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a run ended: its exit code, its report, and what it said on standard error."""

    code: int
    data: bytes
    words: str


def version(scanner: Scanner, kept: MutableMapping[str, bytes] | None = None) -> str:
    """Return the program's version, or an empty text if it is not there or does not say.

    ``kept`` remembers it for as long as the program's file is the same: asking takes some half a second.
    """
    program = _located(scanner, scanner.version[0], kept)
    return _said(scanner, program, kept) if program is not None else ""


def _said(scanner: Scanner, program: str, kept: MutableMapping[str, bytes] | None) -> str:
    file = Path(program).stat()
    words = scanner.version[1:]
    key = stable_id("version", program, str(file.st_mtime_ns), str(file.st_size), scanner.version_in, *words)
    if kept is None or key not in kept:
        own = tuple(
            sorted(scanner.environment.items())
        )  # some look online for a newer one unless told not to
        found = _version(program, words, scanner.version_in, own)
        if kept is None or not found:
            return found
        kept[key] = found.encode()
    return kept[key].decode()


@lru_cache(maxsize=64)
def _version(program: str, arguments: tuple[str, ...], where: str, own: tuple[tuple[str, str], ...]) -> str:
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=30, check=False,
            env=environment(dict(own)), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    pattern = re2.compile(where)
    found = pattern.search(done.stdout + done.stderr)
    return str(found.group(1 if pattern.groups else 0)) if found else ""


def find(program: str) -> str | None:
    """Find a program beside our own interpreter, else on PATH."""
    return next(_places(program), None)


def _places(program: str) -> Iterator[str]:
    for folder in dict.fromkeys([Path(sys.executable).parent, *map(Path, os.get_exec_path())]):
        path = folder / program
        # a folder on PATH that may not be read is no failure, as it is none for a shell
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113
            yield str(path)


def _located(scanner: Scanner, program: str, kept: MutableMapping[str, bytes] | None = None) -> str | None:
    """Find a scanner's program: of several of that name the first whose version is one of its own."""
    for place in _places(program):
        if not scanner.known_by or re2.search(scanner.known_by, _said(scanner, place, kept)):
            return place
    return None


def missing(scanner: Scanner, kept: MutableMapping[str, bytes] | None = None) -> str:
    """Return the program that a scanner lacks; empty if it has all."""
    if _located(scanner, scanner.command[0], kept) is None:
        return scanner.command[0]
    return next((name for name in scanner.needs if find(name) is None), "")


def has_rules(scanner: Scanner) -> bool:
    """Say whether a scanner that goes by rules of the user's has any; the others need none."""
    return bool(scanner.rules) or not any("{rules}" in word for word in scanner.command)


def rules_digest(scanner: Scanner, kept: MutableMapping[str, bytes] | None = None) -> str:
    """Return a digest of what a program goes by: how it is run, its version, and the rules it is given."""
    files = [[Path(name).name, digest(Path(name).read_bytes())] for name in scanner.rules]
    definition = scanner.model_dump(mode="json", by_alias=True, exclude={"rules"})
    return digest(canonical([definition, version(scanner, kept), files]))


def run(folder: Path, scanner: Scanner, files: Sequence[str]) -> Iterator[Outcome]:
    """Run a program over files of a folder, in as many runs as its arguments need."""
    lines = cache(lambda path: source(folder / path))
    if scanner.many and len(files) > _MANY:
        wide = scanner.model_copy(update={"command": scanner.many, "many": ()})
        wanted = frozenset(files)
        yield from (_within(one, wanted) for one in run(folder, wide, files))
        return
    for some in _shares(scanner, files):
        try:
            ended = _execute(folder, scanner, some)
        except ServiceError as error:
            yield Outcome(None, (str(error),))
            continue
        outcome = _outcome(scanner, ended, lines, folder)
        yield _below(outcome, some[0], lines) if _single(scanner) else outcome


def _single(scanner: Scanner) -> bool:
    """Say whether each file is looked at from its own folder."""
    return any("{folder}" in word for word in scanner.command)


def _below(outcome: Outcome, file: str, lines: Source) -> Outcome:
    """Return what was told of a file's folder as it is told of the whole; what names no file is about it."""
    if outcome.read is None:
        return outcome
    folder = posixpath.dirname(file)
    found = (
        replace(one, path=posixpath.join(folder, one.path) if one.path else file)
        for one in outcome.read.findings
    )
    return replace(outcome, read=replace(outcome.read, findings=tuple(fingerprints(found, lines))))


def _within(outcome: Outcome, files: frozenset[str]) -> Outcome:
    """Leave out what was found in other files than those that were asked about."""
    if outcome.read is None:
        return outcome
    found = tuple(one for one in outcome.read.findings if one.path in files)
    return replace(outcome, read=replace(outcome.read, findings=found))


def _outcome(scanner: Scanner, ended: _Ended, lines: Source, folder: Path) -> Outcome:
    """Read what a run left behind; what it says well counts even if it failed."""
    code, data = ended.code, ended.data
    words = ended.words.replace(f"{folder.resolve()}/", "").splitlines()
    errors = [
        f"{name} in the folder may silence it, and it takes no option against that"
        for name in scanner.silenced_by
        if os.path.lexists(folder / name)
    ]
    known = code in (*scanner.exits.clean, *scanner.exits.findings)
    if not known:
        told = [line for line in words if line.strip()]
        own = f"{scanner.command[0]}:"  # many begin so what they could not do
        bad = (line for line in told if "error" in line.lower() or line.startswith(own))
        worst = next(bad, told[-1] if told else "no message")
        errors.append(f"exit code {code}: {worst[:_SAID]}")
    errors += [line[:_SAID] for line in words if any(re2.search(t, line) for t in scanner.trouble)]
    if not data.strip() and scanner.empty_is_clean and known:
        return Outcome(Read((), None, ()), tuple(errors))
    try:
        said = read(scanner.name, scanner.reports[:1], data, lines, losses=False, root=str(folder.resolve()))
    except RecordError as error:
        return Outcome(None, (*errors, *([str(error)] if known else [])), data)
    errors += said.errors
    out = sorted({one.path for one in said.findings if one.path and not _within_folder(folder, one.path)})
    if out:
        errors += [f"{path}: leads outside the folder, so what was found there is left out" for path in out]
        said = replace(said, findings=tuple(one for one in said.findings if one.path not in out))
    if scanner.makes == "sbom":  # what it names are components, not files
        errors += [] if said.examined else ["the bill of materials names no component"]
        said = replace(said, examined=None)
    if not known and said.examined is None:  # it failed, and does not say what it looked at before
        said = replace(said, examined=())
    return Outcome(said, tuple(errors) or tuple(_lies(scanner, code, len(said.findings))), data)


def _within_folder(folder: Path, path: str) -> bool:
    """Say whether a path leads to what is in the folder: links may lead a tool to other files."""
    return (folder / path).resolve().is_relative_to(folder.resolve())


def _lies(scanner: Scanner, code: int, found: int) -> Iterator[str]:
    """Yield what an exit code says against the report."""
    exits = scanner.exits
    if found and code in exits.clean and code not in exits.findings and not exits.lies:
        yield f"exit code {code} means clean, the report holds {found} findings"
    if not found and code in exits.findings and code not in exits.clean:
        yield f"exit code {code} means findings, the report holds none"


def _shares(scanner: Scanner, files: Sequence[str]) -> Iterator[list[str]]:
    """Part the files so that each share fits in one command; a program that takes none runs once."""
    if _single(scanner):
        yield from ([name] for name in files)
        return
    if not any("{files}" in word for word in scanner.command):
        yield list(files)
        return
    share: list[str] = []
    size = 0
    for name in files:
        if share and (size > _ARGUMENTS or scanner.single):
            yield share
            share, size = [], 0
        share.append(name)
        size += len(name.encode()) + 3
    if share:
        yield share


def _execute(folder: Path, scanner: Scanner, files: Sequence[str]) -> _Ended:
    """Run the program once.

    Raises ServiceError if it is not there, cannot be run or does not end.
    """
    lacking, program = missing(scanner), _located(scanner, scanner.command[0])
    if lacking or program is None:
        raise ServiceError(f"{lacking or scanner.command[0]} is not installed", fix=scanner.install)
    with tempfile.TemporaryDirectory(prefix="lemnis-scan-") as kept:
        report, output, spoken = (Path(kept) / name for name in ("report", "output", "words"))
        words = [w for one in scanner.command[1:] for w in _words(one, files, scanner.rules, report)]
        with output.open("wb") as out, spoken.open("w+b") as said:
            try:
                process = subprocess.Popen(
                    [program, *words], cwd=folder, stdout=out, stderr=said, stdin=subprocess.DEVNULL,
                    env=environment(scanner.environment, scanner.passes),
                )  # fmt: skip
            except OSError as error:
                raise ServiceError(f"cannot be run: {error.strerror}") from error
            code = wait(process, scanner.timeout_s)
            said.seek(0)
            told = said.read(_WORDS).decode(errors="replace")
        own = any("{report}" in one for one in scanner.command)
        written = Path(scanner.written.replace("{report}", str(report))) if own else output
        size = written.stat().st_size if written.is_file() else 0
        if size > MAX_REPORT:
            raise ServiceError(f"report of {size:,} bytes is too large")
        data = written.read_bytes() if size else b""
    return _Ended(code, data, told)


def _words(word: str, files: Sequence[str], rules: Sequence[str], report: Path) -> list[str]:
    """Fill in one word of a command; a file's name is never taken for an option."""
    if "{files}" in word:
        return [word.replace("{files}", f"./{name}") for name in files]
    if "{rules}" in word:
        return [word.replace("{rules}", name) for name in rules]
    if "{folder}" in word:
        return [word.replace("{folder}", f"./{posixpath.dirname(files[0])}")]
    return [word.replace("{report}", str(report))]


def environment(more: Mapping[str, str], passes: Sequence[str] = ()) -> dict[str, str]:
    """Return what a scanner needs of our environment, and no secrets that may be in it.

    ``passes`` are names of others that it gets, or how such begin, with ``*`` at the end.
    """
    wanted = [name for name in os.environ if name in _KEPT or any(fnmatchcase(name, one) for one in passes)]
    return {name: os.environ[name] for name in wanted} | dict(more)


def source(path: Path) -> list[str]:
    """Return a file's lines as compilers and scanners count them; none if there is no such file.

    Not by ``splitlines``: it ends lines at form feeds and the like, where a change could put other code.
    """
    return path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []

"""Runs scanners over a folder and says whether each really looked.

A program that is missing, was killed, exits with a code that means neither clean nor findings, prints no
report, or did not look at every file that it reads, leaves the scan ``unknown``: never clean.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts.errors import Location, NotFoundError, RecordError, ServiceError
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.scan.reading import Read, read, relative

MAX_REPORT = 200_000_000
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
_VERSION = re.compile(r"\d+(?:\.\d+)+")


def run(folder: Path, scanners: Sequence[Scanner]) -> ScanReport:
    """Run the scanners that have something to read in ``folder``, side by side.

    Raises NotFoundError if there is no such folder.
    """
    if not folder.is_dir():
        raise NotFoundError("no such folder", at=Location(str(folder)))
    names = list(_walk(folder))
    fitting = [(one, files) for one in scanners if (files := _fitting(one, names))]
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        done = list(pool.map(lambda pair: _run_one(folder, *pair), fitting))
    findings = sorted(
        (f for found, _ in done for f in found), key=lambda f: (f.path, f.line, f.tool, f.rule_id)
    )
    return ScanReport(tuple(findings), tuple(health for _, health in done))


def version(scanner: Scanner) -> str:
    """Return the program's version, or an empty text if it is not there or does not say."""
    program = find(scanner.version[0])
    return _version(program, scanner.version[1:]) if program else ""


@lru_cache(maxsize=64)
def _version(program: str, arguments: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=30, check=False, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.search(done.stdout + done.stderr)
    return found.group() if found else ""


def find(program: str) -> str | None:
    """Find a program beside our own interpreter, else on PATH."""
    beside = Path(sys.executable).parent / program
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(program)


def _run_one(folder: Path, scanner: Scanner, files: Sequence[str]) -> tuple[tuple[Finding, ...], ScanHealth]:
    began = time.monotonic()
    found: tuple[Finding, ...] = ()
    looked = 0
    try:
        _only_files(folder, files)
        code, said = _report(folder, scanner)
    except (ServiceError, RecordError) as error:
        errors = [str(error)]
    else:
        errors, found = list(said.errors), said.findings
        looked = len(files) if said.examined is None else len(said.examined)
        if not looked:
            errors.append(f"looked at none of {len(files)} files")
        elif said.examined is not None:
            named = "\n".join(said.errors)
            left = sorted(set(map(relative, files)) - set(said.examined))
            errors += [f"{name}: not looked at" for name in left if name not in named]
        if found and code not in scanner.exits.findings:
            errors.append(f"exit code {code} means clean, the report holds {len(found)} findings")
    return found, ScanHealth(
        tool=scanner.name,
        version=version(scanner),
        state=Health.UNKNOWN if errors else Health.OK,
        files=looked,
        errors=tuple(errors),
        duration_ms=round((time.monotonic() - began) * 1000),
    )


def _only_files(folder: Path, files: Sequence[str]) -> None:
    """Raise ServiceError for a pipe, a device or a link to one: whoever reads it never comes to an end."""
    for name in files:
        path = folder / name
        if path.exists() and not path.is_file():
            raise ServiceError(f"{name}: no regular file, so nothing was run")


def _report(folder: Path, scanner: Scanner) -> tuple[int, Read]:
    """Run the program; return its exit code and what it reported.

    Raises ServiceError if it could not do its work, RecordError if its report cannot be read.
    """
    program = find(scanner.command[0])
    if program is None:
        raise ServiceError(f"{scanner.command[0]} is not installed", fix=scanner.install)
    try:
        done = subprocess.run(
            [program, *scanner.command[1:]], cwd=folder, capture_output=True, timeout=scanner.timeout_s,
            check=False, env=_environment(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"not finished after {scanner.timeout_s} s") from error
    except OSError as error:
        raise ServiceError(f"cannot be run: {error.strerror}") from error
    if done.returncode not in (*scanner.exits.clean, *scanner.exits.findings):
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise ServiceError(f"exit code {done.returncode}: {words[-1] if words else 'no message'}")
    if len(done.stdout) > MAX_REPORT:
        raise RecordError(f"report of {len(done.stdout):,} bytes is too large")
    return done.returncode, read(scanner, done.stdout, lambda path: lines(folder / path))


def _environment() -> dict[str, str]:
    """Return what a scanner needs of our environment, and no secrets that may be in it."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def lines(path: Path) -> list[str]:
    """Return a file's lines as compilers and scanners count them; none if there is no such file.

    Not by ``splitlines``: it ends lines at form feeds and the like, where a change could put other code.
    """
    return path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []


def fits(path: str, patterns: Sequence[str]) -> bool:
    """Say whether a file's name fits one of the patterns."""
    return any(fnmatch(posixpath.basename(path), pattern) for pattern in patterns)


def _walk(folder: Path) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in {".git", ".venv", "node_modules"})
        yield from (str((Path(root) / name).relative_to(folder)) for name in sorted(names))


def _fitting(scanner: Scanner, names: Sequence[str]) -> list[str]:
    return [name for name in names if fits(name, scanner.files)]

"""Runs the scanners that fit a folder, side by side, and says of each whether it really looked.

A program that is missing, was killed, exits with a code that its report does not bear out, prints no report,
or did not look at every file that it reads, leaves the scan ``unknown``: never clean.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts import scanning
from lemnis.contracts.findings import Finding, Kind, ScanHealth, ScanReport
from lemnis.contracts.ids import digest
from lemnis.scan import looking, programs
from lemnis.scan.fingerprint import Source
from lemnis.scan.inventory import Inventory, has_longer_line, take
from lemnis.scan.looking import Look, Looked
from lemnis.scan.programs import source, version

__all__ = ["Scan", "run", "scan", "version"]

_SHOWN, _LONGEST = 5, 1000
"""Lines of code that a finding shows, and characters."""
Progress = Callable[[str, ScanHealth | None], None]
"""Is told when a tool begins (None) and when it is done."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan: its report, what was there, the scanners that fit and are not installed, and SBOMs made."""

    report: ScanReport
    inventory: Inventory
    absent: tuple[Scanner, ...] = ()
    sboms: dict[str, tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Job:
    """One scanner's work: its files, and what it should read and cannot."""

    name: str
    look: Callable[[], Look]
    files: Sequence[str]
    unseen: Sequence[str]


def run(folder: Path, scanners: Sequence[Scanner], own: Sequence[scanning.Scanner] = ()) -> ScanReport:
    """Return the report of a scan; raises NotFoundError if there is no such folder."""
    return scan(folder, scanners, own).report


def scan(
    path: Path,
    scanners: Sequence[Scanner],
    own: Sequence[scanning.Scanner] = (),
    *,
    kept: MutableMapping[str, bytes] | None = None,
    versions: MutableMapping[str, bytes] | None = None,
    asked: Sequence[str] = (),
    progress: Progress = lambda _name, _health: None,
    within: Path | None = None,
) -> Scan:
    """Scan a folder, or one file, with those of the scanners that have something to read there.

    ``within`` is the folder that a file is of: findings, and so their fingerprints, have its path there.

    Programs of part ``present`` run if they are installed, those of part ``asked`` if they are named in
    ``asked``; with ``asked`` no others run. ``kept`` holds what was found in files that did not change,
    ``versions`` (or else ``kept``) what programs say of themselves.
    Raises NotFoundError if there is nothing at ``path``.
    """
    folder = path if path.is_dir() else within or path.parent
    found = take(path, within)
    digests = cache(lambda name: digest((folder / name).read_bytes()))
    told = kept if versions is None else versions
    jobs: list[_Job] = []
    absent: list[Scanner] = []

    for one in (one for one in scanners if _takes_part(one, asked)):
        files, unseen = _given(folder, found, one)
        if not files and not unseen:
            continue
        optional = one.part == "present" and not asked
        if optional and (programs.missing(one, told) or not programs.has_rules(one)):
            absent.append(one)
        else:
            make = partial(looking.program, folder, one, unseen, told)
            jobs.append(_Job(one.name, make, files, unseen))
    for each in (each for each in own if not asked or each.name in asked):
        files = [name for name in found.files if each.fits(name)]
        unseen = tuple(_odd(found, each))
        if files or unseen:
            jobs.append(_Job(each.name, partial(looking.python, folder, each), files, unseen))
    at = partial(looking.at, folder, kept=kept, digests=digests)
    done = _together(jobs, lambda job: at(job.look(), job.files, job.unseen), progress)
    lines = cache(lambda name: source(folder / name))
    findings = sorted(
        _with_code([f for one in done for f in one.findings], lines),
        key=lambda f: (f.path, f.line, f.tool, f.rule_id, f.fingerprint),
    )
    sboms = {one.health.tool: one.sboms for one in done if one.sboms}
    report = ScanReport(tuple(findings), tuple(one.health for one in done))
    return Scan(report, found, tuple(absent), sboms)


def _given(folder: Path, found: Inventory, scanner: Scanner) -> tuple[list[str], tuple[str, ...]]:
    """Return the files that a program is given, and what it should read and cannot, or not in its time."""
    files, most = found.fitting(scanner.files), scanner.longest_line
    long = [name for name in files if most and has_longer_line(folder / name, most)]
    return (
        [name for name in files if name not in long],
        (
            *found.unseen(scanner.files),
            *(f"{name}: a line of more than {most:,} bytes, for which it takes too long" for name in long),
        ),
    )


def _odd(found: Inventory, scanner: scanning.Scanner) -> Iterator[str]:
    """Yield what a scanner that is Python would read and cannot."""
    yield from (f"{path}: {why}" for path, why in found.odd.items() if scanner.fits(path))
    for path, to in found.links.items():
        if scanner.fits(path) and not (to in found.files and scanner.fits(to)):
            yield f"{path}: a link to {to}, which is not looked at"


def _takes_part(scanner: Scanner, asked: Sequence[str]) -> bool:
    return scanner.name in asked if asked else scanner.part != "asked"


def _together(jobs: Sequence[_Job], do: Callable[[_Job], Looked], progress: Progress) -> list[Looked]:
    def work(job: _Job) -> Looked:
        progress(job.name, None)
        done = do(job)
        progress(job.name, done.health)
        return done

    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        return list(pool.map(work, jobs))


def _with_code(findings: Sequence[Finding], lines: Source) -> Iterator[Finding]:
    """Show the lines of each finding, but none that holds a secret, whichever tool says so."""
    secret = {
        (one.path, line)
        for one in findings
        if one.kind is Kind.SECRET
        for line in range(one.line, one.end_line + 1)
    }
    for one in findings:
        last = min(one.end_line, one.line + _SHOWN - 1)
        hidden = any((one.path, line) in secret for line in range(one.line, one.end_line + 1))
        code = lines(one.path)[one.line - 1 : last] if one.path and one.line and not hidden else ()
        yield replace(one, snippet="\n".join(code)[:_LONGEST])

"""One scanner looks at a folder: what changed since it last did, and whether to believe what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts import scanning
from lemnis.contracts.clock import from_iso
from lemnis.contracts.counting import counted
from lemnis.contracts.findings import Finding, Health, ScanHealth
from lemnis.scan import programs
from lemnis.scan.fingerprint import fingerprints
from lemnis.scan.kept import Known, whole
from lemnis.scan.programs import Outcome, source


@dataclass(frozen=True, slots=True)
class Looked:
    """What a scanner found and how it went, with the bills of materials that it makes."""

    findings: tuple[Finding, ...]
    health: ScanHealth
    sboms: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """A scanner, ready to look at files of one folder.

    ``definition`` is what its answer depends on beside the files; empty if nothing may be kept of it.
    """

    name: str
    definition: str
    per_file: bool
    files: Callable[[Sequence[str]], Looked]


def at(
    folder: Path,
    look: Look,
    files: Sequence[str],
    unseen: Sequence[str],
    *,
    kept: MutableMapping[str, bytes] | None,
    digests: Callable[[str], str],
) -> Looked:
    """Look at the files that are not as they were, or at all if they are judged together.

    ``unseen`` is what should have been looked at and cannot be: it makes the scan unknown.
    """
    began = time.monotonic()
    keeps = kept if look.definition else None
    known = Known(keeps, folder, f"{look.name} {look.definition}")
    now = {name: digests(name) for name in files} if keeps is not None else {}
    now = now if look.per_file else whole(now)
    old = known.of(now) if keeps is not None else {}
    fresh = [name for name in files if name not in old] if look.per_file else [] if old else list(files)
    if fresh or known.health is None:
        done = look.files(fresh)
        looked = done.health.files + (len(files) - len(fresh) if look.per_file else 0)
    else:
        done = Looked((), known.health)
        looked = len(files) if look.per_file else known.health.files
    findings = (*(f for many in old.values() for f in many), *done.findings)
    unjudged = (*known.unjudged(old), *done.health.unjudged)
    if fresh and done.health.state is Health.OK:
        known.keep(now, findings, replace(done.health, files=looked, unjudged=unjudged))
    errors = tuple(dict.fromkeys((*unseen, *done.health.errors)))
    health = replace(
        done.health, files=looked, errors=errors, state=Health.UNKNOWN if errors else done.health.state,
        duration_ms=round((time.monotonic() - began) * 1000), unjudged=unjudged,
    )  # fmt: skip
    return Looked(findings, health, done.sboms)


def program(
    folder: Path, scanner: Scanner, unseen: Sequence[str], kept: MutableMapping[str, bytes] | None
) -> Look:
    """Return a program, ready to look. What depends on data of its own, or makes an SBOM, is not kept."""
    rules, said = programs.rules_digest(scanner, kept), programs.version(scanner, kept)
    keeps = scanner.makes == "findings" and not scanner.reports[0].data_until

    def look(files: Sequence[str]) -> Looked:
        outcomes = _refused(scanner, unseen) or (list(programs.run(folder, scanner, files)) if files else [])
        errors, looked = _trust(outcomes, files)
        reads = [one.read for one in outcomes if one.read is not None]
        until = next((one.data_until for one in reads if one.data_until), "")
        health = ScanHealth(
            tool=scanner.name,
            version=said,
            state=Health.UNKNOWN if errors else Health.OK,
            files=looked,
            errors=tuple(errors),
            duration_ms=0,
            rules=rules,
            data_until=from_iso(until) if until else None,
        )
        made = [one.report for one in outcomes if one.read is not None and scanner.makes == "sbom"]
        return Looked(tuple(f for one in reads for f in one.findings), health, tuple(made))

    return Look(scanner.name, rules if keeps else "", scanner.per_file, look)


def python(folder: Path, scanner: scanning.Scanner) -> Look:
    """Return a scanner that is Python, ready to look; an exception of its is told like any failure."""

    def look(files: Sequence[str]) -> Looked:
        health = ScanHealth(scanner.name, "", Health.OK, 0, (), 0)
        found: Iterable[Finding] = ()
        try:
            found, health = scanner.scan(folder, files)
        except Exception as error:  # noqa: BLE001 - a scanner that breaks is a scan that did not look
            health = replace(health, state=Health.UNKNOWN, errors=(f"failed: {error!r}",))
        if health.state is Health.UNKNOWN and not health.errors:
            health = replace(health, errors=("it did not look, and does not say why",))
        lines = cache(lambda path: source(folder / path))
        named = fingerprints([f for f in found if not f.fingerprint], lines)
        return Looked((*(f for f in found if f.fingerprint), *named), health)

    return Look(scanner.name, scanner.definition, scanner.per_file, look)


def _refused(scanner: Scanner, unseen: Sequence[str]) -> list[Outcome]:
    """Refuse to run a program over a whole folder with a pipe or device in it: it may never end."""
    if any("{files}" in word for word in scanner.command):
        return []
    odd = [one for one in unseen if one.endswith("no regular file")]
    return [Outcome(None, tuple(f"{one}, so nothing was run" for one in odd))] if odd else []


def _trust(outcomes: Sequence[Outcome], files: Sequence[str]) -> tuple[list[str], int]:
    """Return what speaks against believing the outcomes, and how many of the files were looked at."""
    errors = [error for one in outcomes for error in one.errors]
    reads = [one.read for one in outcomes if one.read is not None]
    if not reads:
        return errors, 0
    if any(one.examined is None for one in reads):
        return errors, len(files) if len(reads) == len(outcomes) else 0
    seen = {name for one in reads for name in one.examined or ()}
    if not seen:
        return [*errors, f"looked at none of {counted(len(files), 'file')}"], 0
    told = "\n".join(errors)
    left = [name for name in sorted(set(files) - seen) if name not in told]
    return [*errors, *(f"{name}: not looked at" for name in left)], len(seen)

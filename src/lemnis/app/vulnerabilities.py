"""Vulnerabilities of what a folder is built from: its lock files and bills of materials against the feeds."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lemnis import __version__, app
from lemnis.app import feeds
from lemnis.contracts.clock import Clock, SystemClock
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import InputError, LemnisError, Location, RecordError
from lemnis.contracts.findings import Finding, Health, ScanHealth
from lemnis.contracts.ids import canonical, digest, stable_id
from lemnis.scan import sbom, sbom_locks, vex
from lemnis.scan.assessing import TOOL, Assessed, Data, assess, findings
from lemnis.scan.inventory import named
from lemnis.scan.vex_statements import Statement

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.scan.matching import Match, Outcome

SBOMS: Final = (
    "bom.json", "bom.xml", "*.cdx.json", "*.cdx.xml", "*.bom.json", "sbom.json", "sbom.xml", "sbom.*.json",
    "*.sbom.json", "*.spdx", "*.spdx.json", "*-cyclonedx.json", "*-spdx.json",
)  # fmt: skip
VEXES: Final = ("*.vex.json", "*.openvex.json", "vex.json", "openvex.json", "*.csaf.json", "csaf.json")
_BY_NAME: Final = (*SBOMS, *VEXES)
IMAGES: Final = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".oci")
_LAYOUT: Final = "oci-layout"
_SHOWN: Final = 3
_IMPACT: Final = {"low": "low", "medium": "medium", "high": "high", "critical": "very high"}


Context = Callable[[], Mapping[str, tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What was read: bills of materials, VEX statements beside them, the texts of lock files, and errors."""

    sboms: tuple[sbom.Sbom, ...]
    statements: tuple[Statement, ...]
    texts: Mapping[str, str]
    errors: tuple[str, ...]
    looked: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of looking: vulnerabilities, what could not be looked at, how new the data are (ms)."""

    assessed: tuple[Assessed, ...]
    outcome: Outcome | None
    problems: tuple[str, ...]
    until: int | None = None
    rules: str = ""


def fits(path: str) -> bool:
    """Say whether a file is a lock file, a bill of materials, VEX, or may be an image, by its name."""
    if _may_be_image(path):
        return True
    return sbom_locks.reader(path) is not None or named(path, _BY_NAME)


def read(folder: Path, files: Sequence[str]) -> Parts:
    """Read the files that fit, each by itself: what is broken is an error, the others are kept."""
    sboms: list[sbom.Sbom] = []
    statements: list[Statement] = []
    texts: dict[str, str] = {}
    errors: list[str] = []
    looked = 0
    beside = {posixpath.dirname(path) for path in files if posixpath.basename(path) == "go.mod"}
    for path in files:
        if posixpath.basename(path) == "go.sum" and posixpath.dirname(path) in beside:
            looked += 1  # it lists more than is built; the module file beside it says what is
            continue
        try:
            if _may_be_image(path):
                image, wrong = _image(folder, path)
                sboms += [image] if image else []
                errors += wrong
                looked += image is not None
                continue
            made, said, told = _read_one(folder / path, path, texts)
        except LemnisError as error:
            errors.append(str(error))
            continue
        looked += 1
        sboms += [made] if made else []
        statements += said
        errors += told
    return Parts(tuple(sboms), tuple(statements), texts, tuple(errors), looked)


def _may_be_image(path: str) -> bool:
    return path.endswith(IMAGES) or posixpath.basename(path) == _LAYOUT


def _image(folder: Path, path: str) -> tuple[sbom.Sbom | None, tuple[str, ...]]:
    """Return the packages of an image's layout or tar; nothing of an archive that is no image."""
    from lemnis.scan.images import inspect

    where = posixpath.dirname(path) if posixpath.basename(path) == _LAYOUT else path
    found = inspect(folder / where, where or ".", 0)
    return (sbom.Sbom("image", found.components), found.errors) if found.image else (None, ())


def _read_one(
    target: Path, path: str, texts: dict[str, str]
) -> tuple[sbom.Sbom | None, tuple[Statement, ...], list[str]]:
    try:
        if target.stat().st_size > sbom.MAX_BYTES:
            raise RecordError(f"more than {sbom.MAX_BYTES:,} bytes", at=Location(path))
        data = target.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=Location(path)) from error
    if sbom_locks.reader(path) is not None:
        made = sbom_locks.read(data, path)
        texts[path] = data.decode("utf-8-sig", "replace")
        return made, (), list(map(str, made.errors))
    if named(path, VEXES):
        statements, errors = vex.read(data, path)
        return None, statements, list(map(str, errors))
    made = sbom.read(data, path).at(path)
    return made, made.statements, list(map(str, made.errors))


def look(
    sboms: Iterable[sbom.Sbom],
    root: Path | None,
    *,
    context: Context = dict,
    statements: Sequence[Statement] = (),
    told: Sequence[Statement] = (),
) -> Result:
    """Look components up in the feeds of a folder; without advisories nothing is known of any.

    ``context`` gives SSVC's values known of the service, and is asked where something is vulnerable;
    ``statements`` are VEX of the operator, ``told`` is VEX of what is scanned.
    """
    from lemnis.scan import exploitation
    from lemnis.scan.advisories_db import Advisories
    from lemnis.scan.matching import match

    known = {one.name: one for one in feeds.known(root)} if root else {}
    osv = known.get("osv")
    if osv is None or osv.manifest is None:
        absent = osv is None or osv.problem == feeds.ABSENT
        why = "no advisories are here yet" if absent or osv is None else f"the advisories: {osv.problem}"
        return Result((), None, (f"{why}: run `lemnis content pull osv`",))
    many = list(sboms)
    with Advisories(osv.path) as advisories:
        outcome = match((one for part in many for one in part.components), advisories)
    names = {name for found in outcome.matches for name in found.names}
    kev, epss = known["kev"], known["epss"]
    data = Data(
        exploited=exploitation.exploited(kev.path, names) if kev.manifest else None,
        likely=exploitation.likely(epss.path, names) if epss.manifest else None,
        context=context() if outcome.matches else None,
        statements=statements,
        told=told,
    )
    subjects = {part.components[0].path: _names(part) for part in many if part.components}
    assessed = tuple(assess(found, data, subjects.get(found.component.path, ())) for found in outcome.matches)
    rules = digest(canonical([one.manifest.digest for one in known.values() if one.manifest]))
    return Result(assessed, outcome, tuple(_doubts(outcome)), osv.manifest.until, rules)


def _names(part: sbom.Sbom) -> frozenset[str]:
    root = part.root
    return frozenset({root.ref, root.purl, root.name} - {""}) if root else frozenset()


def _doubts(outcome: Outcome) -> Iterator[str]:
    """Yield what could not be looked at: of each kind how many, and the first of them."""
    for ecosystem, count in sorted(outcome.uncovered.items()):
        yield f"{ecosystem}: {counted(count, 'component')}, no advisories of it in the data"
    if outcome.unversioned:
        yield f"{_listed(_place(one) for one in outcome.unversioned)}: without a version"
    reasons: dict[str, list[str]] = {}
    for component, advisory, reason in outcome.undecided:
        reasons.setdefault(reason, []).append(f"{_place(component)} ({advisory})")
    for reason, places in sorted(reasons.items()):
        yield f"{_listed(places)}: {reason}"


def _place(one: sbom.Component) -> str:
    line = f":{one.line}" if one.line else ""
    return f"{one.path}{line} {one.name} {one.version}".strip()


def _listed(many: Iterable[str]) -> str:
    every = list(dict.fromkeys(many))
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def chains(many: Iterable[sbom.Sbom], found: Iterable[Match]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the shortest ways to the components that matter, by their names."""
    wanted = {(one.component.path, one.component.ref) for one in found}
    made: dict[tuple[str, str], tuple[str, ...]] = {}
    for part in many:
        names = {one.ref: f"{one.name} {one.version}".strip() for one in part.components}
        places = {(one.path, one.ref) for one in part.components} & wanted
        if not places or not part.edges:
            continue
        ways = sbom.chains(part, {ref for _, ref in places})
        root = part.root.ref if part.root else None
        for place in places:
            way = ways.get(place[1], ())
            made[place] = tuple(names.get(ref, ref) for ref in way if ref != root)
    return made


def vex_of(workspace: app.Workspace | None) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """Return the operator's VEX, ``vex/*.json`` in the workspace, and what of it cannot be read."""
    statements: list[Statement] = []
    errors: list[str] = []
    folder = workspace.root / "vex" if workspace else None
    for path in sorted(folder.glob("*.json")) if folder and folder.is_dir() else ():
        try:
            said, told = vex.read(path.read_bytes(), f"vex/{path.name}")
        except (LemnisError, OSError) as error:
            errors.append(str(error))
            continue
        statements += said
        errors += map(str, told)
    return tuple(statements), tuple(errors)


def context_of(workspace: app.Workspace | None, *names: str) -> dict[str, tuple[str, str]]:
    """Return what the assets say of a service for SSVC: if it faces the internet, how much it matters."""
    if workspace is None:
        return {}
    from lemnis.app.gate_facts import facts

    known = facts(workspace, *names)
    found: dict[str, tuple[str, str]] = {}
    if known.internet_facing is not None:
        value = "open" if known.internet_facing else "controlled"
        facing = "faces the internet" if known.internet_facing else "does not face the internet"
        found["exposure"] = (value, f"{known.service} {facing}, the assets say")
    if known.criticality:
        words = f"{known.service} is of {known.criticality} criticality, the assets say"
        found["impact"] = (_IMPACT[known.criticality], words)
    return found


@dataclass(frozen=True, slots=True)
class VulnerabilityScanner:
    """A scanner in this process over lock files, bills of materials and VEX (``contracts.scanning``)."""

    workspace: app.Workspace | None
    root: Path | None
    clock: Clock = field(default_factory=SystemClock)
    name: str = TOOL
    per_file: bool = False
    """VEX in one file is about components in another."""

    @property
    def definition(self) -> str:
        """Our version, the data and the operator's VEX; empty, so always, where assets may say otherwise."""
        if self.workspace is not None:
            return ""
        known = feeds.known(self.root) if self.root else []
        return stable_id("data", __version__, *(one.manifest.digest if one.manifest else "" for one in known))

    def fits(self, path: str) -> bool:
        """Say whether it reads a file."""
        return fits(path)

    def scan(self, folder: Path, files: Sequence[str]) -> tuple[Sequence[Finding], ScanHealth]:
        """Scan the files; see ``contracts.scanning.Scanner``."""
        began = time.monotonic()
        parts = read(folder, files)
        found: tuple[Finding, ...] = ()
        errors = [*parts.errors]
        until, rules = None, ""
        if any(part.components for part in parts.sboms):
            statements, told = vex_of(self.workspace)
            errors += told
            try:
                result = look(
                    parts.sboms, self.root,
                    context=partial(context_of, self.workspace, folder.resolve().name),
                    statements=statements, told=parts.statements,
                )  # fmt: skip
            except LemnisError as error:
                errors.append(str(error))
            else:
                errors += result.problems
                until, rules = result.until, result.rules
                found = tuple(
                    findings(
                        result.assessed,
                        chains=chains(parts.sboms, (one.match for one in result.assessed)),
                        lines={path: text.split("\n") for path, text in parts.texts.items()},
                    )
                )
        health = ScanHealth(
            tool=self.name, version=__version__, state=Health.UNKNOWN if errors else Health.OK,
            files=parts.looked, errors=tuple(errors),
            duration_ms=round((time.monotonic() - began) * 1000), rules=rules, data_until=until,
        )  # fmt: skip
        return found, health


def scanners(_library: Library, workspace: app.Workspace | None) -> list[VulnerabilityScanner]:
    """Return the scanner of vulnerabilities, for ``app.scans.OWN``."""
    return [VulnerabilityScanner(workspace, feeds.place(workspace))]


def sbom_of(folder: Path, files: Sequence[str]) -> tuple[sbom.Sbom, tuple[str, ...]]:
    """Return the lock files of a folder as one bill of materials, and what of them cannot be read."""
    from lemnis.scan.sbom_write import joined

    locks = [path for path in files if sbom_locks.reader(path) is not None]
    parts = read(folder, locks)
    return joined(folder.resolve().name, parts.sboms), parts.errors

"""The scanner of Lemnis itself: configuration becomes resources, and the checks of the content judge them."""

from __future__ import annotations

import posixpath
import stat
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import RecordError
from lemnis.contracts.findings import NOT_JUDGED, Edit, Finding, Health, Kind, Place, ScanHealth, Unjudged
from lemnis.contracts.ids import canonical, stable_id
from lemnis.contracts.resources import Judged, Resource, Verdict
from lemnis.policy.checks import Check, judge
from lemnis.policy.engine import Engine
from lemnis.scan import resources
from lemnis.scan.images import inspect
from lemnis.scan.readers import Read
from lemnis.scan.readers.kubernetes import namespaces

FILES: Final = "lemnis"
MODULES: Final = "lemnis_modules"
IMAGES: Final = "lemnis_images"
UNJUDGED: Final = NOT_JUDGED
_FORMAT = "2"
_MAX_BYTES = 20_000_000
_NAMED = 12
_TEMPLATES = (".yaml", ".yml", ".template")
"""Files in which what Terraform would make is written in CloudFormation."""
_NAMED_AS = "named as in Terraform"
_LAYOUT = "oci-layout"
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".oci")
_UNJUDGED_TITLE = "not known before it is applied: this was not judged"
_UNJUDGED_FIX = "scan what is applied: terraform show -json PLAN, helm template, kustomize build"


class FileChecks:
    """Asks the checks of what stands in one file alone: manifests, Dockerfiles, workflows, plans."""

    name = FILES
    per_file = True

    def __init__(self, checks: Sequence[Check], version: str) -> None:
        """``version`` is Lemnis's."""
        self.checks = checks
        self.version = version

    @property
    def definition(self) -> str:
        """What its answers depend on."""
        return rules(self.checks)

    def fits(self, path: str) -> bool:
        """Say whether it reads a file."""
        return resources.fits(path)

    def scan(self, folder: Path, files: Sequence[str]) -> tuple[Sequence[Finding], ScanHealth]:
        """Judge the files one by one."""
        return _scan(self, (_read(folder, path) for path in files), self.checks, folder, len(files))


class ModuleChecks:
    """Asks the checks of what several files say together: Terraform modules, namespaces of a cluster."""

    name = MODULES
    per_file = False

    def __init__(self, checks: Sequence[Check], version: str) -> None:
        """``version`` is Lemnis's."""
        self.checks = checks
        self.version = version

    @property
    def definition(self) -> str:
        """What its answers depend on."""
        return rules(self.checks)

    def fits(self, path: str) -> bool:
        """Say whether it reads a file."""
        return resources.in_module(path) or path.endswith((".yaml", ".yml"))

    def scan(self, folder: Path, files: Sequence[str]) -> tuple[Sequence[Finding], ScanHealth]:
        """Judge the files of each folder together, and the namespaces of all."""
        return _scan(self, _modules(folder, files), self.checks, folder, len(files))


class ImageChecks:
    """Asks the checks of images: tars and layout folders among the files."""

    name = IMAGES
    per_file = True
    definition = ""
    """Images are looked at anew each time: to tell whether a large one changed is to read it."""

    def __init__(self, checks: Sequence[Check], version: str, now: int) -> None:
        """``version`` is Lemnis's; ``now`` (ms) is when an image's age is counted to."""
        self.checks = checks
        self.version = version
        self.now = now

    def fits(self, path: str) -> bool:
        """Say whether a file may be an image, or the mark of a layout's folder."""
        return path.endswith(_ARCHIVES) or posixpath.basename(path) == _LAYOUT

    def scan(self, folder: Path, files: Sequence[str]) -> tuple[Sequence[Finding], ScanHealth]:
        """Judge the images; an archive that is none is left to others."""
        return _scan(self, (self._read(folder, path) for path in files), self.checks, folder, len(files))

    def _read(self, folder: Path, path: str) -> Read:
        where = posixpath.dirname(path) if posixpath.basename(path) == _LAYOUT else path
        if not (folder / where).is_dir() and not (folder / where).is_file():
            return Read((), (f"{path}: no regular file",))
        found = inspect(folder / where, where or ".", self.now)
        return Read(found.resources, found.errors)


def rules(checks: Iterable[Check]) -> str:
    """Return a digest of the checks."""
    said = [
        [one.name, one.text, one.kinds, int(one.severity), one.title, one.fix, one.controls] for one in checks
    ]
    return stable_id("checks", _FORMAT, canonical(said).decode())


def _modules(folder: Path, files: Sequence[str]) -> Iterator[Read]:
    modules: list[tuple[str, str]] = []
    pods: list[Resource] = []
    for path in files:
        try:
            text = _text(folder, path)
        except RecordError as error:
            yield Read((), (str(error),))
            continue
        if resources.in_module(path):
            modules.append((path, text))
        elif "apiVersion" in text:
            pods += resources.read(path, text).resources
    yield from resources.read_modules(modules)
    yield Read(tuple(namespaces(pods)))


def _read(folder: Path, path: str) -> Read:
    try:
        return resources.read(path, _text(folder, path))
    except RecordError as error:
        return Read((), (str(error),))


def _lines(folder: Path, path: str) -> list[str]:
    """Return a file's lines; none if it has gone since it was read."""
    try:
        return _text(folder, path).split("\n")
    except RecordError:
        return []


def _text(folder: Path, path: str) -> str:
    """Return a file's text; raises RecordError for what is no regular file, too large, or not readable."""
    try:
        status = (folder / path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise RecordError(f"{path}: no regular file")
        if status.st_size > _MAX_BYTES:
            raise RecordError(f"{path}: larger than {_MAX_BYTES:,} bytes")
        return (folder / path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error


def _scan(
    scanner: FileChecks | ModuleChecks | ImageChecks,
    reads: Iterable[Read],
    checks: Sequence[Check],
    folder: Path,
    count: int,
) -> tuple[Sequence[Finding], ScanHealth]:
    began = time.monotonic()
    found: list[Resource] = []
    errors: list[str] = []
    left: list[tuple[Place, str]] = []
    for one in reads:
        found += one.resources
        errors += one.errors
        left += one.left
    with Engine() as engine:
        judged = judge(checks, found, engine)
    findings = [*findings_of(scanner.name, judged, checks), *(_left(scanner.name, *one) for one in left)]
    findings = list(mended(findings, checks, folder))
    unjudged = (*unjudged_of(judged, checks), *(_not_read(*one) for one in left))
    health = ScanHealth(
        tool=scanner.name, version=scanner.version, state=Health.UNKNOWN if errors else Health.OK,
        files=count, errors=tuple(errors), duration_ms=round((time.monotonic() - began) * 1000),
        rules=rules(checks), unjudged=unjudged,
    )  # fmt: skip
    return findings, health


def unjudged_of(judged: Iterable[Judged], checks: Iterable[Check]) -> tuple[Unjudged, ...]:
    """Return what could not be judged, once for each check and file, however severe."""
    severities = {check.name: check.severity for check in checks}
    found: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for one in judged:
        if one.verdict is Verdict.UNKNOWN:
            found[one.place.path, one.check].append(one)
    return tuple(
        Unjudged(
            check, severities[check], path, many[0].place.line, many[0].resource.name, many[0].message,
            len(many),
        )
        for (path, check), many in sorted(found.items())
    )  # fmt: skip


def _not_read(place: Place, why: str) -> Unjudged:
    """A whole file that no check could look at may hold anything: it weighs as much as what gates refuse."""
    return Unjudged(NOT_JUDGED, Severity.MEDIUM, place.path, place.line, place.path, why)


def findings_of(tool: str, judged: Iterable[Judged], checks: Iterable[Check]) -> Iterator[Finding]:
    """Yield a finding for each fail, and one for each file with what could not be judged in it.

    Of what could not be judged only checks of medium severity and above are told: it would drown the rest.
    """
    known = {check.name: check for check in checks}
    hidden: dict[str, list[Judged]] = defaultdict(list)
    told: set[tuple[str, Place, str]] = set()
    for one in judged:
        place = one.place
        if one.verdict is Verdict.UNKNOWN and known[one.check].severity >= Severity.MEDIUM:
            hidden[place.path].append(one)
        key = (one.check, place, f"{one.resource.name}: {one.message}")
        if one.verdict is Verdict.FAIL and key not in told:
            told.add(key)
            yield _finding(tool, known[one.check], one, place)
    for path, several in sorted(hidden.items()):
        yield _unjudged(tool, path, several)


def mended(findings: Iterable[Finding], checks: Iterable[Check], folder: Path) -> Iterator[Finding]:
    """Yield the findings with the edits that their checks offer, where the text to change stands once."""
    edits = {check.name: check.edit for check in checks if check.edit}
    lines: dict[str, list[str]] = {}
    for one in findings:
        edit = edits.get(one.rule_id)
        if edit is None:
            yield one
            continue
        if one.path not in lines:
            lines[one.path] = _lines(folder, one.path)
        old, new = edit
        text = lines[one.path][one.line - 1] if one.line <= len(lines[one.path]) else ""
        at = text.find(old) + 1
        if text.count(old) != 1:
            yield one
        else:
            yield replace(one, edits=(Edit(one.path, one.line, at, one.line, at + len(old), new),))


def _finding(tool: str, check: Check, one: Judged, place: Place) -> Finding:
    message = check.why if one.message == check.title else one.message
    template = one.resource.kind.startswith("terraform.") and place.path.endswith(_TEMPLATES)
    return Finding(
        fingerprint="", tool=tool, rule_id=check.name, title=check.title, severity=check.severity,
        path=place.path, line=place.line, end_line=place.line, column=place.column, cwes=check.cwes,
        message=f"{one.resource.name}: {message}",
        confidence="high", kind=Kind.IMAGE if check.kinds[0].startswith("image") else Kind.CONFIG,
        resource=one.resource.name, fix=f"{check.fix} ({_NAMED_AS})" if template else check.fix,
        controls=check.controls,
    )  # fmt: skip


def _left(tool: str, place: Place, why: str) -> Finding:
    return Finding(
        fingerprint="", tool=tool, rule_id=NOT_JUDGED, severity=Severity.INFORMATIONAL, path=place.path,
        title=_UNJUDGED_TITLE, line=place.line, end_line=place.line, kind=Kind.CONFIG, confidence="high",
        message=f"not looked at: {why}", fix=_UNJUDGED_FIX,
    )  # fmt: skip


def _unjudged(tool: str, path: str, several: Sequence[Judged]) -> Finding:
    """Say in one finding what in a file could not be judged, and by which checks."""
    names = sorted({one.check for one in several})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    first = several[0]
    return Finding(
        fingerprint="", tool=tool, rule_id=NOT_JUDGED, severity=Severity.INFORMATIONAL, path=path,
        title=_UNJUDGED_TITLE,
        line=first.place.line, end_line=first.place.line, kind=Kind.CONFIG, confidence="high",
        message=f"{len(names)} checks could not look ({first.resource.name}: {first.message}): "
        f"{', '.join(names[:_NAMED])}{more}",
        fix=_UNJUDGED_FIX,
    )  # fmt: skip

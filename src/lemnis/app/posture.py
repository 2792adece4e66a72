"""Posture of repositories and organisations on GitHub: their settings are read, and judged by the checks.

What fails becomes a finding in the lake (OCSF Compliance Finding) and has a life like every other; what could
not be read is told in one more, and makes the outcome unknown.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lemnis
from lemnis import app
from lemnis.app import checks as asking
from lemnis.content.library import Library
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import Location, UsageError
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth, ScanReport
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.contracts.resources import Judged, Resource, Verdict
from lemnis.policy.checks import Check, judge
from lemnis.policy.engine import Engine
from lemnis.scan.checks import UNJUDGED, findings_of, rules
from lemnis.scan.fingerprint import fingerprints
from lemnis.scan.readers import Read, github_settings

if TYPE_CHECKING:
    from lemnis.app.posture_api import Api
    from lemnis.scan.readers.github_settings import Ask

TOOL: Final = "lemnis_posture"
HOST: Final = "github.com"
KINDS: Final = frozenset(
    {
        "github.repository", "github.branch", "github.deploy_key", "github.collaborator", "github.webhook",
        "github.environment", "github.organization",
    }
)  # fmt: skip
"""What is read here; other kinds of ``github`` are files."""
TOKENS: Final = ("GITHUB_TOKEN", "GH_TOKEN")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}(?:/[A-Za-z0-9._-]{1,100})?")
_NAMED, _AT_ONCE = 40, 4
_FIX: Final = "ask with a token that may read these settings (docs/posture.md names the rights)"


@dataclass(frozen=True, slots=True)
class Looked:
    """One repository or organisation: the verdicts of all checks, what they found, whether all was seen.

    ``new`` counts what the lake did not have; None without one. ``notes`` say what was not judged on purpose.
    """

    name: str
    verdicts: tuple[Judged, ...]
    report: ScanReport
    new: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def health(self) -> ScanHealth:
        """Whether all of it could be read."""
        return self.report.health[0]

    def count(self, verdict: Verdict) -> int:
        """Return how many verdicts are such."""
        return sum(one.verdict is verdict for one in self.verdicts)


def checked(names: Sequence[str]) -> list[str]:
    """Return names of repositories (``OWNER/NAME``) and owners, each once; raises UsageError for others."""
    for name in names:
        if not _NAME.fullmatch(name) or name.endswith(("/.", "/..")):
            raise UsageError(f"{name!r} is no repository and no organisation", fix="OWNER/NAME, or OWNER")
    return list(dict.fromkeys(names))


def connect(
    workspace: app.Workspace | None,
    *,
    url: str = "",
    connection: str = "",
    token_env: str = "",
    token_file: str = "",
    patience_s: float = 900,
    environment: Mapping[str, str] | None = None,
) -> Api:
    """Return what asks GitHub, by a connection of the workspace or a token in a variable or a file.

    Without either the variables in ``TOKENS`` are looked at; without a token only what is public can be read,
    60 questions an hour. Raises NotFoundError, UsageError.
    """
    from lemnis.app.posture_api import PUBLIC, Api
    from lemnis.ingest.transports import Setup

    known = os.environ if environment is None else environment
    if connection:
        if workspace is None:
            raise UsageError("a connection is one of a workspace", fix="--workspace DIR")
        if token_env or token_file:
            raise UsageError("a connection has its own token", fix="leave --token-env and --token-file out")
        from lemnis.app.connections import Connections

        where, login = Connections.of(workspace).login(connection)
        return Api(url or where, lambda: login.headers(b"", 0, ""), patience_s=patience_s)
    token = next((known[name].strip() for name in TOKENS if known.get(name, "").strip()), "")
    if token_env or token_file:
        root = workspace.root if workspace is not None else Path.cwd()
        token = Setup(root, known, SystemClock()).secret(env=token_env, file=token_file).strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError("the token holds what no header can carry", fix="printable ASCII, one line")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Api(url or known.get("GITHUB_API_URL", "") or PUBLIC, lambda: headers, patience_s=patience_s)


def all_of(names: Sequence[str], ask: Ask) -> list[str]:
    """Return names with the repositories of organisations among them; raises UsageError for one unseen."""
    found: list[str] = []
    for name in names:
        found.append(name)
        if "/" not in name:
            more, errors = github_settings.repositories(name, ask)
            if errors:
                raise UsageError(errors[0], fix="check the name, and what the token may see")
            found += more
    return list(dict.fromkeys(found))


def look(
    names: Sequence[str],
    ask: Ask,
    library: Library,
    workspace: app.Workspace | None = None,
    *,
    host: str = HOST,
    errors: Sequence[str] = (),
    progress: Callable[[str], object] = lambda _: None,
) -> list[Looked]:
    """Read and judge repositories and organisations; with a workspace what is found goes into its lake.

    They are known there as ``host/NAME``. ``errors`` is what was wrong with recorded answers. Raises what
    ``ask`` raises.
    """
    known = [one for one in asking.load(library, cache=app.cache_folder()) if KINDS.intersection(one.kinds)]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        reads = list(pool.map(partial(_read, cache(ask), progress), names))
    found = []
    with Engine() as engine:
        for name, (read, took) in zip(names, reads, strict=True):
            judged = judge(known, read.resources, engine)
            made = report(name, judged, known, [*read.errors, *errors], took, fix=_FIX)
            new = None
            if workspace is not None:
                new = keep(workspace, f"{host}/{name}", _revision(read.resources), made)
            found.append(Looked(name, tuple(judged), made, new))
    return found


def _read(ask: Ask, progress: Callable[[str], object], name: str) -> tuple[Read, int]:
    began = time.monotonic()
    progress(name)
    read = (github_settings.repository if "/" in name else github_settings.organization)(name, ask)
    return read, round((time.monotonic() - began) * 1000)


def report(
    name: str,
    judged: Sequence[Judged],
    known: Sequence[Check],
    errors: Sequence[str],
    took_ms: int,
    *,
    fix: str,
) -> ScanReport:
    """Return verdicts about something as a report; ``fix`` says how to make known what is not."""
    found = [one for one in findings_of(TOOL, judged, known) if one.rule_id != UNJUDGED]
    unseen = [one for one in judged if one.verdict is Verdict.UNKNOWN]
    if unseen:
        found.append(_unseen(name, unseen, fix))
    state = Health.UNKNOWN if errors or unseen else Health.OK
    health = ScanHealth(TOOL, lemnis.__version__, state, 0, tuple(errors), took_ms, rules=rules(known))
    return ScanReport(tuple(fingerprints(found, lambda _: ())), (health,))


def _unseen(name: str, several: Sequence[Judged], fix: str) -> Finding:
    """Say in one finding which checks could not look."""
    names = sorted({one.check for one in several})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return Finding(
        fingerprint="", tool=TOOL, rule_id=UNJUDGED, severity=Severity.INFORMATIONAL, path="", line=0,
        end_line=0, title="settings that could not be read were not judged", kind=Kind.CONFIG,
        confidence="high", resource=name,
        message=f"{counted(len(names), 'check')} could not look: {', '.join(names[:_NAMED])}{more}",
        fix=fix,
    )  # fmt: skip


def _revision(resources: Iterable[Resource]) -> str:
    """Return a state that follows from the settings."""
    seen = [[one.kind, one.name, one.data] for one in resources]
    return stable_id("settings", canonical(seen).decode())


def keep(workspace: app.Workspace, resource: str, revision: str, made: ScanReport) -> int:
    """Put findings of a state of something into the lake; return how many are new there."""
    from lemnis.app import findings_life, pipeline

    new = pipeline.into_lake(workspace, made, resource=resource, revision=revision)
    findings_life.remember(workspace, made, resource=resource, revision=revision)
    return new


def row(one: Judged, known: Mapping[str, Check]) -> dict[str, Json]:
    """Return a verdict as JSON."""
    check = known[one.check]
    return {
        "check": one.check, "severity": check.severity.name.lower(), "verdict": one.verdict.value,
        "resource": one.resource.name, "kind": one.resource.kind, "path": ".".join(map(str, one.steps)),
        "title": check.title, "message": one.message, "fix": check.fix, "controls": list(check.controls),
    }  # fmt: skip


def catalogue(library: Library) -> dict[str, Check]:
    """Return the checks of settings by name."""
    return {
        one.name: one
        for one in asking.load(library, cache=app.cache_folder())
        if KINDS.intersection(one.kinds)
    }


def recorded(folder: Path, names: Sequence[str]) -> tuple[Ask, list[str], list[str]]:
    """Return what answers from a folder, the names to ask about, and what in it is no answer."""
    from lemnis.app.posture_api import Recorded

    source = Recorded(folder)
    owners, repositories = source.names
    found = list(names) or [*owners, *repositories]
    if not found:
        raise UsageError(
            "no repository and no organisation is recorded there", at=Location(str(folder)),
            fix="name what was asked about",
        )  # fmt: skip
    return source, found, source.errors

"""What an editor is told of a file while it is written: findings, why they matter, how to mend them.

As somebody types, the scanners that answer at once look at the text that is not saved yet, in a folder of its
own, with the other files of its Terraform module; what takes longer looks at the file when it is saved. The
rules are those of the build: by the same content digest the editor says what the gate will say.
"""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import orjson
import yaml as pyyaml

from lemnis import app
from lemnis.app.editing_secrets import secrets
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import LemnisError, Location, UsageError
from lemnis.contracts.findings import Decision, Finding, Kind, ScanReport
from lemnis.contracts.ids import Json, stable_id
from lemnis.policy.decide import decide
from lemnis.policy.document import change_document, code_document
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.content.schemas.exemption import Exemption, Request
    from lemnis.content.schemas.scanner import Scanner
    from lemnis.contracts import scanning
    from lemnis.policy.decide import Policy
    from lemnis.store.git import Repository

REQUESTS = "requests"
EVENTS = Path("editor") / "events.jsonl"
MAX_TEXT = 2_000_000
MAX_EVENTS = 10_000_000
_MODULES = "lemnis_modules"
_CWE = "https://cwe.mitre.org/data/definitions/{}.html"


@dataclass(slots=True)
class Desk:
    """One folder that is open in an editor. Without a workspace the content that ships decides."""

    root: Path
    workspace: app.Workspace | None
    library: Library
    policies: Sequence[Policy]
    programs: Sequence[Scanner]
    own: Sequence[scanning.Scanner]
    identity: Callable[[], str]
    editor: str = "editor"
    _told: set[str] = field(default_factory=set)
    _secrets: Sequence[scanning.Scanner] = field(default_factory=lambda: tuple(secrets()))

    @classmethod
    def open(cls, root: Path, workspace: app.Workspace | None, *, identity: Callable[[], str]) -> Desk:
        """Open a folder; raises ContentError for content that does not hold."""
        from lemnis.app import policies, scans

        library = app.library(workspace)
        programs, own = scans.scanners(library), scans.own(library, workspace)
        return cls(root.resolve(), workspace, library, policies.load(library), programs, own, identity)

    def relative(self, path: Path) -> str:
        """Return a file's path in the folder; raises UsageError for one outside."""
        try:
            return path.resolve().relative_to(self.root).as_posix()
        except ValueError as error:
            raise UsageError("not in the folder that is open", at=Location(str(path))) from error

    def typed(self, path: str, text: str) -> list[Finding]:
        """Return what the quick scanners find in a text that is not saved yet, as the file at ``path``."""
        from lemnis.scan import resources

        if len(text) > MAX_TEXT:
            return []
        quick = [one for one in self.programs if one.editor]
        found = self._typed(path, {path: text}, quick, [*self._alone(), *self._secrets])
        if resources.in_module(path):
            together = [one for one in self.own if one.name == _MODULES]
            found += self._typed(path, {**self._beside(path), path: text}, (), together)
        return found

    def _typed(
        self,
        path: str,
        texts: Mapping[str, str],
        programs: Sequence[Scanner],
        own: Sequence[scanning.Scanner],
    ) -> list[Finding]:
        """Lay texts out and return what is found in the file at ``path``."""
        from lemnis.scan.runner import scan

        asked = [*(one.name for one in programs), *(one.name for one in own)]
        with tempfile.TemporaryDirectory(prefix="lemnis-typed-") as name:
            for place, text in texts.items():
                file = Path(name) / PurePosixPath(place)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", errors="surrogatepass")
            done = scan(Path(name), programs, own, asked=asked)
        return [one for one in done.report.findings if one.path == path]

    def _beside(self, path: str) -> dict[str, str]:
        """Return the other files of a Terraform module, as they lie there, up to a size."""
        from lemnis.scan import resources

        folder = (self.root / PurePosixPath(path)).parent
        found: dict[str, str] = {}
        left = MAX_TEXT
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if resources.in_module(file.name) and file.is_file() and not file.is_symlink():
                left -= file.stat().st_size
                if left < 0:
                    break
                place = file.relative_to(self.root).as_posix()
                found[place] = file.read_text(encoding="utf-8", errors="replace")
        return found

    def _alone(self) -> list[scanning.Scanner]:
        return [one for one in self.own if one.per_file]

    def saved(self, path: str) -> list[Finding]:
        """Return what all scanners find in a file as it lies there.

        Not those that take a folder and no files, which would look at all of it, nor what is judged together
        with other files (``typed`` does).
        """
        from lemnis.scan.runner import scan

        kept = self.root / PurePosixPath(path)
        if not kept.is_file():
            return []
        programs = [one for one in self.programs if any("{files}" in word for word in one.command)]
        own = [one for one in self.own if one.name != _MODULES]
        done = scan(kept, programs, own, within=self.root)
        return [one for one in done.report.findings if one.path == path]

    def decision(self, findings: Sequence[Finding], now: int) -> Decision:
        """Return what the editor's gate says of findings, all of which count as new."""
        change = change_document(
            repository=self.root.name, commit="", base="", author="", email="", subject="", at=now, files=[],
        )  # fmt: skip
        document = code_document("editor", change, ScanReport(tuple(findings), ()), ())
        return decide(self.policies, document, "editor", now=now, content_digest=self.library.digest)

    def why(self, finding: Finding, decision: Decision) -> str:
        """Return in Markdown why a finding matters: what it is, what refuses it, since which incident."""
        lines = [f"**{_plain(finding.title)}** ({finding.severity.name.lower()})"]
        if finding.message and finding.message != finding.title:
            lines.append(_plain(finding.message[:800]))
        if finding.cwes:
            lines.append(" ".join(f"[CWE-{n}]({_CWE.format(n)})" for n in finding.cwes))
        for reason in decision.reasons:
            if reason.finding == finding.fingerprint:
                controls = f" ({_plain(', '.join(reason.controls))})" if reason.controls else ""
                lines.append(f"Refused by `{reason.policy}`{controls}: {_plain(reason.message)}")
                lines += self._lesson(reason.policy)
        if finding.fix:
            lines.append(f"Fix: {_plain(finding.fix)}")
        if owner := self.owner(finding.path):
            lines.append(f"Owner: {_plain(owner)}")
        if finding.help_uri.startswith("https://"):
            lines.append(f"<{finding.help_uri}>")
        return "\n\n".join(lines)

    def _lesson(self, policy: str) -> Iterator[str]:
        """Yield the incident that a policy was learnt from."""
        from lemnis.content import yaml
        from lemnis.content.schemas.lesson import Lesson

        for item in self.library.items("lessons").values():
            lesson = yaml.load(item.manifest, Lesson)
            if lesson.gate == policy:
                yield f"Learnt from incident `{lesson.incident}` (lesson {item.name})"

    def owner(self, path: str) -> str:
        """Return whom CODEOWNERS names for a file; empty if nobody."""
        from lemnis.graph.codeowners import PLACES, owners

        for place in PLACES:
            file = self.root / place
            if file.is_file():
                return ", ".join(owners(file.read_text(encoding="utf-8", errors="replace"), path).owners)
        return ""

    def request(self, finding: Finding, policy: str, *, reason: str, days: int, now: int) -> Path:
        """Ask for an exception: write it down for somebody else to approve; return the file.

        Raises UsageError without a workspace, for a reason that says nothing, and for more than a year.
        """
        if self.workspace is None:
            raise UsageError("an exception needs a workspace", fix="lemnis init . --hook")
        if len(reason.strip()) < 10:  # noqa: PLR2004 - as exceptions ask
            raise UsageError("say why, in ten characters or more")
        if not 1 <= days <= 366:  # noqa: PLR2004 - a year
            raise UsageError("an exception ends within a year", fix="give days from 1 to 366")
        folder = self.workspace.root / REQUESTS
        folder.mkdir(exist_ok=True)
        path = folder / f"{policy}-{finding.fingerprint}.yaml"
        last = timedelta(days=days)
        document = {
            "policy": policy, "fingerprint": finding.fingerprint, "where": "", "reason": reason.strip(),
            "owner": self.identity(), "expires": to_iso(now + int(last.total_seconds() * 1000))[:10],
            "stages": ["editor", "commit", "pull_request", "build"],
        }  # fmt: skip
        path.write_text(pyyaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return path

    # what people do is a source

    def tell(self, event: str, finding: Finding, *, now: int, **facts: Json) -> None:
        """Write down that a secret was typed, a fix taken, an exception asked for; once a finding and event.

        Nothing of the text goes with it. Without a workspace nothing is written.
        """
        name = stable_id("ee", event, finding.fingerprint)
        if self.workspace is None or name in self._told:
            return
        self._told.add(name)
        path = self.workspace.state / EVENTS
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size > MAX_EVENTS:
            path.replace(path.with_name("events.1.jsonl"))
        said = {
            "time": to_iso(now), "id": stable_id("ee", event, finding.fingerprint, str(now)), "event": event,
            "editor": {"name": self.editor}, "user": {"name": self.identity()},
            "workspace": {"path": str(self.root)}, "file": {"path": finding.path},
            "rule": f"{finding.tool}:{finding.rule_id}", "message": finding.title, **facts,
        }  # fmt: skip
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as file:
            file.write(orjson.dumps(said) + b"\n")

    def seen(self, findings: Sequence[Finding], now: int) -> None:
        """Write down the secrets among findings."""
        for one in findings:
            if one.kind is Kind.SECRET:
                self.tell("secret.typed", one, now=now)


def approve(workspace: app.Workspace, request: Path, *, actor: str) -> Path:
    """Approve an exception that was asked for: it goes to the content, to be reviewed and committed.

    One that is there is renewed by a request about the same. Raises UsageError where the one who asked
    approves, InputError and ContentError for what is no request.
    """
    from lemnis.content import yaml
    from lemnis.content.schemas.exemption import Exemption, Request

    asked = yaml.load(request, Request)
    if asked.owner.strip().lower() == actor.strip().lower():
        raise UsageError("who asks does not approve", fix="let somebody else do it")
    folder = workspace.content / "exceptions"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / request.name
    if path.exists() and not _renews(asked, yaml.load(path, Exemption)):
        raise UsageError("there is an exception of this name", at=Location(str(path)))
    told = {
        **asked.model_dump(mode="json", exclude_defaults=True), "approved_by": actor,
        "approved": to_iso(workspace.clock.now())[:10],
    }  # fmt: skip
    Exemption.model_validate(told)
    durable.write(path, pyyaml.safe_dump(told, sort_keys=False, allow_unicode=True).encode())
    path.chmod(0o644)  # gates read it: whole or not at all
    request.unlink(missing_ok=True)
    return path


def _renews(asked: Request, known: Exemption) -> bool:
    """Say whether a request is about just what an exception is about, for longer."""
    terms = ("policy", "where", "fingerprint", "stages", "assets")
    return all(getattr(asked, one) == getattr(known, one) for one in terms)


def person(repository: Repository | None) -> str:
    """Return who writes: the e-mail of git, else the account."""
    if repository is not None:
        try:
            return repository.run("config", "--local", "user.email").decode().strip()
        except LemnisError:
            pass
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _plain(text: str) -> str:
    """Return a text that says nothing in Markdown."""
    flat = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#!|" else sign for sign in flat)

"""What is attested, for people: each statement with who signed it, whether it holds, and what it says.

A statement is judged when it is looked at: trust that was given later counts, trust that was taken away does
not. What it says of a build is the builder's word only where it is verified.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app import attest, gates, policies, settings
from lemnis.contracts.errors import InputError, IntegrityError, Location, NotFoundError
from lemnis.contracts.ids import canonical, digest
from lemnis.policy.document import IMAGE_STAGES

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.contracts.ids import Json
    from lemnis.graph.attestation import Signer
    from lemnis.graph.builds import Told
    from lemnis.graph.predicates import Statement
    from lemnis.policy.decide import Policy

MOST = 2_000
"""So many of the newest are listed."""
_PROVENANCE = "provenance"
_READS = re.compile(r"\binput\.(attestation|statements|labels|sbom)\b")
_COMMENT = re.compile(r"#[^\n]*")


class Holds(StrEnum):
    """What a statement is worth."""

    VERIFIED = "verified"
    INVALID = "invalid"
    """Somebody trusted signed it, and it does not hold, or tells of what failed."""
    UNTRUSTED = "untrusted"
    """Nobody trusted signed it: it proves nothing."""
    LOST = "lost"
    """The vault no longer has it as it was."""


@dataclass(frozen=True, slots=True)
class Attested:
    """One statement: its digest in the vault, when it was kept (ms), what it is about, and what it is worth.

    ``subjects`` are digests with the names that the statement gives them. ``build`` is what a provenance
    says, proven only if the statement is verified. ``why`` says what is wrong with it.
    """

    digest: str
    at: int
    kind: str
    type: str
    subjects: tuple[tuple[str, str], ...]
    holds: Holds
    signer: str = ""
    builder: str = ""
    why: str = ""
    facts: Mapping[str, Json] = field(default_factory=dict)
    build: Told | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its first subject is called; empty where it gives no name."""
        return next((name for _, name in self.subjects if name), "")


@dataclass(frozen=True, slots=True)
class Asking:
    """A policy that asks for attestations: at which stages, and for which parts of them."""

    policy: str
    stages: tuple[str, ...]
    parts: tuple[str, ...]
    warns: bool


@dataclass
class Attestations:
    """All statements of a workspace; what was judged is kept while the same signers are trusted."""

    workspace: app.Workspace
    _subjects: dict[str, list[str]] = field(default_factory=dict)
    _at: dict[str, int] = field(default_factory=dict)
    _judged: dict[str, Attested] = field(default_factory=dict)
    _after: int = 0
    _trust: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, most: int = MOST) -> tuple[Sequence[Attested], int]:
        """Return the newest statements, the newest first, and how many there are in all."""
        with self._lock:
            self._read()
            names = list(self._subjects)[::-1]
            return [self._judge(name) for name in names[:most]], len(names)

    def get(self, name: str) -> Attested:
        """Return the statement of this digest; raises NotFoundError."""
        with self._lock:
            self._read()
            if name not in self._subjects:
                raise NotFoundError(
                    f"no attestation {name[:80]!r}", fix="the page of attestations lists them"
                )
            return self._judge(name)

    def about(self, artefact: str) -> list[Attested]:
        """Return the statements about an artefact by its digest, the newest first."""
        with self._lock:
            self._read()
            mine = [name for name, about in self._subjects.items() if artefact in about]
            return [self._judge(name) for name in reversed(mine)]

    def _read(self) -> None:
        """Read what was kept since the last look; forget what was judged where others are trusted now."""
        for entry in app.journal(self.workspace).entries(kind=attest.ATTESTATION, after=self._after):
            name = str(entry.payload.get("digest", ""))
            self._subjects.setdefault(name, []).append(str(entry.payload.get("image", "")))
            self._at.setdefault(name, entry.at)
            self._judged.pop(name, None)
            self._after = entry.seq
        trust = _trust(self.workspace)
        if trust != self._trust:
            self._judged.clear()
            self._trust = trust

    def _judge(self, name: str) -> Attested:
        known = self._judged.get(name)
        if known is None:
            trusted = settings.trusted(self.workspace)
            known = judged(self.workspace, name, self._subjects[name], self._at[name], trusted=trusted)
            self._judged[name] = known
        return known


def _trust(workspace: app.Workspace) -> str:
    """Return what changes when others are trusted: the settings, and the files that they name."""
    known = settings.load(workspace)
    files = [settings.resolve(workspace, one.key) for one in known.builders if "-----BEGIN" not in one.key]
    if known.sigstore is not None and known.sigstore.trusted_root != "public":
        files.append(settings.resolve(workspace, known.sigstore.trusted_root))
    said = [digest(path.read_bytes()) for path in files if path.is_file()]
    return digest(canonical([known.model_dump_json(), *said]))


def judged(
    workspace: app.Workspace, name: str, about: Sequence[str], at: int, *, trusted: Sequence[Signer]
) -> Attested:
    """Read a statement out of the vault and say what it is worth; ``about`` are its artefacts' digests."""
    from lemnis.graph import envelopes, predicates

    bare = tuple((one, "") for one in about)
    try:
        data = app.vault(workspace).get(name)
    except (IntegrityError, NotFoundError) as error:
        return Attested(name, at, "", "", bare, Holds.LOST, why=error.what)
    try:
        document = envelopes.statement(data, Location(name))
        said = predicates.read(document, Location(name))
    except InputError as error:
        return Attested(name, at, "", "", bare, Holds.UNTRUSTED, why=error.what)
    signer, builder, unsigned = _signer(data, trusted, name)
    why = unsigned or _problem(data, said, about, trusted, name)
    holds = Holds.UNTRUSTED if unsigned else Holds.INVALID if why else Holds.VERIFIED
    named = _names(document)
    return Attested(
        name, at, said.kind, said.type, tuple((one, named.get(one, "")) for one in about), holds, signer,
        builder, why, said.facts, _build(said), said.notes,
    )  # fmt: skip


def _signer(data: bytes, trusted: Sequence[Signer], name: str) -> tuple[str, str, str]:
    """Return who of the trusted signed, for which builder, or why it is nobody."""
    from lemnis.graph import attestation, envelopes

    try:
        signed = attestation.signed(envelopes.read(data, Location(name)), trusted, Location(name))
    except (InputError, IntegrityError) as error:
        return "", "", error.what.removeprefix("signature: ")
    return signed.keyid, signed.builder, ""


def _problem(data: bytes, said: Statement, about: Sequence[str], trusted: Sequence[Signer], name: str) -> str:
    """Return what is wrong with a statement that somebody trusted signed; empty if nothing is."""
    from lemnis.graph import attestation, statements

    if not about:
        return "it is about nothing"
    try:
        if said.kind == _PROVENANCE:
            attestation.verify(data, trusted, subject_digest=about[0], file=name)
        elif said.kind in statements.TYPES:
            return statements.verify(
                data, trusted, subject_digest=about[0], kind=said.kind, file=name
            ).problem
        else:
            attestation.opened(data, trusted, subject_digest=about[0], file=name)
    except (InputError, IntegrityError) as error:
        return error.what
    return ""


def _build(said: Statement) -> Told | None:
    from lemnis.graph import builds

    return builds.read(said.type, said.predicate) if said.type in builds.READERS else None


def _names(document: Mapping[str, Any]) -> dict[str, str]:
    from lemnis.graph.builds import at, objects

    return {
        f"{algorithm}:{value}": str(one.get("name", ""))[:300]
        for one in objects(document, "subject")
        for algorithm, value in at(one, "digest").items()
    }


# -- which gates ask for it --------------------------------------------------------------------------------


def asking(library: Library) -> list[Asking]:
    """Return the policies at stages of images that look at attestations, by name."""
    return list(_asking(policies.load(library)))


def _asking(known: Iterable[Policy]) -> Iterator[Asking]:
    for one in known:
        parts = tuple(sorted(set(_READS.findall(_COMMENT.sub("", one.text)))))
        stages = tuple(stage for stage in one.stages if stage in IMAGE_STAGES)
        if parts and stages:
            yield Asking(one.name, stages, parts, one.warns)


PARTS: Mapping[str, frozenset[str]] = {
    _PROVENANCE: frozenset({"attestation", "labels", "statements"}),
    "sbom": frozenset({"sbom", "statements"}),
}
"""By which parts of a gate's document a kind of statement is asked for; of other kinds ``statements``."""


def asks(one: Asking, kind: str) -> bool:
    """Say whether a policy looks at statements of a kind. Pure."""
    return bool(PARTS.get(kind, frozenset({"statements"})).intersection(one.parts))


@dataclass(frozen=True, slots=True)
class Said:
    """What a gate said of an artefact or a commit: the entry's number and time (ms), stage, answer, why."""

    seq: int
    at: int
    stage: str
    decision: str
    why: str


def decisions(workspace: app.Workspace, subject: str) -> list[Said]:
    """Return what gates said of ``image:…`` or ``commit:…``, the newest first."""
    found = list(app.journal(workspace).entries(kind=gates.DECISION, subject=subject))
    return [
        Said(
            entry.seq, entry.at, str(entry.payload.get("stage", "")), str(entry.payload.get("decision", "")),
            entry.reason,
        )
        for entry in reversed(found)
    ]  # fmt: skip

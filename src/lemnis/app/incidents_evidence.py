"""Evidence of incidents: collected, looked at, handed over, packed; and the journal's signed checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from lemnis import app
from lemnis.app import incidents, settings
from lemnis.app.incidents_handling import standing
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import IntegrityError, Location, RefusedError, UsageError
from lemnis.contracts.ids import Json, canonical
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.incidents import custody, findings, merkle, package, verifier
from lemnis.incidents import entries as writing
from lemnis.incidents import export as exporting
from lemnis.incidents.custody import Act, Held
from lemnis.incidents.merkle import Tree
from lemnis.incidents.package import Checkpoint, Part
from lemnis.store import durable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from lemnis.store.journal import SqlJournal
    from lemnis.store.vault import FileVault

CHECKPOINT = "journal.checkpoint"
JOURNAL = "journal"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Noted:
    """A checkpoint that was signed: what it says, the envelope's digest in the vault, the key's id."""

    point: Checkpoint
    digest: str
    keyid: str
    envelope: bytes = b""


@dataclass(frozen=True, slots=True)
class Packed:
    """A package that was written: where, how long (bytes), of how many pieces of evidence and entries."""

    path: Path
    size: int
    evidence: int
    entries: int
    keyid: str


def key_path(workspace: app.Workspace) -> Path:
    """Return where the key is that signs the journal's checkpoints; its public half lies beside it."""
    return workspace.state / "keys" / "journal"


def signing_key(workspace: app.Workspace) -> Ed25519PrivateKey:
    """Return the workspace's key, made (0600) when first needed; raises InputError for what is none."""
    from lemnis.app import attest
    from lemnis.graph.attestation import read_private

    path = key_path(workspace)
    with durable.exclusive(workspace.state / "keys.lock"):
        if not path.exists():
            durable.make_folder(path.parent)
            attest.keygen(path)
    return read_private(path.read_bytes(), str(path))


def collect(workspace: app.Workspace, incident: str, file: Path, *, actor: str, reason: str = "") -> str:
    """Put a file into the vault as evidence of an incident, and return its digest."""
    one = incidents.get(workspace, incident)
    incidents.refuse_merged(one)
    digest = _vault(workspace).put_file(file)
    entry = writing.evidence(one.id, digest, file.name, actor=actor, reason=reason)
    app.journal(workspace).append(entry)
    return digest


def evidence(workspace: app.Workspace, incident: str) -> list[Held]:
    """Return an incident's evidence with its custody, of what was merged into it too."""
    return _held(app.journal(workspace), incidents.get(workspace, incident))


def read(
    workspace: app.Workspace, incident: str, wanted: str, *, actor: str, reason: str
) -> tuple[Held, bytes]:
    """Return evidence and its bytes; that it was looked at is written down first."""
    one = _act(workspace, incident, wanted, Act.ACCESSED, actor=actor, reason=reason)
    return one, _vault(workspace).get(one.digest)


def transfer(
    workspace: app.Workspace, incident: str, wanted: str, *, to: str, actor: str, reason: str
) -> Held:
    """Write down that evidence was handed to someone."""
    return _act(workspace, incident, wanted, Act.TRANSFERRED, actor=actor, reason=reason, to=to)


def checkpoint(workspace: app.Workspace) -> tuple[Noted, Tree]:
    """Sign the journal's head as it is, and keep that; return it with the tree that its root is of."""
    journal, key = app.journal(workspace), signing_key(workspace)
    size, head = journal.head()
    tree = Tree(journal.hashes(size))
    point = Checkpoint(size, head, tree.root, workspace.clock.now())
    envelope = package.checkpoint(point, key)
    digest = _vault(workspace).put(envelope)
    keyid = _keyid(key)
    payload: dict[str, Json] = {
        "entries": size, "head": head, "root": tree.root, "at": point.at, "digest": digest, "key": keyid,
    }  # fmt: skip
    reason = f"{size:,} entries up to {head}"
    journal.append(NewEntry(CHECKPOINT, JOURNAL, f"{CHECKPOINT}:{digest}", payload, reason=reason))
    return Noted(point, digest, keyid, envelope), tree


def check(workspace: app.Workspace) -> list[Noted]:
    """Check every checkpoint against the journal as it is; return them.

    Raises IntegrityError naming the first whose entries are no longer as they were when it was signed.
    """
    journal = app.journal(workspace)
    public = signing_key(workspace).public_key()
    found = [_noted(entry) for entry in journal.entries(kind=CHECKPOINT)]
    longest = max((one.point.entries for one in found), default=0)
    roots = merkle.roots(journal.hashes(longest), {one.point.entries for one in found})
    for one in found:
        where = Location(JOURNAL, record=one.point.entries)
        try:
            said = verifier.statement(
                _vault(workspace).get(one.digest), one.digest, public, one.keyid, verifier.CHECKPOINT_TYPE
            )["predicate"]
        except verifier.BadError as error:
            raise IntegrityError(f"checkpoint {error}", at=where) from error
        if roots.get(said["entries"]) != said["root"]:
            raise IntegrityError(
                f"the journal is not what was signed {said['at']}: "
                f"its first {said['entries']:,} entries differ",
                at=where, fix="`lemnis journal verify` names the entry; restore it from a copy",
            )  # fmt: skip
    return found


def pack(
    workspace: app.Workspace, incident: str, path: Path, *, actor: str, reason: str, to: str = ""
) -> Packed:
    """Write an incident's evidence package to a file; that it was exported is in the journal, and in it.

    Raises UsageError without a reason, or where the file is there already.
    """
    if path.exists():
        raise UsageError("there is a file already", at=Location(str(path)), fix="choose another name")
    one = incidents.get(workspace, incident)
    incidents.refuse_merged(one)
    journal = app.journal(workspace)
    if not reason.strip():
        raise UsageError("a package needs its reason", fix="--reason")
    for piece in _held(journal, one):
        _act(workspace, one.id, piece.digest, Act.EXPORTED, actor=actor, reason=reason, to=to)
    key = signing_key(workspace)
    noted, tree = checkpoint(workspace)
    pieces = _held(journal, one)
    subjects = [*one.merged_from, one.id, *one.alert_ids]
    lines = [
        line
        for start in range(0, len(subjects), 500)
        for line in journal.rows(subjects[start : start + 500], up_to=noted.point.entries)
    ]
    lines.sort(key=lambda row: int(row["seq"]))
    about = {
        "incident": one.id, "title": one.title, "made": to_iso(noted.point.at), "by": actor,
        "reason": reason, "to": to,
    }  # fmt: skip
    parts = [
        *_documents(workspace, one, noted),
        Part(verifier.JOURNAL, lambda: package.journal_lines(lines, tree)),
        package.part("custody.json", _json([custody.document(piece) for piece in pieces])),
        *_evidence(_vault(workspace), pieces),
    ]
    with durable.replacing(path.absolute()) as file:
        keyid = package.write(file, parts, about, noted.envelope, key)
    return Packed(path, path.stat().st_size, len(pieces), len(lines), keyid)


def _documents(workspace: app.Workspace, one: Incident, noted: Noted) -> Iterator[Part]:
    """Yield the incident in the forms in which others read it."""
    from lemnis.incidents import stix

    times, items = incidents.metrics(workspace, one), incidents.timeline(workspace, one)
    stands = standing(workspace, one)
    worked = (stands.handling, stands.weighed, stands.timers)
    whole = {**exporting.document(one, times), **exporting.handling(*worked)}
    finding = findings.incident_finding(one, noted.point.entries, stands.weighed)
    name = settings.load(workspace).name
    bundle = stix.bundle(one, made=noted.point.at, name=name, links=stands.handling.links)
    yield package.part("incident.json", _json(whole))
    yield package.part("incident.md", exporting.markdown(one, times, items, worked).encode())
    yield package.part("incident.ocsf.json", _json(finding))
    yield package.part("incident.stix.json", bundle.encode())
    yield package.part("timeline.jsonl", b"".join(canonical(exporting.item(item)) + b"\n" for item in items))


def _evidence(vault: FileVault, pieces: Sequence[Held]) -> Iterator[Part]:
    for digest in dict.fromkeys(piece.digest for piece in pieces):
        yield package.stored(f"evidence/{digest.partition(':')[2]}", vault.place(digest))


def _act(
    workspace: app.Workspace, incident: str, wanted: str, what: Act, *, actor: str, reason: str, to: str = ""
) -> Held:
    """Write an act down at the end of its chain; if somebody else was quicker, after that."""
    journal, one = app.journal(workspace), incidents.get(workspace, incident)
    for _ in range(_TRIES):
        piece = custody.find(_held(journal, one), wanted)
        _, new = journal.append(custody.act(piece, what, actor=actor, reason=reason, to=to))
        if new:
            return custody.find(_held(journal, one), piece.digest)
    raise RefusedError(f"others write about {wanted} all the time", fix="try again")


def _held(journal: SqlJournal, one: Incident) -> list[Held]:
    return custody.held(
        entry for subject in [*one.merged_from, one.id] for entry in journal.entries(subject=subject)
    )


def _noted(entry: Entry) -> Noted:
    said = entry.payload
    point = Checkpoint(int(str(said["entries"])), str(said["head"]), str(said["root"]), int(str(said["at"])))
    return Noted(point, str(said["digest"]), str(said["key"]))


def _vault(workspace: app.Workspace) -> FileVault:
    from lemnis.store.vault import FileVault

    return FileVault(workspace.state / "vault")


def _keyid(key: Ed25519PrivateKey) -> str:
    from lemnis.graph.attestation import key_id

    return key_id(key.public_key())


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"

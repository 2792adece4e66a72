"""Evidence packages: what they hold and how they lie in the file. ``verifier`` reads them, by itself.

A package is a ZIP archive in one canonical form: files by name, stored as they are, no times, no extras. So
the same contents are the same bytes, nothing unpacks to more than it is, and no byte is without meaning.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import IntegrityError, RefusedError
from lemnis.contracts.ids import Json
from lemnis.graph.attestation import STATEMENT, key_id, sign, write_public
from lemnis.incidents import verifier
from lemnis.incidents.merkle import Tree

MAX_BYTES = 0xFFFF_FFFF - (64 << 20)
"""What an archive without extensions can hold, less its directory."""
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a package: its name, and what reads its bytes, more than once."""

    name: str
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The journal at a moment: how many entries, the last one's hash, the Merkle root over all, when (ms)."""

    entries: int
    head: str
    root: str
    at: int


def part(name: str, data: bytes) -> Part:
    """Return a file of these bytes."""
    return Part(name, lambda: iter([data]))


def stored(name: str, path: Path) -> Part:
    """Return a file that lies elsewhere."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while data := file.read(_READ):
                yield data

    return Part(name, chunks)


def checkpoint(point: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """Sign a checkpoint: an in-toto statement about the journal's head, in a DSSE envelope."""
    statement: dict[str, Json] = {
        "_type": STATEMENT,
        "subject": [{"name": "journal", "digest": {"sha256": point.head.partition(":")[2]}}],
        "predicateType": verifier.CHECKPOINT_TYPE,
        "predicate": {
            "entries": point.entries, "head": point.head, "root": point.root, "at": to_iso(point.at),
        },
    }  # fmt: skip
    return sign(statement, key)


def journal_lines(rows: Iterable[Mapping[str, int | str]], tree: Tree) -> Iterator[bytes]:
    """Yield the journal's rows as lines: the fields that are hashed, the hash, and its way to the root."""
    for row in rows:
        line = {
            "entry": [row[name] for name in verifier.HASHED],
            "hash": row["hash"],
            "proof": tree.proof(int(row["seq"]) - 1),
        }
        yield orjson.dumps(line) + b"\n"


def write(
    file: BinaryIO, parts: Sequence[Part], about: Mapping[str, Json], noted: bytes, key: Ed25519PrivateKey
) -> str:
    """Write a package of these files, with the checkpoint ``noted``, and return the id of the key.

    ``about`` is said in the manifest: the incident, when it was made, by whom, why. Raises RefusedError for
    more than an archive can hold, IntegrityError if a file changes while it is read.
    """
    public = key.public_key()
    own = [
        part(verifier.CHECKPOINT, noted),
        part(verifier.KEY, write_public(public)),
        part("verify.py", files("lemnis.incidents").joinpath("verifier.py").read_bytes()),
        part("README.txt", _readme(about, key_id(public))),
    ]
    every = sorted([*parts, *own], key=lambda one: one.name)
    measured = [(one, *_measure(one)) for one in every]
    for one, _, _, sha in measured:
        if one.name.startswith("evidence/") and one.name != f"evidence/{sha}":
            raise IntegrityError(
                f"{one.name} was altered: its bytes have the digest {sha}",
                fix="restore it from a copy; the journal says where it was used",
            )
    statement: dict[str, Json] = {
        "_type": STATEMENT,
        "subject": [{"name": one.name, "digest": {"sha256": sha}} for one, _, _, sha in measured],
        "predicateType": verifier.PACKAGE_TYPE,
        "predicate": {"format": 1, **about},
    }
    manifest = part(verifier.MANIFEST, sign(statement, key))
    measured = sorted([*measured, (manifest, *_measure(manifest))], key=lambda row: row[0].name)
    total = sum(size for _, size, _, _ in measured)
    if total > MAX_BYTES or len(measured) > verifier.MAX_FILES:
        raise RefusedError(
            f"{total:,} bytes in {len(measured):,} files are more than one package can hold",
            fix="hand the largest evidence over by itself; its digest is in the journal",
        )
    _archive(file, measured)
    return key_id(public)


def _archive(file: BinaryIO, measured: Iterable[tuple[Part, int, int, str]]) -> None:
    members: list[verifier.Member] = []
    offset = 0
    for one, size, crc, sha in measured:
        member = verifier.Member(one.name, offset, size, crc, sha)
        file.write(verifier.local_header(member))
        found = hashlib.sha256()
        for data in one.chunks():
            found.update(data)
            file.write(data)
        if found.hexdigest() != sha:
            raise IntegrityError(f"{one.name} changed while it was packed", fix="pack it again")
        members.append(member)
        offset = member.start + size
    directory = b"".join(map(verifier.central_header, members))
    file.write(directory + verifier.end_record(len(members), len(directory), offset))


def _measure(one: Part) -> tuple[int, int, str]:
    """Return a file's size, CRC-32 and SHA-256."""
    size, crc, sha = 0, 0, hashlib.sha256()
    for data in one.chunks():
        size, crc = size + len(data), zlib.crc32(data, crc)
        sha.update(data)
    return size, crc, sha.hexdigest()


def _readme(about: Mapping[str, Json], keyid: str) -> bytes:
    return (
        f"Evidence package of incident {about['incident']}\n"
        f"made {about['made']} by {about['by']}: {about['reason']}\n\n"
        "  incident.*       the incident, for people and for machines (JSON, Markdown, OCSF, STIX 2.1)\n"
        "  timeline.jsonl   what happened, was seen, decided and done\n"
        "  evidence/        each piece of evidence, called by its SHA-256\n"
        "  custody.json     who collected, looked at, exported or was handed which evidence\n"
        "  journal.jsonl    the journal's entries about it, each with its hash and its way to the root\n"
        "  checkpoint.json  the signed head of the whole journal, with the root over all its entries\n"
        "  manifest.json    the signed list of all these files\n"
        "  verify.py        checks all of it\n\n"
        "    python verify.py PACKAGE --fingerprint ID      or   lemnis incident verify PACKAGE\n\n"
        f"It was signed with the key {keyid}.\n"
        "Ask who made it for that key on another way, and take verify.py from where you trust it.\n"
    ).encode()

"""A feed's data with their manifest: an in-toto Statement, signed with Ed25519 in a DSSE envelope."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.errors import InputError, IntegrityError, Location
from lemnis.contracts.ids import Json
from lemnis.store import durable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PREDICATE: Final = "https://lemnis.invalid/feed/v1"
MANIFEST: Final = "manifest.dsse.json"
_STEP: Final = 1 << 20
_MAX_MANIFEST: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a feed's data are: of which feed, made when and of what, as of when (ms; None: not told).

    ``entries`` counts them, by what they are of; ``keyid`` is who signed.
    """

    feed: str
    digest: str
    made: int
    until: int | None
    sources: tuple[str, ...]
    entries: Mapping[str, int]
    rejected: int
    keyid: str = ""

    def statement(self) -> dict[str, Json]:
        """Return it as an in-toto Statement."""
        algorithm, _, value = self.digest.partition(":")
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": f"{self.feed}.db", "digest": {algorithm: value}}],
            "predicateType": PREDICATE,
            "predicate": {
                "feed": self.feed, "made": to_iso(self.made),
                "until": None if self.until is None else to_iso(self.until),
                "sources": list(self.sources), "entries": dict(self.entries), "rejected": self.rejected,
            },
        }  # fmt: skip


def digest(path: Path) -> str:
    """Return the digest of a file, read piece by piece."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_STEP):
            made.update(piece)
    return f"sha256:{made.hexdigest()}"


def seal(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """Return the signed manifest."""
    from lemnis.graph import attestation

    return attestation.sign(manifest.statement(), key)


def unseal(envelope: bytes, keys: Iterable[Ed25519PublicKey], file: str = "") -> Manifest:
    """Return what a manifest says; raises InputError for what is none, IntegrityError if no key signed it."""
    from cryptography.exceptions import InvalidSignature

    from lemnis.graph import attestation

    at = Location(file)
    try:
        document = orjson.loads(envelope)
        payload = base64.b64decode(document["payload"], validate=True)
        signatures = [base64.b64decode(one["sig"], validate=True) for one in document["signatures"]]
        signed = attestation.pae(document["payloadType"], payload)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise InputError("no signed manifest", at=at) from error
    for key in keys:
        for signature in signatures:
            try:
                key.verify(signature, signed)
            except InvalidSignature:
                continue
            return _manifest(payload, attestation.key_id(key), at)
    raise IntegrityError(
        "signed by no key that is trusted here", at=at, fix="give its maker's key with --key"
    )


def _manifest(payload: bytes, keyid: str, at: Location) -> Manifest:
    try:
        statement: dict[str, Any] = orjson.loads(payload)
        said = statement["predicate"]
        if statement["predicateType"] != PREDICATE:
            raise InputError("a statement about something else", at=at)
        return Manifest(
            feed=str(said["feed"]),
            digest=f"sha256:{statement['subject'][0]['digest']['sha256']}",
            made=from_iso(said["made"]),
            until=None if said["until"] is None else from_iso(said["until"]),
            sources=tuple(map(str, said["sources"])),
            entries={str(name): int(count) for name, count in said["entries"].items()},
            rejected=int(said["rejected"]),
            keyid=keyid,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError("a manifest that lacks something", at=at) from error


def pack(out: Path, data: Path, envelope: bytes) -> None:
    """Write a bundle to hand on: the data and their signed manifest in one zip, the same bytes every time."""
    with durable.replacing(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_member(MANIFEST), envelope)
        with data.open("rb") as source, archive.open(_member("data.db"), "w", force_zip64=True) as target:
            while piece := source.read(_STEP):
                target.write(piece)


def _member(name: str) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.compress_type = zipfile.ZIP_DEFLATED
    return made


def is_bundle(path: Path) -> bool:
    """Say whether a file is a bundle that ``pack`` wrote."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {MANIFEST, "data.db"} == set(archive.namelist())


def manifest_of(path: Path) -> bytes:
    """Return the signed manifest of a bundle, as it is in it."""
    with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as said:
        return said.read(_MAX_MANIFEST)


def unpack(path: Path, target: Path, most: int) -> None:
    """Write a bundle's data to ``target``; raises InputError beyond ``most`` bytes or for a damaged one."""
    size, at = 0, Location(str(path))
    try:
        with zipfile.ZipFile(path) as archive, archive.open("data.db") as source, target.open("wb") as file:
            while piece := source.read(_STEP):
                size += len(piece)
                if size > most:
                    raise InputError(f"more than {most:,} bytes unpacked", at=at)
                file.write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"a damaged bundle: {error}", at=at) from error


def own_key(folder: Path) -> Ed25519PrivateKey:
    """Return the key by which data that are pulled here are signed; it is made when first asked for."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from lemnis.graph import attestation

    private = folder / "own"
    if not private.exists():
        durable.make_folder(folder)
        key = Ed25519PrivateKey.generate()
        handle = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(attestation.write_private(key))
        durable.write(folder / "own.pub", attestation.write_public(key.public_key()))
    return attestation.read_private(private.read_bytes(), str(private))


def trusted(folder: Path) -> list[Ed25519PublicKey]:
    """Return the keys that are trusted for data here: our own, and those that were given."""
    from lemnis.graph import attestation

    return [attestation.read_public(one.read_bytes(), str(one)) for one in sorted(folder.glob("*.pub"))]

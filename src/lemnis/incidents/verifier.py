"""Checks an evidence package of an incident, offline: python verify.py PACKAGE [--key FILE].

It needs Python 3.10 or newer and the package `cryptography`, and nothing of Lemnis; it writes nothing and
unpacks nothing. Every byte of a package is accounted for: its archive is stored without compression in one
canonical form, the manifest names each file's SHA-256 and is signed (DSSE, Ed25519), each journal entry
hashes to what is in the Merkle tree (RFC 9162) of the signed checkpoint, and the custody of each piece of
evidence is a chain of hashes. Take this program from where you trust it; the copy in a package is for
reading, as whoever changes a package can change that too. Exit code: 0 it holds, 1 it does not, 2 wrong use,
3 `cryptography` is missing.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MANIFEST, CHECKPOINT, KEY, JOURNAL = "manifest.json", "checkpoint.json", "checkpoint.pub", "journal.jsonl"
STATEMENT = "https://in-toto.io/Statement/v1"
PACKAGE_TYPE = "https://lemnis.invalid/incident/evidence-package/v1"
CHECKPOINT_TYPE = "https://lemnis.invalid/journal/checkpoint/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
COLLECTED, CUSTODY = "evidence", "evidence.custody"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")
DATE, FLAGS, VERSION, MADE_BY, MODE = 0x0021, 0x0800, 20, 0x0314, 0o100644 << 16
LOCAL, CENTRAL, END = "<4sHHHHHIIIHH", "<4sHHHHHHIIIHHHHHII", "<4sHHHHIIH"
LOCAL_SIZE, CENTRAL_SIZE, END_SIZE = 30, 46, 22
CHUNK = 1 << 20
MAX_DOCUMENT = 64 << 20
MAX_FILES = 65_535
DIRECTORY = "the archive's directory"
HASHED = ("seq", "at", "kind", "subject", "key", "actor", "reason", "payload", "previous")


class BadError(Exception):
    """Something does not hold: which file or part it is, and what is wrong with it."""

    def __init__(self, name: str, what: str) -> None:
        """``name`` is the file in the package, or a part of the archive."""
        super().__init__(f"{name}: {what}")
        self.name, self.what = name, what


@dataclass(frozen=True)
class Member:
    """A file in a package: its name, where its header begins, its size, CRC-32 and SHA-256."""

    name: str
    offset: int
    size: int
    crc: int
    sha256: str = ""

    @property
    def start(self) -> int:
        """Where its bytes begin."""
        return self.offset + LOCAL_SIZE + len(self.name.encode())


@dataclass
class Report:
    """What was checked, and what does not hold."""

    package: str
    checks: list[tuple[str, str]] = field(default_factory=list)
    problems: list[BadError] = field(default_factory=list)
    key: str = ""
    trusted: bool | None = None
    incident: str = ""
    files: int = 0
    entries: int = 0
    evidence: int = 0

    @property
    def ok(self) -> bool:
        """Say whether everything holds."""
        return not self.problems


# -- the archive: every byte follows from names and contents ---------------------------------------------


def local_header(member: Member) -> bytes:
    """Return what stands before a file's bytes."""
    name = member.name.encode()
    return (
        struct.pack(
            LOCAL, b"PK\3\4", VERSION, FLAGS, 0, 0, DATE, member.crc, member.size, member.size, len(name), 0
        )
        + name
    )


def central_header(member: Member) -> bytes:
    """Return a file's entry in the directory at the end."""
    name = member.name.encode()
    return (
        struct.pack(
            CENTRAL, b"PK\1\2", MADE_BY, VERSION, FLAGS, 0, 0, DATE, member.crc, member.size, member.size,
            len(name), 0, 0, 0, 0, MODE, member.offset,
        )
        + name
    )  # fmt: skip


def end_record(count: int, size: int, offset: int) -> bytes:
    """Return the archive's last bytes."""
    return struct.pack(END, b"PK\5\6", 0, 0, count, count, size, offset, 0)


def read_members(file: BinaryIO) -> list[Member]:
    """Return the files of an archive; raises BadError naming the first part that is not as it must be."""
    length = file.seek(0, 2)
    listed = _listed(file, length)
    members = _walked(file, length) if listed is None else _compared(file, listed)
    last = members[-1]
    _directory(file, members, last.start + last.size)
    for member in members:
        if _crc(file, member) != member.crc:
            raise BadError(member.name, "its bytes, or the checksum beside them, were changed")
    return members


def _listed(file: BinaryIO, length: int) -> list[Member] | None:
    """Return the files that the directory at the end lists; None if it is not whole."""
    file.seek(max(0, length - END_SIZE))
    tail = file.read(END_SIZE)
    if len(tail) < END_SIZE:
        return None
    signature, _, _, _, count, size, start, _ = struct.unpack(END, tail)
    if signature != b"PK\5\6" or start + size + END_SIZE != length or size > MAX_DOCUMENT:
        return None
    file.seek(start)
    data, place = file.read(size), 0
    found: list[Member] = []
    for _ in range(count):
        if len(data) - place < CENTRAL_SIZE:
            return None
        fields = struct.unpack_from(CENTRAL, data, place)
        place += CENTRAL_SIZE
        name = data[place : place + fields[10]].decode("ascii", "replace")
        place += fields[10]
        member = Member(name, fields[16], fields[8], fields[7])
        if fields[0] != b"PK\1\2" or not _fits(name, found):
            return None
        found.append(member)
    return found if found and place == len(data) else None


def _compared(file: BinaryIO, listed: list[Member]) -> list[Member]:
    """Return listed files if their headers stand as they must; raises BadError for the first other."""
    offset = 0
    for one in listed:
        file.seek(offset)
        wanted = local_header(one)
        if one.offset != offset or file.read(len(wanted)) != wanted:
            raise BadError(one.name, f"its header, or its entry in {DIRECTORY}, was changed")
        offset = one.start + one.size
    return listed


def _walked(file: BinaryIO, length: int) -> list[Member]:
    """Return the files by their headers, one after the other, where the directory is of no use."""
    members: list[Member] = []
    offset = 0
    while True:
        file.seek(offset)
        head = file.read(LOCAL_SIZE)
        if head[:4] != b"PK\3\4" or len(head) < LOCAL_SIZE:
            break
        crc, size, _, name_size = struct.unpack(LOCAL, head)[6:10]
        raw = file.read(name_size)
        member = Member(raw.decode("ascii", "replace"), offset, size, crc)
        if not _fits(member.name, members) or head + raw != local_header(member):
            after = f"the file after {members[-1].name}" if members else "the first file"
            raise BadError(after, "its header was changed, or its name leads out of the package")
        if member.start + size > length:
            raise BadError(member.name, "its end is missing, or its size was changed")
        members.append(member)
        offset = member.start + size
    if not members:
        raise BadError("the package", "this is no evidence package")
    return members


def _fits(name: str, before: Sequence[Member]) -> bool:
    """Say whether a package may hold a file of this name after those before it: they are in order."""
    return bool(NAME.fullmatch(name)) and ".." not in name and (not before or name > before[-1].name)


def _directory(file: BinaryIO, members: Sequence[Member], offset: int) -> None:
    """Compare the rest of the archive with the directory that its files must have."""
    entries = [central_header(one) for one in members]
    wanted = b"".join(entries)
    wanted += end_record(len(members), len(wanted), offset)
    file.seek(offset)
    found = file.read(len(wanted) + 1)
    if found == wanted:
        return
    pairs = enumerate(zip(found, wanted, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(found), len(wanted)))
    if place == len(wanted):
        raise BadError(DIRECTORY, "bytes were added after the end of the archive")
    if place == len(found):
        raise BadError(DIRECTORY, "the end of the archive is cut off")
    seen = 0
    for one, entry in zip(members, entries, strict=True):
        seen += len(entry)
        if place < seen:
            raise BadError(DIRECTORY, f"the entry of {one.name}, or what stands before it, was changed")
    raise BadError(DIRECTORY, "its last record was changed")


def _chunks(file: BinaryIO, member: Member) -> Iterator[bytes]:
    file.seek(member.start)
    left = member.size
    while left and (data := file.read(min(CHUNK, left))):
        left -= len(data)
        yield data


def _lines(file: BinaryIO, member: Member) -> Iterator[bytes]:
    rest = b""
    for data in _chunks(file, member):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > MAX_DOCUMENT:
            raise BadError(member.name, f"a line of it is longer than {MAX_DOCUMENT:,} bytes")
        yield from lines
    if rest:
        raise BadError(member.name, "its last line does not end")


def _crc(file: BinaryIO, member: Member) -> int:
    crc = 0
    for data in _chunks(file, member):
        crc = zlib.crc32(data, crc)
    return crc


def _digest(file: BinaryIO, member: Member) -> str:
    found = hashlib.sha256()
    for data in _chunks(file, member):
        found.update(data)
    return found.hexdigest()


def _read(file: BinaryIO, members: dict[str, Member], name: str) -> bytes:
    member = members.get(name)
    if member is None:
        raise BadError(name, "it is missing")
    if member.size > MAX_DOCUMENT:
        raise BadError(name, f"it is larger than {MAX_DOCUMENT:,} bytes")
    return b"".join(_chunks(file, member))


# -- signatures ------------------------------------------------------------------------------------------


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def statement(data: bytes, name: str, key: Any, keyid: str, kind: str) -> dict[str, Any]:
    """Return what a signed envelope says; raises BadError unless this key signed exactly these bytes."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - told if it is missing

    envelope = _json(data, name)
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    except (KeyError, IndexError, TypeError, ValueError, binascii.Error) as error:
        raise BadError(name, "it is no signed envelope") from error
    whole = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
    }
    if json.dumps(whole, indent=2).encode() != data:
        raise BadError(name, "it was changed: its envelope is not as it was written, or names another key")
    try:
        key.verify(signature, pae(PAYLOAD_TYPE, payload))
    except InvalidSignature as error:
        raise BadError(name, f"its signature does not hold for the key {keyid}") from error
    said = _json(payload, name)
    if said.get("_type") != STATEMENT or said.get("predicateType") != kind:
        raise BadError(name, f"it says something else: {said.get('predicateType')!r}")
    return said


def _key(data: bytes) -> tuple[Any, str]:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - told if it is missing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - the same

    try:
        key = serialization.load_pem_public_key(data)
    except ValueError as error:
        raise BadError(KEY, "it is no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadError(KEY, "it is no Ed25519 key")
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return key, "sha256:" + hashlib.sha256(raw).hexdigest()


def _json(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadError(name, f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadError(name, "it is no JSON object")
    return found


# -- the journal -----------------------------------------------------------------------------------------


def entry_hash(entry: Sequence[Any]) -> str:
    """Return the hash of a journal entry: of the JSON list of its fields, the hash before it the last."""
    text = json.dumps(list(entry), ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


def included(value: str, index: int, size: int, proof: Sequence[str], root: str) -> bool:
    """Say whether a hash is at an index (from 0) of the tree of this size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    found = hashlib.sha256(b"\0" + bytes.fromhex(value.partition(":")[2])).digest()
    number, last = index, size - 1
    for one in proof:
        if last == 0:
            return False
        other = bytes.fromhex(one)
        if number & 1 or number == last:
            found = hashlib.sha256(b"\1" + other + found).digest()
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + other).digest()
        number, last = number >> 1, last >> 1
    return last == 0 and found.hex() == root


def read_journal(lines: Iterable[bytes], entries: int, root: str) -> list[dict[str, Any]]:
    """Return the entries; raises BadError naming the first that is not in the checkpoint's journal."""
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        where = f"{JOURNAL}, line {number}"
        said = _json(line, where)
        try:
            entry, value, proof = said["entry"], said["hash"], said["proof"]
            fields = dict(zip(HASHED, entry, strict=True))
            fits = len(entry) == len(HASHED) and entry_hash(entry) == value
            inside = fits and included(value, fields["seq"] - 1, entries, proof, root)
        except (KeyError, TypeError, ValueError) as error:
            raise BadError(where, f"it is no entry: {error}") from error
        if not fits:
            raise BadError(where, f"entry {fields.get('seq')} was altered: its hash does not match")
        if not inside:
            raise BadError(where, f"entry {fields['seq']} is not in the journal of the checkpoint")
        if found and found[-1]["seq"] + 1 == fields["seq"] and found[-1]["hash"] != fields["previous"]:
            raise BadError(where, f"entry {fields['seq']} does not follow the entry before it")
        if found and found[-1]["seq"] >= fields["seq"]:
            raise BadError(where, f"entry {fields['seq']} stands twice, or in the wrong place")
        found.append({**fields, "hash": value, "payload": _json(fields["payload"].encode(), where)})
    return found


def check_custody(journal: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return the evidence that entries name, with how many acts on it; raises BadError for a broken chain."""
    last: dict[tuple[str, str], str] = {}
    count: dict[tuple[str, str], int] = {}
    for entry in journal:
        payload = entry["payload"]
        one = (entry["subject"], str(payload.get("digest")))
        if entry["kind"] == COLLECTED:
            last[one], count[one] = entry["hash"], 1
        elif entry["kind"] == CUSTODY:
            where = f"{JOURNAL}, entry {entry['seq']}"
            if last.get(one) != payload.get("previous") or count.get(one) != payload.get("number"):
                raise BadError(where, f"the custody of {one[1]} is broken: an act before it is missing")
            last[one], count[one] = entry["hash"], count[one] + 1
    acts: dict[str, int] = {}
    for (_, digest), number in count.items():
        acts[digest] = acts.get(digest, 0) + number
    return acts


# -- the whole -------------------------------------------------------------------------------------------


def verify(path: str, *, key: bytes = b"", fingerprint: str = "") -> Report:
    """Check a package; ``key`` (PEM) or ``fingerprint`` is whom you trust. Raises OSError for the file."""
    with Path(path).open("rb") as file:
        return check(file, path, key=key, fingerprint=fingerprint)


def check(file: BinaryIO, path: str = "", *, key: bytes = b"", fingerprint: str = "") -> Report:
    """Check a package that is open, as ``verify`` does."""
    report = Report(path)
    try:
        _verify(file, report, key, fingerprint)
    except BadError as error:
        report.problems.append(error)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        report.problems.append(BadError("the package", f"what is signed in it is malformed: {error!r}"))
    return report


def _verify(file: BinaryIO, report: Report, trusted: bytes, fingerprint: str) -> None:
    members = {one.name: one for one in read_members(file)}
    report.files = len(members)
    report.checks.append(("archive", f"{len(members)} files, every byte accounted for"))
    pem = _read(file, members, KEY)
    key, report.key = _key(pem)
    if trusted:
        fingerprint = _key(trusted)[1]
    if fingerprint:
        report.trusted = fingerprint == report.key
        if not report.trusted:
            raise BadError(KEY, f"the package is signed by {report.key}, not by {fingerprint}")
    said = statement(_read(file, members, MANIFEST), MANIFEST, key, report.key, PACKAGE_TYPE)
    report.checks.append(("manifest", f"signed by {report.key}"))
    report.incident = str(said["predicate"]["incident"])
    _files(file, members, said, report)
    noted = _read(file, members, CHECKPOINT)
    point = statement(noted, CHECKPOINT, key, report.key, CHECKPOINT_TYPE)["predicate"]
    size, root = int(point["entries"]), str(point["root"])
    report.checks.append(("checkpoint", f"{size:,} entries up to {point['at']}, head {point['head']}"))
    if JOURNAL not in members:
        raise BadError(JOURNAL, "it is missing")
    journal = read_journal(_lines(file, members[JOURNAL]), size, root)
    report.entries = len(journal)
    report.checks.append(("journal", f"{report.entries:,} entries, each in the checkpoint"))
    acts = check_custody(journal)
    for digest in sorted(acts):
        if _place(digest) not in members:
            raise BadError(_place(digest), "evidence that the journal names is missing")
    report.evidence = len(acts)
    report.checks.append(("custody", f"{len(acts)} pieces of evidence, {sum(acts.values())} acts on them"))


def _files(file: BinaryIO, members: dict[str, Member], said: dict[str, Any], report: Report) -> None:
    """Compare each file with the manifest; all that differ are told."""
    wanted = {str(one["name"]): str(one["digest"]["sha256"]) for one in said["subject"]}
    for name in sorted(set(members) - set(wanted) - {MANIFEST}):
        report.problems.append(BadError(name, "it is not in the manifest"))
    for name, digest in sorted(wanted.items()):
        member = members.get(name)
        if member is None:
            report.problems.append(BadError(name, "it is missing"))
        elif _digest(file, member) != digest:
            report.problems.append(BadError(name, "it was changed: its SHA-256 is not the manifest's"))
        elif name.startswith("evidence/") and _place(f"sha256:{digest}") != name:
            report.problems.append(BadError(name, "it is not called by its SHA-256"))
    if not report.problems:
        report.checks.append(("files", f"{len(wanted)} files are as the manifest says"))


def _place(digest: str) -> str:
    return f"evidence/{digest.partition(':')[2]}"


def main(argv: Sequence[str]) -> int:
    """Check the package that the command line names, and say what was found."""
    parser = argparse.ArgumentParser(description="Checks an evidence package of an incident, offline.")
    parser.add_argument("package")
    parser.add_argument("--key", help="the public key (PEM) of whom you trust to have made it")
    parser.add_argument("--fingerprint", default="", help="the same, by its id: sha256:…")
    asked = parser.parse_args(argv)
    try:
        key = Path(asked.key).read_bytes() if asked.key else b""
        report = verify(asked.package, key=key, fingerprint=asked.fingerprint)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    except ImportError:
        sys.stderr.write("`cryptography` is missing: python -m pip install cryptography\n")
        return 3
    sys.stdout.writelines(f"ok    {name}: {what}\n" for name, what in report.checks)
    sys.stdout.writelines(f"FAIL  {problem}\n" for problem in report.problems)
    if report.ok and report.trusted is None:
        sys.stdout.write(f"note  compare the key {report.key} with the one that you were given\n")
    sys.stdout.write(f"{report.package}: {'it holds' if report.ok else 'it does not hold'}\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

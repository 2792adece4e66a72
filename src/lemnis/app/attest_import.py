"""Statements that others made: read, kept whatever they are worth, and told what of them is not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import attest, settings
from lemnis.contracts.errors import InputError, IntegrityError, Location, NotFoundError
from lemnis.contracts.ids import digest

if TYPE_CHECKING:
    from lemnis.contracts.ids import Json
    from lemnis.graph.attestation import Signer
    from lemnis.graph.envelopes import Piece

MOST_FILES = 10_000
_AT_ONCE = 500
_MOST_LOST = 200
_REST = "(others)"


@dataclass(frozen=True, slots=True)
class Brought:
    """One statement that was kept: where it stood, its digest, what it says, and who signed it if one may.

    ``signer`` is empty where nobody trusted signed it, and ``why`` says so: it is kept, and proves nothing.
    ``lost`` are the paths of its predicate that are not read, with how often.
    """

    at: Location
    digest: str
    type: str
    kind: str
    subjects: tuple[str, ...]
    signer: str
    why: str
    facts: Mapping[str, Json]
    lost: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """What could not be kept: where it stood, and what is wrong with it."""

    at: Location
    why: str


def bring_in(workspace: app.Workspace, path: Path) -> Iterator[Brought | Refused]:
    """Import the statements of a file, or of every file of a folder, one after the other.

    DSSE envelopes, Sigstore bundles, PyPI's attestations, bare statements, lists and JSON lines of them. Each
    that can be read is kept, whoever signed it. Raises NotFoundError where there is nothing, InputError for
    a folder of too many files.
    """
    if not path.exists():
        raise NotFoundError("no such file or folder", at=Location(str(path)))
    read: list[tuple[Brought | Refused, bytes]] = []
    for one in _read(path, settings.trusted(workspace)):
        read.append(one)
        if len(read) == _AT_ONCE:
            yield from _kept(workspace, read)
            read.clear()
    yield from _kept(workspace, read)


def _kept(
    workspace: app.Workspace, read: Sequence[tuple[Brought | Refused, bytes]]
) -> list[Brought | Refused]:
    """Keep what could be read, together: each on its own would be written to disk on its own."""
    attest.keep_all(workspace, [(data, one.subjects) for one, data in read if isinstance(one, Brought)])
    return [one for one, _ in read]


def _read(path: Path, trusted: Sequence[Signer]) -> Iterator[tuple[Brought | Refused, bytes]]:
    """Yield each statement with its bytes, and what could not be read."""
    for file in _files(path):
        try:
            pieces = list(_pieces(file))
        except InputError as error:
            yield Refused(Location(str(file)), error.what), b""
            continue
        several = len(pieces) > 1
        for piece in pieces:
            where = Location(str(file), record=piece.number if several else None)
            try:
                yield _one(piece, where, trusted), piece.data
            except InputError as error:
                yield Refused(where, error.what), b""


def _files(path: Path) -> list[Path]:
    """Return the files of a folder, without links: they may lead anywhere."""
    if not path.is_dir():
        return [path]
    found = [one for one in sorted(path.rglob("*")) if not one.is_symlink() and one.is_file()]
    if not found:
        raise InputError("there is no file in this folder", at=Location(str(path)))
    if len(found) > MOST_FILES:
        raise InputError(f"{len(found):,} files, more than {MOST_FILES:,}", at=Location(str(path)))
    return found


def _pieces(file: Path) -> Iterator[Piece]:
    from lemnis.graph import envelopes

    where = Location(str(file))
    try:
        if not file.is_file():
            raise InputError("no regular file", at=where)
        if file.stat().st_size > envelopes.MAX_FILE:
            raise InputError(f"larger than {envelopes.MAX_FILE:,} bytes", at=where)
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=where) from error
    yield from envelopes.split(data, str(file))


def _one(piece: Piece, where: Location, trusted: Sequence[Signer]) -> Brought:
    """Read one statement; raises InputError for what is none."""
    from lemnis.graph import envelopes, predicates
    from lemnis.scan import losses

    if piece.problem:
        raise InputError(piece.problem, at=where)
    said = predicates.read(envelopes.statement(piece.data, where), where)
    signer, why = _signer(piece.data, trusted, where)
    lost = losses.lost(said.predicate, losses.tree(predicates.looked_at(said.type)))
    return Brought(
        where,
        digest(piece.data),
        said.type,
        said.kind,
        said.subjects,
        signer,
        why,
        said.facts,
        _bounded(lost),
        said.notes,
    )


def _signer(data: bytes, trusted: Sequence[Signer], where: Location) -> tuple[str, str]:
    """Return who of the trusted signed it, or why it is nobody."""
    from lemnis.graph import attestation, envelopes

    try:
        return attestation.signed(envelopes.read(data, where), trusted, where).keyid, ""
    except (InputError, IntegrityError) as error:
        return "", error.what.removeprefix("signature: ")


def _bounded(lost: Mapping[str, int]) -> Mapping[str, int]:
    """Return what is lost most often; a statement may have as many paths as it has bytes."""
    most = Counter(lost).most_common()
    rest = sum(count for _, count in most[_MOST_LOST:])
    return {path[:200]: count for path, count in most[:_MOST_LOST]} | ({_REST: rest} if rest else {})


def total(lost: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return the losses of two statements together."""
    return dict(_bounded(Counter(lost) + Counter(more)))

"""Where data comes from: a folder, a file or a zip, given out as files; everything is bounded."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lemnis.contracts.errors import InputError, Location, RecordError

MAX_FILE: Final = 200_000_000
"""Bytes of one file, unpacked."""
MAX_WHOLE: Final = 20_000_000_000
"""Bytes of everything, unpacked."""
_ZIP: Final = b"PK\x03\x04"


def files(source: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    """Yield the files of a folder, a zip or a single file, by name, with their bytes (unpacked, if ``.gz``).

    Those of other endings are left out, links are not followed. What is too large or damaged is an error
    under its name. Raises InputError where there is nothing, or more than ``MAX_WHOLE`` bytes.
    """
    total = 0
    for name, data in _each(source, endings):
        total += len(data) if isinstance(data, bytes) else 0
        if total > MAX_WHOLE:
            raise InputError(f"more than {MAX_WHOLE:,} bytes unpacked", at=Location(str(source)))
        yield name, data


def _each(source: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    if source.is_dir():
        for root, folders, names in os.walk(source):
            folders[:] = sorted(one for one in folders if one != ".git")
            for name in sorted(names):
                path = Path(root) / name
                if not path.is_symlink() and path.is_file() and name.lower().endswith((*endings, ".zip")):
                    yield from _one(path, endings)
    elif source.is_file():
        yield from _one(source, endings)
    else:
        raise InputError("no such file or folder", at=Location(str(source)))


def _one(path: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    if zipfile.is_zipfile(path):
        yield from _zipped(path, endings)
    elif path.stat().st_size > MAX_FILE:
        yield str(path), RecordError(f"more than {MAX_FILE:,} bytes", at=Location(str(path)))
    else:
        data = path.read_bytes()
        if data.startswith(_ZIP):  # its table is at its end
            yield (
                str(path),
                RecordError("the zip ends too early", at=Location(str(path)), fix="fetch it again"),
            )
        else:
            yield str(path), _plain(data, str(path))


def _zipped(path: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    """Yield the members; what they say of their size is not believed."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir() or not member.filename.lower().endswith(endings):
                    continue
                name = f"{path}!{member.filename}"
                try:
                    with archive.open(member) as stream:
                        data = stream.read(MAX_FILE + 1)
                except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
                    yield name, RecordError(f"cannot be unpacked: {error}", at=Location(name))
                    continue
                if len(data) > MAX_FILE:
                    yield name, RecordError(f"more than {MAX_FILE:,} bytes unpacked", at=Location(name))
                else:
                    yield name, _plain(data, name)
    except zipfile.BadZipFile as error:
        raise InputError(f"no zip: {error}", at=Location(str(path))) from error


def _plain(data: bytes, name: str) -> bytes | RecordError:
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        made = unpacker.decompress(data, MAX_FILE + 1)
    except (zlib.error, gzip.BadGzipFile) as error:
        return RecordError(f"cannot be unpacked: {error}", at=Location(name))
    if len(made) > MAX_FILE:
        return RecordError(f"more than {MAX_FILE:,} bytes unpacked", at=Location(name))
    return made if unpacker.eof else RecordError("the file ends too early", at=Location(name))

"""What one layer of an image adds, and what it takes away. Nothing of it is laid out on a disk."""

from __future__ import annotations

import posixpath
import re
import stat
import tarfile
from dataclasses import dataclass, field
from typing import IO, Final

from lemnis.contracts.errors import RecordError
from lemnis.scan.images.packages import MAX_RECORD, go, kind
from lemnis.scan.images.streams import MAX_NAME, content, entries
from lemnis.scan.readers import credentials

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MAX_TEXT: Final = 1 << 20
"""Bytes of one file that are looked through for credentials."""
_ELF = b"\x7fELF"
_PROGRAM: Final = (300_000, 100_000_000)
_MOST_TOLD: Final = 200
_KEY_FILE = re.compile(r"(?:^|/)(?:id_(?:rsa|dsa|ecdsa|ed25519)|\.git-credentials|\.netrc|\.pgpass|shadow-)$")
_NO_KEYS = re.compile(
    r"(?:^|/)(?:usr/share/(?:doc|man|locale|zoneinfo|perl|misc)|usr/lib/python[^/]*/test|test[s]?|testdata|fixtures|"
    r"examples?)/|\.(?:so(?:\.\d+)*|pyc|gz|xz|png|jpg|woff2?|mo|ttf|dylib)$"
)


@dataclass(frozen=True, slots=True)
class Notable:
    """A file that somebody should know of: a credential in it, or rights that it gives."""

    path: str
    what: str
    line: int = 0


@dataclass(slots=True)
class Layer:
    """What a layer holds: names by their hash, what it hides of those below, records, and what is notable."""

    names: set[int] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    emptied: set[str] = field(default_factory=set)
    records: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    programs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: list[Notable] = field(default_factory=list)
    setuid: list[str] = field(default_factory=list)
    files: int = 0
    errors: list[str] = field(default_factory=list)

    def hides(self, path: str) -> bool:
        """Say whether it takes a path of a lower layer away, or puts something else there."""
        if path in self.hidden or hash(path) in self.names:
            return True
        while "/" in path:
            path = posixpath.dirname(path)
            if path in self.hidden or path in self.emptied:
                return True
        return "" in self.emptied


def read(stream: IO[bytes]) -> Layer:
    """Read a layer; what cannot be read is in its ``errors``, what came before that is kept."""
    layer = Layer()
    try:
        for one, tar in entries(stream):
            layer.files += 1
            path = _clean(one.name)
            if path is None:
                _tell(layer, f"a name that leads out of the image or is no name: {one.name[:120]!r}")
                continue
            _entry(layer, path, one, tar)
    except RecordError as error:
        layer.errors.append(error.what)
    return layer


def _entry(layer: Layer, path: str, one: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    folder, name = posixpath.split(path)
    if name == _OPAQUE:
        layer.emptied.add(folder)
        return
    if name.startswith(_WHITEOUT):
        layer.hidden.add(posixpath.join(folder, name.removeprefix(_WHITEOUT)))
        return
    if not one.isdir():
        layer.names.add(hash(path))
    if not one.isreg():
        return
    if one.mode & (stat.S_ISUID | stat.S_ISGID) and len(layer.setuid) < _MOST_TOLD:
        layer.setuid.append(path)
    record = kind(path)
    if record:
        if one.size > MAX_RECORD:
            _tell(layer, f"{path}: a record of {one.size:,} bytes is too large")
        else:
            layer.records[path] = (record, content(one, tar, MAX_RECORD))
        return
    _look(layer, path, one, tar)


def _look(layer: Layer, path: str, one: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    """Look into a file: for the modules of a program, and for credentials."""
    low, high = _PROGRAM
    if one.mode & stat.S_IXUSR and low <= one.size <= high:
        data = content(one, tar, high)
        if data.startswith(_ELF):
            if found := go(data):
                layer.programs[path] = tuple(found)
            return
    elif _KEY_FILE.search(path) and one.size:
        layer.secrets.append(Notable(path, "a file of keys"))
        return
    elif one.size > _MAX_TEXT or not one.size or _NO_KEYS.search(path):
        return
    else:
        data = content(one, tar, _MAX_TEXT)
    if b"\0" not in data[:8000] and len(layer.secrets) < _MOST_TOLD:
        layer.secrets += [Notable(path, what, line) for what, line in credentials.found_in(data)]


def _clean(name: str) -> str | None:
    """Return a path in the image; None for one that leads out of it, or that no file system takes."""
    if len(name) > MAX_NAME or "\0" in name or ".." in name.split("/"):
        return None
    clean = posixpath.normpath(name).lstrip("/")
    return "" if clean == "." else clean


def _tell(layer: Layer, what: str) -> None:
    if len(layer.errors) < _MOST_TOLD:
        layer.errors.append(what)

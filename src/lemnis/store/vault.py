"""The evidence vault: immutable bytes by digest, in files sharded by the digest's first two digits."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from lemnis.contracts.errors import IntegrityError, Location, NotFoundError
from lemnis.contracts.ids import digest as digest_of
from lemnis.store import durable

_READ = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")


class FileVault:
    """Keeps evidence under ``root/ab/cdef…``, files 0600 and folders 0700, verified whenever it is read."""

    def __init__(self, root: Path) -> None:
        """``root`` is made when the first evidence is stored."""
        self.root = root

    def put(self, data: bytes) -> str:
        """Store durably and return the digest (``sha256:…``); the same bytes are stored once.

        A stored copy that no longer matches its name is replaced by the good bytes.
        """
        name = digest_of(data)
        path = self._path(name)
        if not path.is_file() or path.read_bytes() != data:
            durable.write(path, data)
        return name

    def put_file(self, source: Path) -> str:
        """Store a file, however large, and return its digest; its bytes are never all in memory."""
        found = hashlib.sha256()

        def named() -> str:
            path = self._path(f"sha256:{found.hexdigest()}")
            durable.make_folder(path.parent)
            return path.relative_to(self.root).as_posix()

        durable.make_folder(self.root)
        with source.open("rb") as file, durable.named_last(self.root, named) as copy:
            while data := file.read(_READ):
                found.update(data)
                copy.write(data)
        name = f"sha256:{found.hexdigest()}"
        durable.sync(self._path(name).parent)
        return name

    def place(self, digest: str) -> Path:
        """Return where evidence lies, to be read in parts: whoever does compares what it hashes to.

        Raises NotFoundError.
        """
        path = self._path(digest)
        if not path.is_file():
            raise NotFoundError(f"no evidence {digest}", at=Location(str(self.root)))
        return path

    def get(self, digest: str) -> bytes:
        """Return the bytes. Raises NotFoundError, or IntegrityError if they no longer match."""
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"no evidence {digest}", at=Location(str(self.root))) from error
        found = digest_of(data)
        if found != digest:
            raise IntegrityError(
                f"evidence was altered: its name says {digest}, its bytes say {found}",
                at=Location(str(path)),
                fix="restore it from a copy; the journal says where it was used",
            )
        return data

    def _path(self, digest: str) -> Path:
        parts = _DIGEST.fullmatch(digest)
        if parts is None:
            raise NotFoundError(
                f"{digest!r} is no digest", at=Location(str(self.root)), fix="give sha256: and 64 hex digits"
            )
        return self.root / parts[1] / parts[2]

"""A bucket of S3-compatible storage as a place for a lake's files, and spots in it.

Files of a lake never change, so their sizes are asked for once. What is read of one is fetched by ranges.
"""

from __future__ import annotations

import fnmatch
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pyarrow import fs

_CA_VARIABLE = "SSL_CERT_FILE"
_TRUSTING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Info:
    """What is known of an object."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True, eq=False)
class Bucket:
    """A bucket and a prefix in it: ``uri``, its files, what delta-rs needs to open a table in it.

    ``ca`` is a file of certificates to trust, where the storage's is not of a known authority.
    """

    uri: str
    files: fs.FileSystem
    options: dict[str, str] = field(repr=False)
    ca: str = ""
    _sizes: dict[str, int] = field(default_factory=dict, repr=False)

    def spot(self, path: str = "") -> ObjectSpot:
        """Return the spot at a path below the prefix."""
        return ObjectSpot(self, PurePosixPath(path))

    def duckdb(self) -> Any:
        """Return it as a file system that DuckDB can be told of."""
        return _filesystem()(self)

    def path(self, address: str) -> str:
        """Return an address, with its scheme or without, as a path below the prefix."""
        return address.removeprefix("s3://").removeprefix(self.uri.removeprefix("s3://")).lstrip("/")

    def size(self, path: str) -> int:
        """Return the bytes of a data file; raises FileNotFoundError."""
        known = self._sizes.get(path)
        if known is None:
            info = self.files.get_file_info(path)
            if info.type != fs.FileType.File:
                raise FileNotFoundError(f"{self.uri}/{path}")
            known = self._sizes[path] = int(info.size)
        return known

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Have delta-rs trust ``ca`` for what it opens meanwhile: it only looks into the environment."""
        if not self.ca:
            yield
            return
        with _TRUSTING:
            before = os.environ.get(_CA_VARIABLE)
            os.environ[_CA_VARIABLE] = self.ca
            try:
                yield
            finally:
                if before is None:
                    del os.environ[_CA_VARIABLE]
                else:
                    os.environ[_CA_VARIABLE] = before


@dataclass(frozen=True, slots=True, order=False)
class ObjectSpot:
    """A path in a bucket, with what the lake asks of paths (``store.spots.Spot``)."""

    bucket: Bucket
    path: PurePosixPath

    def __str__(self) -> str:
        """Return its address."""
        return f"{self.bucket.uri}/{self.path}".removesuffix("/.")

    def __truediv__(self, key: str, /) -> ObjectSpot:
        """Return what is in it by a name."""
        return ObjectSpot(self.bucket, self.path / key)

    def __lt__(self, other: Any, /) -> bool:
        """Order by path."""
        return bool(self.path < other.path)

    @property
    def name(self) -> str:
        """The last part."""
        return self.path.name

    @property
    def parent(self) -> ObjectSpot:
        """What it is in."""
        return ObjectSpot(self.bucket, self.path.parent)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts below the prefix."""
        return self.path.parts

    def as_posix(self) -> str:
        """Return the path below the prefix."""
        text = self.path.as_posix()
        return "" if text == "." else text

    def iterdir(self) -> Iterator[ObjectSpot]:
        """Yield what is in it."""
        for one in self._listed(recursive=False):
            yield self / one.base_name

    def glob(self, pattern: str, /) -> Iterator[ObjectSpot]:
        """Yield the files below it whose path has as many parts as the form, each of which fits."""
        wanted = pattern.split("/")
        begin = f"{self.as_posix()}/" if self.as_posix() else ""
        for one in self._listed(recursive=len(wanted) > 1):
            parts = one.path.removeprefix(begin).split("/")
            pairs = zip(parts, wanted, strict=False)
            if len(parts) == len(wanted) and all(fnmatch.fnmatchcase(a, b) for a, b in pairs):
                yield self / one.path.removeprefix(begin)

    def is_dir(self) -> bool:
        """Say whether there is anything in it."""
        return bool(self._info().type == fs.FileType.Directory)

    def is_file(self) -> bool:
        """Say whether it is an object."""
        return bool(self._info().type == fs.FileType.File)

    def exists(self) -> bool:
        """Say whether it is there."""
        return bool(self._info().type != fs.FileType.NotFound)

    def stat(self) -> Info:
        """Return what is known of it; raises FileNotFoundError."""
        info = self._info()
        if info.type != fs.FileType.File:
            raise FileNotFoundError(2, "No such object", str(self))
        return Info(int(info.size), int(info.mtime_ns or 0))

    def read_bytes(self) -> bytes:
        """Return what is in it."""
        with self.source() as file:
            return bytes(file.read())

    def unlink(self) -> None:
        """Remove it."""
        self.bucket.files.delete_file(self.as_posix())

    def source(self) -> Any:
        """Return it as an open file of Arrow's."""
        return self.bucket.files.open_input_file(self.as_posix())

    def _info(self) -> fs.FileInfo:
        found: fs.FileInfo = self.bucket.files.get_file_info(self.as_posix())
        return found

    def _listed(self, *, recursive: bool) -> list[fs.FileInfo]:
        chosen = fs.FileSelector(self.as_posix(), allow_not_found=True, recursive=recursive)
        return list(self.bucket.files.get_file_info(chosen))


def _filesystem() -> Any:
    """Return the class of file systems that DuckDB takes: its package is only loaded where it is needed."""
    from fsspec.spec import AbstractFileSystem  # noqa: PLC0415 - only DuckDB needs it

    class Files(AbstractFileSystem):  # type: ignore[misc]
        """The files of a bucket, to be read; DuckDB asks for these methods only."""

        protocol = "s3"
        cachable = False

        def __init__(self, bucket: Bucket) -> None:
            super().__init__()
            self._bucket = bucket

        def info(self, path: str, **_: Any) -> Mapping[str, Any]:
            """Return a file's size."""
            return {"name": path, "size": self._bucket.size(self._bucket.path(path)), "type": "file"}

        def exists(self, path: str, **_: Any) -> bool:
            """Say that it is there: the table's log names it."""
            return bool(path)

        def glob(self, path: str, **_: Any) -> list[str]:
            """Return the path: none of ours is a pattern."""
            return [path]

        def modified(self, path: str) -> datetime:
            """Return one time for all: they never change."""
            del path
            return datetime.fromtimestamp(0, UTC)

        def _open(self, path: str, *_: Any, **__: Any) -> Any:
            return self._bucket.files.open_input_file(self._bucket.path(path))

    return Files

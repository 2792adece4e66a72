"""Where a lake's files are: on this machine's disk, or in a bucket; all that is read goes through this.

A path of the disk is a spot as it is. One in a bucket (``store.objects``) does what the lake's keeping needs
of a path. Readers of Parquet and DuckDB are told here how to open either.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import duckdb

    from lemnis.store.objects import Bucket

_PIECE = 8 << 20


class Stat(Protocol):
    """What is known of a file: its size (bytes), and when it was written (ns since 1970)."""

    @property
    def st_size(self) -> int:
        """Its bytes."""
        ...

    @property
    def st_mtime_ns(self) -> int:
        """When it was written."""
        ...


class Spot(Protocol):
    """A file or a folder of a lake, as ``pathlib.Path`` has it."""

    @property
    def name(self) -> str:
        """The last part."""
        ...

    @property
    def parent(self) -> Self:
        """The folder that it is in."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts."""
        ...

    def __truediv__(self, key: str, /) -> Self:
        """Return what is in it by a name."""
        ...

    def __lt__(self, other: Any, /) -> bool:
        """Order by name."""
        ...

    def iterdir(self) -> Iterator[Self]:
        """Yield what is in it."""
        ...

    def glob(self, pattern: str, /) -> Iterator[Self]:
        """Yield what is below it by names of this form."""
        ...

    def is_dir(self) -> bool:
        """Say whether it is a folder."""
        ...

    def is_file(self) -> bool:
        """Say whether it is a file."""
        ...

    def exists(self) -> bool:
        """Say whether it is there."""
        ...

    def stat(self) -> Stat:
        """Return what is known of it."""
        ...

    def read_bytes(self) -> bytes:
        """Return what is in it."""
        ...

    def unlink(self) -> None:
        """Remove it."""
        ...

    def as_posix(self) -> str:
        """Return it as text."""
        ...


S = TypeVar("S", bound=Spot)


@runtime_checkable
class Remote(Protocol):
    """A spot in a bucket: how it is opened."""

    bucket: Bucket

    def source(self) -> Any:
        """Return it as an open file of Arrow's."""
        ...


def below(spot: Spot, root: Spot) -> str:
    """Return the path of a spot below a folder."""
    return spot.as_posix().removeprefix(root.as_posix()).lstrip("/")


def parquet(spot: Any, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file at a spot; in a bucket only the parts are fetched that are read."""
    if isinstance(spot, Remote):
        return pq.ParquetFile(spot.source(), pre_buffer=True, **options)
    return pq.ParquetFile(spot, **options)


def read_table(spot: Any, **options: Any) -> pa.Table:
    """Read a Parquet file, or what ``options`` (of ``pyarrow.parquet.read_table``) say of it."""
    if isinstance(spot, Remote):
        with spot.source() as source:
            return pq.read_table(source, **options)
    return pq.read_table(spot, **options)


def address(folder: Spot) -> tuple[str, dict[str, str] | None]:
    """Return a table's folder as delta-rs has it: its address, and what the storage needs."""
    return (str(folder), folder.bucket.options) if isinstance(folder, Remote) else (str(folder), None)


@contextmanager
def trusting(folder: Spot) -> Iterator[None]:
    """Have delta-rs trust the certificate of the storage while a table is opened."""
    if isinstance(folder, Remote):
        with folder.bucket.trusted():
            yield
    else:
        yield


def sha256(spot: Spot) -> str:
    """Return the digest (hex) of a file, read piece by piece."""
    state = hashlib.sha256()
    with spot.source() if isinstance(spot, Remote) else Path(spot.as_posix()).open("rb") as file:
        while data := file.read(_PIECE):
            state.update(data)
    return state.hexdigest()


def move(path: Path, target: Spot) -> None:
    """Put a file of the disk where it is to be; its folder is there."""
    if isinstance(target, Path):
        path.replace(target)
        return
    if isinstance(target, Remote):
        with path.open("rb") as file, target.bucket.files.open_output_stream(target.as_posix()) as sink:
            shutil.copyfileobj(file, sink, _PIECE)
        path.unlink()


def attach(connection: duckdb.DuckDBPyConnection, some: Iterable[Spot]) -> None:
    """Let a database open spots that are in buckets."""
    for bucket in {one.bucket for one in some if isinstance(one, Remote)}:
        connection.register_filesystem(bucket.duckdb())

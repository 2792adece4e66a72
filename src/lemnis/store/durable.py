"""Files that survive a power cut: the bytes are synced before the name, the name before we return."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE_FOLDER = 0o700


def sync(path: Path) -> None:
    """Push a file's or folder's contents to the device (``fsync``)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder, and the ones above it, readable by its owner only; each new name is synced."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    sync(path.parent)


def write(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` in one step, readable by its owner only: the whole file, or no change."""
    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync(path.parent)

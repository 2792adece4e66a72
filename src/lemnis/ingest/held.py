"""Files that stay open while they are followed, whatever becomes of their names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from lemnis.ingest.streams import Stream


class Held(Stream):
    """A file that stays open, whatever becomes of its name: what is read and noted is of one file."""

    def __init__(self, path: Path) -> None:
        """Open the file; raises OSError where that cannot be done."""
        super().__init__(path)
        self._file = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.path = Path(f"/proc/self/fd/{self._descriptor}")
        self._size = -1

    def __enter__(self) -> Self:
        """Hold it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        self.close()

    def gave_way(self) -> bool:
        """Say whether another file has its name now, or none."""
        mine = os.fstat(self._descriptor)
        try:
            now = self._file.stat()
        except OSError:
            return True
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)

    def changed(self) -> bool:
        """Say whether it has another size than when this was asked last."""
        before, self._size = self._size, os.fstat(self._descriptor).st_size
        return self._size != before

    def look_again(self) -> None:
        """Have it count as changed."""
        self._size = -1

    def close(self) -> None:
        """Let it go; once is enough."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

"""How far a look at history has come: what each unit gave, kept durably, so that no unit is looked at twice.

Below the workspace's state::

    retro/JOB/question.json     what is asked, and the range of time as it was when it was first asked
    retro/JOB/UNIT.arrow        what a unit gave, rows of ``retro_pieces.PIECES``; written in one step
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa

from lemnis.app.retro_pieces import PIECES
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.store import durable

LOG = logging.getLogger("lemnis.retro")
_QUESTION, _UNIT = "question.json", ".arrow"
_KEPT = 20
"""So many questions are remembered; older ones are begun anew."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is kept of one question."""

    folder: Path

    @classmethod
    def of(cls, state: Path, question: Mapping[str, Json]) -> Job:
        """Return the job of a question, which is known by what it asks."""
        return cls(state / "retro" / stable_id("rh", canonical(question).decode()))

    def held(self) -> AbstractContextManager[None]:
        """Be the only one that works on this question."""
        durable.make_folder(self.folder)
        return durable.exclusive(self.folder / "lock")

    def known(self) -> Mapping[str, Json] | None:
        """Return what was noted when the question was first asked; None if it was not, or is forgotten."""
        try:
            read: Mapping[str, Json] = orjson.loads((self.folder / _QUESTION).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        return read

    def begin(self, noted: Mapping[str, Json]) -> None:
        """Forget what is known, note the question, and let go of the oldest questions beyond those kept."""
        for path in self.folder.glob(f"*{_UNIT}"):
            path.unlink()
        durable.write(self.folder / _QUESTION, canonical(noted))
        others = sorted(
            (path for path in self.folder.parent.glob(f"*/{_QUESTION}") if path.parent != self.folder),
            key=lambda path: path.stat().st_mtime_ns,
        )
        for path in others[: max(0, len(others) - _KEPT + 1)]:
            shutil.rmtree(path.parent, ignore_errors=True)

    def done(self) -> frozenset[str]:
        """Return the keys of the units that were looked at."""
        return frozenset(path.stem for path in self.folder.glob(f"*{_UNIT}"))

    def save(self, key: str, found: pa.Table) -> None:
        """Keep what a unit gave; it is on the device when this returns."""
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(sink, PIECES, options=options) as file:
            file.write_table(found)
        durable.write(self.folder / f"{key}{_UNIT}", sink.getvalue().to_pybytes())

    def read(self, key: str) -> pa.Table | None:
        """Return what a unit gave; None if the file is damaged, and the unit is to be looked at again."""
        path = self.folder / f"{key}{_UNIT}"
        try:
            with pa.ipc.open_file(str(path)) as file:
                found = file.read_all()
        except pa.ArrowInvalid as error:
            LOG.warning("%s is damaged, so what it was made of is looked at again: %s", path, error)
            return None
        return found if found.schema.equals(PIECES) else None

"""Which source a line is of, where one listener gets the lines of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute
import pydantic

from lemnis.content.schemas import Expression, Model

pc: Any = _compute


class Route(Model):
    """Lines that ``match`` (RE2) are of ``source``."""

    match: Expression = pydantic.Field(min_length=1)
    source: str = pydantic.Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Sorter:
    """Says which source each line is of: that of the first route that matches, else ``source``.

    Lines that are not UTF-8 are read as ``encoding``, if that is another.
    """

    source: str
    routes: tuple[Route, ...] = ()
    encoding: str = "utf-8"

    def part(self, data: bytes) -> list[tuple[str, bytes]]:
        """Return of some lines those of each source."""
        data = self._encoded(data)
        if not self.routes:
            return [(self.source, data)]
        lines: Any = pa.array(data.removesuffix(b"\n").split(b"\n"), pa.binary())
        left = np.ones(len(lines), bool)
        found: dict[str, npt.NDArray[np.bool_]] = {}
        for route in self.routes:
            matched = pc.match_substring_regex(lines, route.match).to_numpy(zero_copy_only=False) & left
            left = left & ~matched
            found[route.source] = found.get(route.source, False) | matched
        found[self.source] = found.get(self.source, False) | left
        return [
            (name, b"\n".join(lines.filter(pa.array(rows)).to_pylist()) + b"\n")
            for name, rows in found.items()
            if rows.any()
        ]

    def _encoded(self, data: bytes) -> bytes:
        if self.encoding == "utf-8" or _is_text(data):
            return data
        return b"\n".join(
            line if _is_text(line) else line.decode(self.encoding, "replace").encode()
            for line in data.split(b"\n")
        )


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

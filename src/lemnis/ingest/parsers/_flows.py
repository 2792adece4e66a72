"""Packets gathered into flows: who spoke to whom, when, how much, and how it began and ended."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute

pc: Any = _compute
TEXT = pa.string()
MOST = 200_000
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_NAMES = ("src", "src_port", "dst", "dst_port", "protocol")
Numbers = npt.NDArray[np.int64]


class Flows:
    """The flows of a capture so far; the one that sent the first packet is the source."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._ends: dict[str, list[str | None]] = {name: [] for name in _NAMES}
        self._times = np.zeros((0, 2))
        self._sums = np.zeros((0, 7), np.int64)  # packets and bytes each way, flags each way, last frame

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._ids)

    def add(self, keys: Any, ends: dict[str, Any], numbers: dict[str, Any]) -> None:
        """Add packets: the flow of each (null: of none), its ends as texts, and numbers.

        These are ``time`` (s), ``bytes``, ``flags`` (of TCP) and ``frame`` (its number).
        """
        rows = np.flatnonzero(keys.is_valid().to_numpy(zero_copy_only=False))
        if not len(rows):
            return
        taken = pa.array(rows)
        encoded = keys.take(taken).dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        ends = {name: column.take(taken) for name, column in ends.items()}
        known = self._known(encoded.dictionary.to_pylist(), codes, ends)
        ids = known[codes]
        first = [pa.array([self._ends[name][one] for one in known], TEXT) for name in ("src", "src_port")]
        same = np.ones(len(rows), bool)
        for name, column in zip(("src", "src_port"), first, strict=True):
            equal = pc.equal(ends[name], column.take(pa.array(codes)))
            same &= pc.fill_null(equal, True).to_numpy(zero_copy_only=False)
        way = (~same).astype(np.int64)
        time, size, flags, frame = (numbers[name][rows] for name in ("time", "bytes", "flags", "frame"))
        np.minimum.at(self._times, (ids, 0), time)
        np.maximum.at(self._times, (ids, 1), time)
        np.add.at(self._sums, (ids, way), 1)
        np.add.at(self._sums, (ids, 2 + way), size)
        np.bitwise_or.at(self._sums, (ids, 4 + way), flags)
        np.maximum.at(self._sums, (ids, 6), frame)

    def _known(self, names: list[str], codes: Any, ends: dict[str, Any]) -> Numbers:
        """Return the number of each flow named; those that are new begin with their first packet."""
        _, begins = np.unique(codes, return_index=True)
        fresh = [place for place, name in enumerate(names) if name not in self._ids]
        some = pa.array(begins[fresh], pa.int64())
        for name in _NAMES:
            self._ends[name] += ends[name].take(some).to_pylist()
        for place in fresh:
            self._ids[names[place]] = len(self._ids)
        times = np.tile([np.inf, -np.inf], (len(fresh), 1))
        self._times = np.concatenate([self._times, times])
        self._sums = np.concatenate([self._sums, np.zeros((len(fresh), 7), np.int64)])
        return np.array([self._ids[name] for name in names], np.int64)

    def table(self, after: int = 0) -> dict[str, Any]:
        """Return the flows that have packets after a frame, as text columns; begin anew."""
        chosen = np.flatnonzero(self._sums[:, 6] > after)
        sums, times = self._sums[chosen], self._times[chosen]
        columns: dict[str, Any] = {
            f"flow.{name}": pa.array([values[one] for one in chosen], TEXT)
            for name, values in self._ends.items()
        }
        columns |= {
            "flow.start": _decimal(times[:, 0]),
            "flow.end": _decimal(times[:, 1]),
            "flow.duration": _decimal(times[:, 1] - times[:, 0]),
            "flow.state": pa.array([_state(int(one), int(other)) for one, other in sums[:, 4:6]], TEXT),
        }
        for place, name in enumerate(("packets_out", "packets_in", "bytes_out", "bytes_in")):
            columns[f"flow.{name}"] = pa.array(sums[:, place]).cast(TEXT)
        columns["flow.state"] = pc.if_else(
            pc.equal(columns["flow.protocol"], "tcp"), columns["flow.state"], pa.scalar(None, TEXT)
        )
        self.__init__()  # type: ignore[misc]
        return columns


def _decimal(values: Any) -> Any:
    return pa.array([f"{value:.6f}" for value in values], TEXT)


def _state(sent: int, answered: int) -> str:
    """Name how a TCP connection stands, by the flags that were seen each way."""
    if answered & _RST and not answered & _SYN:
        return "refused" if sent & _SYN else "reset"
    if sent & _SYN and not answered:
        return "unanswered"
    if (sent | answered) & _RST:
        return "reset"
    return "closed" if (sent | answered) & _FIN else "open"

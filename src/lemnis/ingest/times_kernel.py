"""Compiled by Numba: times as nearly everybody writes them (ISO 8601) to milliseconds."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import at

_FIRST_YEAR, _LAST_YEAR = 1678, 2261
"""What 64 bits of nanoseconds hold wholly; other years are left to the other reader."""
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@numba.njit(cache=True, inline="always")
def _two(data: Any, place: int) -> int:
    """Read two digits; something above any number of two digits if they are none."""
    one, other = np.int64(at(data, place)) - 48, np.int64(at(data, place + 1)) - 48
    return one * 10 + other if 0 <= one <= 9 and 0 <= other <= 9 else 1000


@numba.njit(cache=True, inline="always")
def _days(year: int, month: int, day: int) -> int:
    """Count the days since 1970 of a day in the Gregorian calendar."""
    if month <= 2:
        year -= 1
    era = year // 400
    of_era = year - era * 400
    shifted = month - 3 if month > 2 else month + 9
    of_year = (153 * shifted + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@numba.njit(cache=True, nogil=True)
def iso(data: int, offsets: Any, there: Any, out: Any, odd: Any) -> None:
    """Read ``YYYY-MM-DD``, a T or a space, ``hh:mm:ss``, a fraction of up to nine digits or none, and Z, an
    offset (``+hh:mm``, ``+hhmm``) or nothing, which is UTC. What is written otherwise is ``odd``.

    Row ``r`` is ``data[offsets[r]:offsets[r + 1]]``, if it is ``there``.
    """  # noqa: D205 - one sentence
    for row in range(len(out)):
        if not there[row]:
            continue
        place, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        odd[row] = True
        if end - place < 19:
            continue
        year = _two(data, place) * 100 + _two(data, place + 2)
        month, day = _two(data, place + 5), _two(data, place + 8)
        hour, minute, second = _two(data, place + 11), _two(data, place + 14), _two(data, place + 17)
        between = at(data, place + 10)
        if (
            at(data, place + 4) != 45 or at(data, place + 7) != 45 or (between != 84 and between != 32)
            or at(data, place + 13) != 58 or at(data, place + 16) != 58
            or year < _FIRST_YEAR or year > _LAST_YEAR or month < 1 or month > 12 or day < 1
            or hour > 23 or minute > 59 or second > 59
        ):  # fmt: skip
            continue
        last = _DAYS[month - 1]
        if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
            last = 29
        if day > last:
            continue
        place += 19
        thousandths = np.int64(0)
        if place < end and at(data, place) == 46:
            place += 1
            first = place
            unit = np.int64(100)
            while place < end and 48 <= at(data, place) <= 57:
                thousandths += (np.int64(at(data, place)) - 48) * unit
                unit //= 10
                place += 1
            if place == first or place - first > 9:
                continue
        shift = np.int64(0)
        if place < end:
            sign = at(data, place)
            left = end - place
            if sign == 90:  # Z
                if left != 1:
                    continue
            elif sign == 43 or sign == 45:
                if left == 6:
                    if at(data, place + 3) != 58:
                        continue
                elif left != 5:
                    continue
                hours, minutes = _two(data, place + 1), _two(data, end - 2)
                if hours > 14 or minutes > 59:
                    continue
                shift = hours * 60 + minutes
                if sign == 45:
                    shift = -shift
            else:
                continue
        seconds = _days(year, month, day) * 86_400 + hour * 3_600 + (minute - shift) * 60 + second
        out[row] = seconds * 1_000 + thousandths
        odd[row] = False

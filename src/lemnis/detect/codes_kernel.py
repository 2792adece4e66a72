"""Compiled by Numba: from the codes of a column to the bitmaps of the atoms that its values match."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True)
def fresh(codes: Any, first: Any) -> Any:
    """Return the codes of which nothing is known (``first`` of them is -1), each once; they are marked -2."""
    found = np.empty(len(codes), np.int64)
    used = 0
    for code in codes:
        if code >= 0 and first[code] == -1:
            first[code] = -2
            found[used] = code
            used += 1
    return found[:used]


@numba.njit(cache=True, nogil=True)
def invert(codes: Any, first: Any, sizes: Any, flat: Any, local: Any, bits: Any, order: Any) -> int:
    """Set the bit of each row in the bitmap of each atom that its value matches.

    The atoms of code ``c`` are ``flat[first[c] : first[c] + sizes[c]]``. Bitmap ``i`` is that of atom
    ``order[i]``; returns how many there are, or -1 if there is no room for them. ``local`` is -1 throughout.
    """
    used = 0
    for row in range(len(codes)):
        code = codes[row]
        if code < 0:
            continue
        for place in range(first[code], first[code] + sizes[code]):
            atom = flat[place]
            number = local[atom]
            if number < 0:
                if used >= len(order):
                    for i in range(used):
                        local[order[i]] = -1
                    return -1
                number = used
                local[atom] = number
                order[number] = atom
                used += 1
            bits[number, row >> 6] |= np.uint64(1) << np.uint64(row & 63)
    for i in range(used):
        local[order[i]] = -1
    return used

"""Times as logs write them → int64 milliseconds since the epoch, by columns; null where a text is no time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.contracts.compiled import ready
from lemnis.ingest.mapping_columns import Column, offsets, pc, there

_DAY = r"^[0-9]{4}-[0-1][0-9]-[0-3][0-9]"
_ISO_ZONE = _DAY + r"[T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})$"
_ISO_PLAIN = _DAY + r"([T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?)?$"
_WHOLE = r"^-?([0-9]{1,18}|[1-8][0-9]{18})$"
_DECIMAL = r"^-?[0-9]{1,12}(\.[0-9]{1,20})?([eE]-[0-9]{1,3})?$"
_FILETIME_EPOCH_MS = 11_644_473_600_000
_DAY_MS = 86_400_000
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
_LEAP_YEARS_APART = 8
# Arrow takes 31 February for a day in March, and an offset of 99 hours as it stands: such texts are looked at
_SUSPECT = (
    r"(^|[^0-9:])(29|30|31)/Feb|(^|[^0-9:])31/(Apr|Jun|Sep|Nov)|Feb (29|30|31) |(Apr|Jun|Sep|Nov) 31 "
    r"|[+-](1[5-9]|[2-9][0-9])[0-9]{2}$"
)
_NAMED_MONTH = ("%d/%b/%Y:", "%Y %b %d ")  # the formats that those are for; in others each such day is
_SUSPECT_DAY = r"(^|[^0-9:])(29|30|31)($|[^0-9:])"
INT64 = pa.int64()


def instants(texts: Column, written: str, now: int) -> Column:
    """Read texts in a format of the mapping language; ``now`` supplies what ``syslog`` times leave out.

    What is before the year 1 or after 9999 is no time.
    """
    reader = _READERS.get(written)
    if reader is not None:
        return _dated(reader(texts))
    if written == "syslog":
        return _syslog(texts, now)
    return _dated(_strptime(texts, written))


def _dated(read: Any) -> Column:
    outside = pc.or_(pc.less(read, _FIRST_MS), pc.greater(read, _LAST_MS))
    return pc.if_else(outside, pa.scalar(None, INT64), read) if pc.any(outside).as_py() else read


def _iso(texts: Any) -> Column:
    return _compiled(texts) if len(texts) and ready(len(texts)) else _iso_by_columns(texts)


def _compiled(texts: Any) -> Column:
    """Read in one pass what is written as nearly everybody does, and the others as without it."""
    from lemnis.ingest import times_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    count, valid = len(texts), there(texts)
    found, odd = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    data = texts.buffers()[2]
    kernel.iso(data.address if data is not None else 0, offsets(texts), valid, found, odd)
    rows = np.flatnonzero(odd)
    if not len(rows):
        return pa.array(found, INT64, mask=~valid)
    read = _iso_by_columns(texts.take(pa.array(rows)))
    found[rows] = read.fill_null(0).to_numpy(zero_copy_only=False)
    valid[rows] = there(read)
    return pa.array(found, INT64, mask=~valid)


def _iso_by_columns(texts: Any) -> Column:
    for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        try:
            return _ms(texts.cast(kind), 1_000_000)
        except pa.ArrowInvalid:
            continue
    zone = _where(texts, _ISO_ZONE, lambda some: _cast(some, pa.timestamp("ns", "UTC")))
    plain = _where(texts, _ISO_PLAIN, lambda some: _cast(some, pa.timestamp("ns")))
    read: Any = pc.coalesce(zone, plain)
    left = pc.and_(pc.is_null(read), pc.is_valid(texts))
    if not pc.any(left).as_py():
        return read
    return pc.replace_with_mask(read, left, _each(texts.filter(left), _iso_text))


def _iso_text(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.strip().replace(",", "."))
    except ValueError:
        return None
    return _instant(moment)


def _instant(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND


_MILLISECOND = datetime(1970, 1, 1, 0, 0, 0, 1000) - datetime(1970, 1, 1)  # noqa: DTZ001 - a difference


def _cast(some: Any, kind: pa.DataType) -> Column:
    try:
        return _ms(some.cast(kind), 1_000_000)
    except pa.ArrowInvalid:  # a day that does not exist, or a year that 64 bits of nanoseconds cannot hold
        return _each(some, _iso_text)


def _ms(stamps: Any, divisor: int) -> Column:
    numbers = stamps.cast(INT64)
    values = np.floor_divide(numbers.fill_null(0).to_numpy(zero_copy_only=False), divisor)
    return pa.array(values, INT64, mask=numbers.is_null().to_numpy(zero_copy_only=False))


def _where(texts: Any, pattern: str, read: Callable[[Any], Column]) -> Column:
    """Read the texts that look like ``pattern``; the others give null."""
    fits: Any = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    if not pc.any(fits).as_py():
        return pa.nulls(len(texts), INT64)
    return pc.replace_with_mask(pa.nulls(len(texts), INT64), fits, read(texts.filter(fits)))


def _each(texts: Any, read: Callable[[str], int | None]) -> Column:
    """Read odd texts one by one, each distinct one once."""
    encoded = texts.dictionary_encode()
    values = pa.array([read(value) for value in encoded.dictionary.to_pylist()], INT64)
    return values.take(encoded.indices)


def _whole(divisor: int, factor: int = 1, shift: int = 0) -> Callable[[Any], Column]:
    def read(texts: Any) -> Column:
        def some(chosen: Any) -> Column:
            numbers = chosen.cast(INT64).to_numpy(zero_copy_only=False)
            return pa.array(np.floor_divide(numbers, divisor) * factor - shift, INT64)

        return _where(texts, _WHOLE, some)

    return read


def _seconds(texts: Any) -> Column:
    def some(chosen: Any) -> Column:
        numbers = chosen.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return pa.array(np.floor(np.round(numbers * 1e6) / 1e3).astype(np.int64), INT64)

    return _where(texts, _DECIMAL, some)


def _epoch(texts: Any) -> Column:
    """Read numbers whose size tells their unit: seconds up to the year 5138, else milli-, micro-, nano-."""

    def some(chosen: Any) -> Column:
        numbers = chosen.cast(INT64).to_numpy(zero_copy_only=False)
        size = np.abs(numbers)
        divisor = np.select([size < 10**14, size < 10**17], [1, 1_000], 1_000_000)
        return pa.array(np.where(size < 10**11, numbers * 1_000, np.floor_divide(numbers, divisor)), INT64)

    return pc.coalesce(_where(texts, _WHOLE, some), _seconds(texts))


def _clf(texts: Any) -> Column:
    return _strptime(pc.utf8_trim(texts, "[] "), "%d/%b/%Y:%H:%M:%S %z")


def _strptime(texts: Any, written: str) -> Column:
    def strict(text: str) -> int | None:
        try:
            return _instant(datetime.strptime(text, written))  # noqa: DTZ007 - _instant says UTC
        except ValueError:
            return None

    if "%f" in written:
        return _each(texts, strict)
    read = _ms(pc.strptime(texts, format=written, unit="ms", error_is_null=True), 1)
    suspect: Any = pc.match_substring_regex(
        texts, _SUSPECT if written.startswith(_NAMED_MONTH) else _SUSPECT_DAY
    )
    suspect = pc.and_(pc.fill_null(suspect, False), pc.is_valid(read))
    if not pc.any(suspect).as_py():
        return read
    return pc.replace_with_mask(read, suspect, _each(texts.filter(suspect), strict))


def _syslog(texts: Any, now: int) -> Column:
    """Take the year that puts the time nearest before ``now``, with a day's grace for clocks that differ.

    29 February is of the last leap year.
    """
    year = datetime.fromtimestamp(now / 1000, UTC).year

    def of(number: int) -> Any:
        dated = pc.binary_join_element_wise(str(number), texts, " ")
        return _strptime(dated, "%Y %b %d %H:%M:%S")

    this = of(year)
    late = pc.fill_null(pc.greater(this, now + _DAY_MS), False)
    read = pc.if_else(late, of(year - 1), this) if pc.any(late).as_py() else this
    leap = pc.fill_null(pc.match_substring_regex(texts, "^Feb 29 "), False)
    for back in range(1, _LEAP_YEARS_APART + 1):
        left = pc.and_(leap, pc.is_null(read))
        if not pc.any(left).as_py():
            break
        read = pc.replace_with_mask(read, left, of(year - back).filter(left))
    return read


_READERS: Mapping[str, Callable[[Any], Column]] = {
    "iso": _iso,
    "epoch": _epoch,
    "epoch_s": _seconds,
    "epoch_ms": _whole(1),
    "epoch_us": _whole(1_000),
    "epoch_ns": _whole(1_000_000),
    "filetime": _whole(10_000, 1, _FILETIME_EPOCH_MS),
    "clf": _clf,
}

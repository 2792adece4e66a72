"""How values are written on pages: times, spans, counts, names. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import urlencode

from lemnis.contracts.clock import span, to_iso

_FORMS: Mapping[str, str] = {
    "short": "%-d %b %H:%M", "long": "%-d %b %H:%M:%S", "day": "%-d %b %Y", "clock": "%H:%M:%S",
    "full": "%Y-%m-%d %H:%M:%S",
}  # fmt: skip
_K, _M = 1_000, 1_000_000
_NONE = "\N{EN DASH}"
"""What stands where there is no value."""
_HIDDEN = {"Cc", "Cf", "Co", "Cs"}
"""Categories of characters that do not show, or turn the direction of what stands around them."""


def iso(instant: int) -> str:
    """Return an instant (ms) as RFC 3339 in UTC, or nothing where no calendar has it."""
    try:
        return to_iso(instant)
    except (ValueError, OverflowError, OSError):
        return ""


def utc(instant: int, form: str = "full") -> str:
    """Return an instant (ms) in UTC for people: ``short``, ``long``, ``day``, ``clock`` or ``full``."""
    try:
        moment = datetime.fromtimestamp(instant / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{instant} ms"
    return moment.strftime(_FORMS.get(form, _FORMS["full"]))


def words(text: object) -> str:
    """Return a name as people write it: ``true_positive`` as ``true positive``."""
    return str(text).replace("_", " ").replace("-", " ")


class Ours(str):
    """A text that is nobody's name, whatever people are called: a word of ours, or what who looks typed.

    Were a person's name taken out of it, it would tell which word stands behind a pseudonym.
    """

    __slots__ = ()


HIDES: ContextVar[Callable[[str], str] | None] = ContextVar("hides", default=None)
"""What takes personal data out of the texts of the page at hand; None: nothing is taken out."""


def masked(text: object) -> str:
    """Return a text without the personal data that who looks is not to see."""
    hides = None if isinstance(text, Ours) else HIDES.get()
    return str(text) if hides is None else hides(str(text))


def visible(text: object) -> str:
    """Return a text in which nothing hides: control and direction marks are written as what they are.

    What is personal is not in it, if who looks is not to see that.
    """
    return plain(masked(text))


def plain(raw: str) -> str:
    """Return a text that is nobody's name with what hides in it written out."""
    if raw.isascii() and raw.isprintable():
        return raw
    return "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in _HIDDEN and one not in "\n\t" else one
        for one in raw
    )


def short(text: object, most: int = 80) -> str:
    """Return a text, cut in the middle if it is longer than ``most``: both its ends tell."""
    raw = masked(text)
    if len(raw) <= most:
        return raw
    tail = most // 3
    return f"{raw[: most - tail - 1]}…{raw[-tail:]}"


def number(value: float | None) -> str:
    """Return a count with its thousands parted."""
    if value is None:
        return _NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"


def units(count: int, several: str) -> str:
    """Return what is counted as one or several are called: ``scan`` or ``scans``, ``image attested``."""
    first, blank, rest = several.partition(" ")
    return f"{first.removesuffix('s')}{blank}{rest}" if count == 1 else several


def about(value: float) -> str:
    """Return a count in little room: 1.2 k, 3.4 M."""
    if value < _K:
        return f"{value:,.0f}" if value == int(value) else f"{value:.1f}"
    size, unit = (_M, "M") if value >= _M else (_K, "k")
    return f"{value / size:.3g} {unit}"


def lasting(milliseconds: int | None) -> str:
    """Return a span for people; a dash where there is none."""
    return _NONE if milliseconds is None else span(milliseconds)


def percent(part: float | None) -> str:
    """Return a share in percent."""
    return _NONE if part is None else f"{part:.0%}"


def query(parts: Mapping[str, object]) -> str:
    """Return the query of an address; what is empty is left out.

    Personal data is taken out before it is encoded: afterwards nobody would find it.
    """
    said = {key: masked(value) for key, value in parts.items() if value is not None and value is not False}
    return urlencode({key: value for key, value in said.items() if value})

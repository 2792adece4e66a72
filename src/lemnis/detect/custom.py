"""What a rule says to Lemnis alone, beside Sigma: how its alerts fold, and how sure it is.

Other engines leave keys that begin with ``x-`` alone, so that the rule stays plain Sigma.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import orjson

from lemnis.contracts.errors import ContentError
from lemnis.contracts.ids import canonical
from lemnis.detect.suppress import Suppression

OWN = "x-lemnis-"
SUPPRESS, CONFIDENCE = "x-lemnis-suppress", "x-lemnis-confidence"
FINGERPRINT = "x-lemnis-fingerprint"
MAX_WINDOW = 30 * 86_400_000
_KEYS = (SUPPRESS, FINGERPRINT, CONFIDENCE)
_CONFIDENCES = ("low", "medium", "high")
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_FIX = "write it as {by: [User, Image], for: 1h}; without `by`, the entities of the event count"


def written(attributes: Mapping[str, object]) -> str:
    """Return a rule's own keys as JSON, empty if it has none; raises ContentError, without a place."""
    own = {str(key): value for key, value in attributes.items() if str(key).startswith(OWN)}
    for key in own:
        if key not in _KEYS:
            raise ContentError(f"there is no {key!r}", fix=f"say {', '.join(map(repr, _KEYS))}")
    if SUPPRESS in own:
        _suppression(own[SUPPRESS])
    if FINGERPRINT in own:
        _fields(own[FINGERPRINT], f"'{FINGERPRINT}' is a list of fields")
    if own.get(CONFIDENCE, "low") not in _CONFIDENCES:
        raise ContentError(f"{CONFIDENCE!r} is none", fix=f"say {', '.join(_CONFIDENCES)}")
    return canonical(own).decode() if own else ""


@lru_cache(maxsize=1024)
def suppression(text: str) -> Suppression | None:
    """Return how a rule with these keys says that its alerts fold."""
    value = orjson.loads(text).get(SUPPRESS) if text else None
    return None if value is None else _suppression(value)


@lru_cache(maxsize=1024)
def fingerprint(text: str) -> tuple[str, ...]:
    """Return the fields by which a rule with these keys says that its alerts are the same, if it does."""
    value = orjson.loads(text).get(FINGERPRINT) if text else None
    return () if value is None else _fields(value, "")


def confidence(text: str) -> str:
    """Return how sure a rule with these keys says it is; empty if it does not."""
    return str(orjson.loads(text).get(CONFIDENCE, "")) if text else ""


def _suppression(value: object) -> Suppression:
    if not isinstance(value, Mapping) or not set(value) <= {"by", "for"} or "for" not in value:
        raise ContentError(f"'{SUPPRESS}' says what repeats an alert, and for how long", fix=_FIX)
    span, by = _SPAN.fullmatch(str(value["for"])), value.get("by", [])
    window = int(span[1]) * _UNITS[span[2]] if span else 0
    if not 0 < window <= MAX_WINDOW:
        raise ContentError(f"'{SUPPRESS}': {value['for']!r} is no span of time up to 30d", fix=_FIX)
    return Suppression(window, _fields(by, f"'{SUPPRESS}': `by` is a list of fields", least=0))


def _fields(value: object, wrong: str, *, least: int = 1) -> tuple[str, ...]:
    """Read names of fields, a list or one of them; raises ContentError, without a place."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
        raise ContentError(wrong, fix=_FIX)
    if len(names) < least:
        raise ContentError(wrong, fix="name at least one, such as [User, Image]")
    return tuple(dict.fromkeys(names))

"""Detections of sequences: steps that are ordinary each, and were never taken together but in the attack."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lemnis.contracts.ids import Json

SPECIAL = str.maketrans({"\\": "\\\\", "*": "\\*", "?": "\\?"})
"""What Sigma would take for more than itself."""
LONGEST = 24 * 3_600_000
"""Milliseconds: what is further apart is not one sequence."""
_SPANS = (
    (60_000, "1m"), (300_000, "5m"), (900_000, "15m"), (3_600_000, "1h"), (4 * 3_600_000, "4h"),
    (LONGEST, "24h"),
)  # fmt: skip
_MOST_STEPS = 12
"""Kinds of steps of an attack that are combined: more say little."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event: when (ms), of whom (what a sequence is grouped by), what it does (fields to values)."""

    at: int
    who: str
    does: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """Events that can be steps of a sequence: their log source, whose they are, and what says what they do.

    The names are fields as rules of the log source know them.
    """

    logsource: Mapping[str, str]
    group_by: str
    does: tuple[str, ...]


STEPS: tuple[Steps, ...] = (
    Steps({"product": "aws", "service": "cloudtrail"}, "userIdentity.arn", ("eventSource", "eventName")),
    Steps(
        {"product": "kubernetes", "category": "application", "service": "audit"}, "user.username",
        ("verb", "objectRef.resource"),
    ),
    Steps({"product": "github", "service": "audit"}, "actor", ("action",)),
    Steps({"product": "okta", "service": "okta"}, "actor.alternateId", ("eventType",)),
)  # fmt: skip
"""What sequences are looked for in, in this order."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Two steps of one subject within a time, in this order."""

    name: str
    logsource: Mapping[str, str]
    first: tuple[tuple[str, str], ...]
    second: tuple[tuple[str, str], ...]
    group_by: str
    span: str
    because: str


def from_steps(
    logsource: Mapping[str, str], group_by: str, attack: Iterable[Step], other: Iterable[Step]
) -> list[Ordered]:
    """Derive the pairs of steps that one subject took in the attack in this order, and nobody otherwise.

    The time is the shortest of 1 min to 24 h that holds the attack's pair twice over; another subject that
    took both within it takes the pair away. Shortest pairs first.
    """
    mine, others = _by_subject(attack), _by_subject(other)
    found: dict[tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]], int] = {}
    kinds = {step.does for steps in mine.values() for step in steps}
    if len(kinds) > _MOST_STEPS:
        return []
    for steps in mine.values():
        for one, two in itertools.combinations(steps, 2):
            if one.does != two.does and 0 <= two.at - one.at <= LONGEST:
                key = (one.does, two.does)
                found[key] = min(found.get(key, LONGEST), two.at - one.at)
    made = []
    for (one_does, two_does), apart in sorted(found.items(), key=lambda item: (item[1], item[0])):
        length, span = next((pair for pair in _SPANS if pair[0] >= 2 * apart), _SPANS[-1])
        if any(_took(steps, one_does, two_does, length) for steps in others.values()):
            continue
        made.append(
            Ordered(
                name=f"{_said(one_does)}, then {_said(two_does)} by one {group_by}",
                logsource=logsource,
                first=one_does,
                second=two_does,
                group_by=group_by,
                span=span,
                because=f"both are ordinary; within {span} of each other nobody else did them",
            )
        )
    return made


def documents(
    found: Ordered, ids: Callable[[str], str], *, title: str, tags: Sequence[str], description: str
) -> list[dict[str, Json]]:
    """Return the Sigma documents of a sequence: its steps, which tell nothing alone, and the correlation."""
    names = [f"lesson_step_{ids(part)[:8]}" for part in ("first", "second")]
    steps: list[dict[str, Json]] = [
        {
            "title": f"Step of a sequence: {_said(does)}",
            "id": ids(part),
            "name": name,
            "status": "experimental",
            "description": "It counts for the correlation below and tells nothing alone.",
            "author": "Lemnis lesson compiler",
            "logsource": dict(found.logsource),
            "detection": {"step": {k: v.translate(SPECIAL) for k, v in does}, "condition": "step"},
            "falsepositives": ["All of them by themselves"],
            "level": "informational",
        }
        for part, name, does in zip(("first", "second"), names, (found.first, found.second), strict=True)
    ]
    whole: dict[str, Json] = {
        "title": title,
        "id": ids("sequence"),
        "status": "experimental",
        "description": description,
        "author": "Lemnis lesson compiler",
        "tags": list(tags),
        "correlation": {
            "type": "temporal_ordered",
            "rules": list(names),
            "group-by": [found.group_by],
            "timespan": found.span,
        },
        "falsepositives": ["None in the history it was measured on"],
        "level": "high",
    }
    return [*steps, whole]


def _by_subject(steps: Iterable[Step]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = defaultdict(list)
    for step in sorted(steps, key=lambda one: (one.at, one.does)):
        if step.who:
            found[step.who].append(step)
    return found


def _took(
    steps: Sequence[Step], one: tuple[tuple[str, str], ...], two: tuple[tuple[str, str], ...], length: int
) -> bool:
    """Say whether somebody took both steps in this order within a time: the nearest first step decides."""
    last: int | None = None
    for step in steps:
        if step.does == two and last is not None and step.at - last <= length:
            return True
        if step.does == one:
            last = step.at
    return False


def _said(does: Sequence[tuple[str, str]]) -> str:
    return " ".join(value for _, value in does)

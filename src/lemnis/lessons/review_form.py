"""The review of an incident, in the form that learning needs: facts first, several causes, who acts. Pure.

A timeline that holds facts only, what went well, badly and luckily, contributing causes (several: an incident
with one "root" cause was not looked into), why it was not seen sooner, which control failed, and actions that
somebody owns until a day. After NIST SP 800-61r3 (ID.IM, learning from incidents) and the blameless reviews
of site reliability engineering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Annotated, Self

import pydantic
import yaml

from lemnis.content.schemas import Model
from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.ids import Json

SHOWN = 80
"""So many facts a draft has at most: the first and the last ones, with how many lie between."""
Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
PARTS = (
    ("went_well", "What went well"), ("went_badly", "What went badly"), ("lucky", "Where we were lucky"),
    ("contributing_causes", "Contributing causes"),
)  # fmt: skip


def _instant(text: str) -> str:
    try:
        return to_iso(from_iso(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is no time, such as 2026-03-01T10:00:00Z") from error


class Fact(Model):
    """Something that happened: when, what, and the journal's or the event's id that shows it."""

    at: Annotated[str, pydantic.AfterValidator(_instant)]
    what: Text
    reference: str = ""


class Action(Model):
    """What is to be done, by whom, until which day (as ``2026-03-01``)."""

    what: Text
    owner: Text
    due: date


class Review(Model):
    """The whole form. What went well, badly and luckily may be nothing; all else must be thought about."""

    incident: str = pydantic.Field(min_length=1)
    timeline: tuple[Fact, ...] = pydantic.Field(min_length=1)
    went_well: tuple[Text, ...]
    went_badly: tuple[Text, ...]
    lucky: tuple[Text, ...]
    contributing_causes: tuple[Text, ...] = pydantic.Field(min_length=2)
    detection_gap: Text
    control_that_failed: Text
    actions: tuple[Action, ...] = pydantic.Field(min_length=1)

    @pydantic.field_validator("timeline")
    @classmethod
    def _in_order(cls, timeline: tuple[Fact, ...]) -> tuple[Fact, ...]:
        for before, after in pairwise(timeline):
            if from_iso(after.at) < from_iso(before.at):
                raise ValueError(f"{after.at} ({after.what[:60]}) stands after {before.at}")
        return timeline

    @pydantic.model_validator(mode="after")
    def _several(self) -> Self:
        if len({one.casefold() for one in self.contributing_causes}) < len(self.contributing_causes):
            raise ValueError("contributing_causes says the same twice: several causes, not one")
        return self


def document(review: Review) -> dict[str, Json]:
    """Return a review as JSON, as it is written to the journal."""
    return review.model_dump(mode="json")


def read(payload: Mapping[str, Json]) -> Review:
    """Return the review of a journal entry."""
    return Review.model_validate(payload["review"])


def draft(incident: str, title: str, facts: Sequence[Fact]) -> str:
    """Return a form to fill in, as YAML: the timeline from the journal, the rest open.

    Of many facts the first and the last are taken; a comment says how many lie between.
    """
    half = SHOWN // 2
    shown = list(facts) if len(facts) <= SHOWN else [*facts[:half], *facts[-half:]]
    left = len(facts) - len(shown)
    more = (f"# {left:,} facts between the first {half} and the last {half} are left out here:\n"
            f"# `lemnis incident timeline {incident}` has them all.\n") if left else ""  # fmt: skip
    timeline = yaml.safe_dump(
        {"timeline": [one.model_dump(exclude_defaults=True) for one in shown]},
        sort_keys=False, allow_unicode=True, width=100,
    )  # fmt: skip
    head = yaml.safe_dump({"incident": incident}, allow_unicode=True)
    name = " ".join("".join(sign if sign.isprintable() else " " for sign in title).split())
    return (
        f"# Review of {name}\n"
        f"# Fill it in, then: lemnis incident review {incident} --from FILE\n\n"
        f"{head}\n"
        "# Facts only, by time: what was seen and done. What you think of it belongs below.\n"
        f"{more}{timeline}\n"
        f"{_OPEN}"
    )


def written(review: Review) -> str:
    """Return a review that is recorded as YAML, to be amended."""
    return yaml.safe_dump(document(review), sort_keys=False, allow_unicode=True, width=100)


_OPEN = """\
# A list each, `- …` a line; [] where there was nothing.
went_well: []
went_badly: []
lucky: []

# At least two: what made it possible, what made it worse. There is no one "root" cause.
contributing_causes: []

# Why it was not seen sooner, or by whom it was seen instead of us.
detection_gap: ""

# Which control should have stopped it and did not, or that there was none.
control_that_failed: ""

# At least one, such as:  - {what: Pin the base image, owner: ana, due: 2026-03-01}
actions: []
"""

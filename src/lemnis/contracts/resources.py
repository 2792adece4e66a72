"""Resources: what a check judges, be it written in a file, part of an image, or live in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from lemnis.contracts.findings import Place
from lemnis.contracts.ids import Json

Steps = tuple[str | int, ...]
"""The way from a resource's data to a value in it: names and numbers."""
UNKNOWN: Final = "(unknown)"
"""What stands in ``Resource.data`` where a value is not known; ``Resource.unknown`` says where that is."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing with a configuration.

    ``kind`` says what ``data`` looks like: ``kubernetes.Role``, ``kubernetes.container``,
    ``terraform.aws_s3_bucket``, ``dockerfile``, ``github.step`` …; ``name`` is what people call it. ``data``
    has no nulls: what is not set is not there. ``unknown`` are the ways to what cannot be known where it was
    read (a variable, a value that only the apply gives, a template). ``lines`` gives the line and column
    (from 1) of what is in ``data``, as far as known.
    """

    kind: str
    name: str
    place: Place
    data: Mapping[str, Json]
    unknown: tuple[Steps, ...] = ()
    lines: Mapping[Steps, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    def at(self, steps: Steps) -> Place:
        """Return the place of a value, or of the nearest thing around it whose place is known."""
        for length in range(len(steps), -1, -1):
            if steps[:length] in self.lines:
                line, column = self.lines[steps[:length]]
                return Place(self.place.path, line, column)
        return self.place


class Verdict(StrEnum):
    """What a check says of a resource. ``unknown`` is not ``pass``: it could not look."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict of one check over one resource: about which value, and why."""

    check: str
    resource: Resource
    verdict: Verdict
    steps: Steps = ()
    message: str = ""

    @property
    def place(self) -> Place:
        """Where the value stands that was judged."""
        return self.resource.at(self.steps)

"""``tests.yaml`` beside a playbook: incidents, the world they are in, and what must be planned and written.

Each case is planned, approved, run and undone on simulators, with a journal of its own.
"""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.playbook import Level


class World(Model):
    """What simulators have: Kubernetes manifests; AWS roles, or a map as ``lemnis.testing.worlds`` says.

    ``vendors`` are the other simulators by name, with their objects by kind and key.
    """

    kubernetes: tuple[dict[str, Any], ...] = ()
    aws: tuple[str, ...] | dict[str, Any] = ()
    vendors: dict[str, dict[str, dict[str, dict[str, Any]]]] = pydantic.Field(default_factory=dict)


class Expected(Model):
    """What must come of it.

    ``plan`` are lines "step action target", followed by " REFUSED" if it is; ``journal`` the kinds of entries
    of plan, approval and run, in order (those of one parallel step sorted), if given; ``changes`` and
    ``undone`` what the simulators changed, "simulator what"; a ``*`` stands for anything.
    """

    plan: tuple[str, ...]
    outcome: Literal[
        "done", "done with failures", "stopped", "failed", "out of time", "cancelled", "refused", ""
    ] = "done"  # fmt: skip
    journal: tuple[str, ...] | None = None
    changes: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()


class Case(Model):
    """One incident and what must come of it; entities are ``kind:value``.

    ``answers`` are what people say to the steps that ask, by step; a question without one runs out of time.
    Time is virtual: pauses and deadlines pass at once. ``trigger`` is what began the playbook.
    """

    name: str
    severity: Level = "high"
    entities: tuple[str, ...] = ()
    given: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    trigger: dict[str, Any] = pydantic.Field(default_factory=dict)
    answers: dict[str, Literal["yes", "no"]] = pydantic.Field(default_factory=dict)
    world: World = World()
    expect: Expected


class PlaybookTests(Model):
    """All cases; together they must take at least ``coverage`` percent of the playbook's branches."""

    coverage: float = pydantic.Field(default=0, ge=0, le=100)
    cases: tuple[Case, ...] = pydantic.Field(min_length=1)

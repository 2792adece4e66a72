"""``threats.yaml`` beside the code: what a system consists of, where trust ends, and what can go wrong.

::

    name: shop
    boundaries:
      - {id: internet, trust: 0}
      - {id: cluster, trust: 70, within: internet}
    components:
      - {id: browser, kind: external, boundary: internet}
      - {id: web, kind: process, boundary: cluster, paths: ["app/**"], entry_points: [GET /export]}
      - {id: orders, kind: store, boundary: cluster, paths: ["migrations/**"], data: [personal]}
    flows:
      - {from: browser, to: web, protocol: https, data: [personal]}
      - {from: web, to: orders, protocol: postgresql}
    threats:
      - id: export_runs_a_command
        title: An export runs a stranger's command
        components: [web]
        stride: [elevation_of_privilege]
        likelihood: 4                       # 1 (rare) to 5 (expected)
        impact: 5                           # 1 (a nuisance) to 5 (the company)
        state: mitigated                    # assumed, realised, mitigated, accepted
        mitigations: ["gate:new_findings_below_medium", "detection:container_reverse_shell"]
        owner: "@example/shop"
        review: 2027-03-01                  # by when somebody looks at it again
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal, Self

import pydantic

from lemnis.content.schemas import Model

Id = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,120}$")]
Text = Annotated[str, pydantic.Field(max_length=2000)]
Stride = Literal[
    "spoofing", "tampering", "repudiation", "information_disclosure", "denial_of_service",
    "elevation_of_privilege",
]  # fmt: skip


class Boundary(Model):
    """A zone of trust: ``trust`` from 0 (anybody) to 100 (nobody but us)."""

    id: Id
    title: Text = ""
    trust: int = pydantic.Field(default=50, ge=0, le=100)
    within: str = ""


class Component(Model):
    """A part of the system; ``paths`` are patterns of the files that it is made of."""

    id: Id
    kind: Literal["process", "store", "external"] = "process"
    title: Text = ""
    boundary: str = ""
    paths: tuple[str, ...] = ()
    entry_points: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    owner: str = ""


class Flow(Model):
    """Data that goes from one component to another."""

    source: str = pydantic.Field(alias="from")
    target: str = pydantic.Field(alias="to")
    protocol: str = ""
    data: tuple[str, ...] = ()


class Risk(Model):
    """One thing that can go wrong, with what guards against it."""

    id: Id
    title: Text = pydantic.Field(min_length=1)
    components: tuple[str, ...] = pydantic.Field(min_length=1)
    stride: tuple[Stride, ...] = ()
    techniques: tuple[Annotated[str, pydantic.Field(pattern=r"^T\d{4}(\.\d{3})?$")], ...] = ()
    likelihood: int = pydantic.Field(default=3, ge=1, le=5)
    impact: int = pydantic.Field(default=3, ge=1, le=5)
    state: Literal["assumed", "realised", "mitigated", "accepted"] = "assumed"
    mitigations: tuple[str, ...] = ()
    owner: str = ""
    review: date | None = None

    @property
    def figure(self) -> int:
        """Likelihood times impact, 1 to 25; what is mitigated counts a fifth of it."""
        whole = self.likelihood * self.impact
        return max(1, whole // 5) if self.state == "mitigated" else whole


class ThreatModel(Model):
    """The whole file."""

    name: str = pydantic.Field(min_length=1, max_length=200)
    boundaries: tuple[Boundary, ...] = ()
    components: tuple[Component, ...] = ()
    flows: tuple[Flow, ...] = ()
    threats: tuple[Risk, ...] = ()

    @pydantic.model_validator(mode="after")
    def _holds_together(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems[:5]))
        return self

    def _problems(self) -> Iterator[str]:
        for kind, ids in (
            ("boundaries", [one.id for one in self.boundaries]),
            ("components", [one.id for one in self.components]),
            ("threats", [one.id for one in self.threats]),
        ):
            yield from (f"{kind}: {one!r} is there twice" for one in sorted(set(ids)) if ids.count(one) > 1)
        zones, parts = {one.id for one in self.boundaries}, {one.id for one in self.components}
        for boundary in self.boundaries:
            if boundary.within and boundary.within not in zones:
                yield f"boundary {boundary.id}: no boundary {boundary.within!r}"
        for component in self.components:
            if component.boundary and component.boundary not in zones:
                yield f"component {component.id}: no boundary {component.boundary!r}"
        for flow in self.flows:
            yield from (
                f"flow: no component {end!r}" for end in (flow.source, flow.target) if end not in parts
            )
        for threat in self.threats:
            yield from (
                f"threat {threat.id}: no component {c!r}" for c in threat.components if c not in parts
            )

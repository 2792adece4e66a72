"""``threat.yaml``: one thing that can go wrong with one element, what guards against it, and whose it is.

::

    id: lesson_2026_014
    title: An export runs a stranger's command
    element: billing                    # the workload, store or flow it is about
    entry_point: GET /export            # where it comes in
    cwes: [78]
    techniques: [T1059.004]             # MITRE ATT&CK
    state: realised                     # assumed, realised, mitigated, accepted
    likelihood: 5                       # 1 to 5, as is the impact; their product is the risk
    impact: 4
    incidents: [in-0123456789abcdef]
    mitigations: {gate: lesson_2026_014, detection: lesson_2026_014, lesson: 2026-014}
    owner: "@example/billing"
    review: 2027-03-01                  # by when somebody looks at it again
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import pydantic

from lemnis.content.schemas import Model

Text = Annotated[str, pydantic.Field(min_length=1, max_length=2000)]
Technique = Annotated[str, pydantic.Field(pattern=r"^T\d{4}(\.\d{3})?$")]
Weakness = Annotated[int, pydantic.Field(ge=1, le=9999)]


class Mitigations(Model):
    """What guards against a threat: a policy, a detection, a playbook by name, and the lesson they are of."""

    gate: str = ""
    detection: str = ""
    playbook: str = ""
    lesson: str = ""


class Threat(Model):
    """One threat."""

    id: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,80}$")
    title: Text
    element: Text
    entry_point: str = ""
    cwes: tuple[Weakness, ...] = ()
    techniques: tuple[Technique, ...] = ()
    state: Literal["assumed", "realised", "mitigated", "accepted"]
    likelihood: int = pydantic.Field(default=3, ge=1, le=5)
    impact: int = pydantic.Field(default=3, ge=1, le=5)
    incidents: tuple[str, ...] = ()
    mitigations: Mitigations = Mitigations()
    owner: str = ""
    review: date | None = None

    @property
    def figure(self) -> int:
        """The risk: likelihood times impact, 1 to 25, as in a repository's own threat model."""
        return self.likelihood * self.impact

    @pydantic.model_validator(mode="after")
    def _realised_has_an_incident(self) -> Threat:
        if self.state == "realised" and not self.incidents:
            raise ValueError("a realised threat names the incident that realised it")
        return self

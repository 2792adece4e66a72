"""``policy.yaml``: where a policy decides, what it does, which controls it serves.

Beside it lie ``policy.rego`` (package ``lemnis.<id>``, ``deny contains {message, where, fix, finding}``) and
``policy_test.rego``.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.scanner import Severity

Stage = Literal[
    "editor", "commit", "pull_request", "build", "release", "deploy", "runtime", "playbook", "access"
]


class Policy(Model):
    """One policy. ``exceptions`` says who can grant one, by role or name; ``none`` that nobody can."""

    id: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,80}$")
    title: str = pydantic.Field(min_length=1)
    description: str = ""
    stages: tuple[Stage, ...] = pydantic.Field(min_length=1)
    effect: Literal["deny", "warn"] = "deny"
    severity: Severity = "medium"
    controls: tuple[str, ...] = ()
    exceptions: str = pydantic.Field(default="the service's owner and a security lead", max_length=200)

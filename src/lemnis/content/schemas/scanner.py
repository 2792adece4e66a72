"""``scanner.yaml``: a program that Lemnis drives, how to run it, and how to read what it says."""

from __future__ import annotations

from typing import Literal

import pydantic

from lemnis.content.schemas import Model

Severity = Literal["informational", "low", "medium", "high", "critical"]


class Exits(Model):
    """What the program's exit codes mean; any other means that it failed."""

    clean: tuple[int, ...] = (0,)
    findings: tuple[int, ...] = ()


class Examined(Model):
    """Where the report names the files that were looked at: an object's keys, or a list."""

    at: str
    leave_out: tuple[str, ...] = ()


class Errors(Model):
    """Where the report lists what went wrong, and which of an error's fields say so."""

    at: str
    fields: tuple[str, ...]


class Mapped(Model):
    """A field that is translated."""

    source: str = pydantic.Field(alias="from")
    map: dict[str, Severity]


class Fields(Model):
    """Where one result holds what a finding needs: dotted paths, numbers index lists."""

    path: str
    line: str
    rule_id: str
    title: str
    severity: Mapped
    end_line: str = ""
    cwe: str = ""
    confidence: str = ""
    snippet: str = ""
    help_uri: str = ""


class Scanner(Model):
    """One scanner."""

    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    title: str
    files: tuple[str, ...] = pydantic.Field(min_length=1)
    command: tuple[str, ...] = pydantic.Field(min_length=1)
    version: tuple[str, ...] = pydantic.Field(min_length=1)
    exits: Exits = Exits()
    timeout_s: int = pydantic.Field(default=300, gt=0, le=3600)
    results: str
    examined: Examined | None = None
    errors: Errors | None = None
    fields: Fields
    install: str = ""

"""How the lake is kept, in ``lemnis.yaml``: retention by purpose, history, compaction.

::

    retention:
      purposes:                     # why events are kept, how long, and on what legal basis
        security_monitoring: {days: 365, raw_days: 30, basis: "GDPR Art. 6(1)(f), recital 49"}
        audit: {days: 2555, basis: "HGB s. 257"}
        debugging: {days: 14, basis: "GDPR Art. 6(1)(f)"}
      rules:                        # what serves which purpose; classes and sources by globs of their names
        - {purpose: audit, sources: [linux_audit, "aws_*"]}
        - {purpose: debugging, classes: [http_activity]}
      default: security_monitoring  # for what no rule covers; without it, that is kept for ever
      raw_days: 90                  # for purposes that do not say it: then raw_data is blanked
      automatic: false              # `serve` applies it once a day; else `lemnis lake retain` does
    lake:
      history_days: 7               # how far back `sql --as-of` reaches
      compact: true                 # `serve` rewrites small files in the background
      compact_files: 8              # a day with so many small files is rewritten
      look_s: 300                   # how often `serve` looks whether there are any
    search: {index: true}           # `serve` keeps the index of texts beside compaction; see docs/lake.md
"""

from __future__ import annotations

from typing import Annotated, Self

import pydantic

from lemnis.content.schemas import Model

Days = Annotated[int, pydantic.Field(ge=0, le=36_500)]
Glob = Annotated[str, pydantic.Field(min_length=1, max_length=128)]
PurposeName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class KeptFor(Model):
    """A purpose: how long events serve it, how long with their raw record, and the legal basis, as text.

    Without ``days`` it is for ever.
    """

    days: Days | None = None
    raw_days: Days | None = None
    basis: str = ""


class Serves(Model):
    """Which events serve a purpose: those of both these classes and these sources."""

    purpose: PurposeName
    classes: tuple[Glob, ...] = ("*",)
    sources: tuple[Glob, ...] = ("*",)


class Retention(Model):
    """How long events are kept; what serves several purposes, for the longest of them."""

    purposes: dict[PurposeName, KeptFor] = pydantic.Field(default_factory=dict)
    rules: tuple[Serves, ...] = ()
    default: PurposeName | None = None
    raw_days: Days | None = None
    automatic: bool = False

    @pydantic.model_validator(mode="after")
    def _known(self) -> Self:
        named = [rule.purpose for rule in self.rules] + ([self.default] if self.default else [])
        unknown = sorted(set(named) - set(self.purposes))
        if unknown:
            there = ", ".join(self.purposes) or "none"
            raise ValueError(f"no purpose {unknown[0]!r} under `purposes:`; there are: {there}")
        return self


class Keeping(Model):
    """How far back the lake's history reaches, and when days are rewritten."""

    history_days: float = pydantic.Field(default=7, ge=0, le=3650)
    compact: bool = True
    compact_files: int = pydantic.Field(default=8, ge=2, le=10_000)
    look_s: float = pydantic.Field(default=300, ge=0.1, le=86_400)


class Searching(Model):
    """Whether `serve` keeps the index of texts for searches (``store.index``) beside compaction."""

    index: bool = False

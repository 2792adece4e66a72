"""Transports: what listens or pulls, by a workspace's settings. One module a kind.

A module offers ``Settings``, a pydantic model of what stands beside ``kind:`` under ``transports:`` in
``lemnis.yaml``, and ``build(name, settings, setup) -> Transport``. Nothing else names it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import pydantic

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import UsageError
from lemnis.contracts.receiving import Transport


@dataclass(frozen=True, slots=True)
class Setup:
    """What a transport is built with: where relative paths start, the environment's variables, the clock."""

    root: Path
    environment: Mapping[str, str]
    clock: Clock

    def path(self, text: str) -> Path:
        """Return a path of the settings: relative ones start at the workspace."""
        return (self.root / text).resolve()

    def secret(self, *, env: str = "", file: str = "") -> str:
        """Read a secret from a variable, else from a file; raises UsageError where it is not there."""
        if env:
            value = self.environment.get(env, "")
            if not value:
                raise UsageError(f"the variable {env} is not set", fix=f"export {env}=…")
            return value
        if not file:
            raise UsageError("no secret is named", fix="name a variable or a file that holds it")
        try:
            return self.path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}", fix="check the path") from error


class Kind(Protocol):
    """What a module in this package offers."""

    Settings: type[pydantic.BaseModel]

    def build(self, name: str, settings: Any, setup: Setup) -> Transport:
        """Return a transport that is ready to run; raises UsageError for what does not fit together."""
        ...


@cache
def names() -> tuple[str, ...]:
    """Return the kinds there are."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def get(name: str) -> Kind:
    """Return a kind; raises UsageError naming those there are."""
    if name not in names():
        raise UsageError(f"no kind of transport {name!r}", fix=f"there are: {', '.join(names()) or 'none'}")
    return cast("Kind", importlib.import_module(f"{__name__}.{name}"))

"""Benchmarks: one Python file each in ``bench/`` of a checkout, with a function ``run() -> list[Figure]``.

It may take ``lanes``, the names of its parts that are asked for, and ``minutes``, how long a part shall last.

Files whose name begins with ``_`` are their parts, imported as ``from bench import _part``.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import lemnis
from lemnis.contracts.errors import NotFoundError, UsageError


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, and the target that it has to reach (None: it is only told)."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Say whether the target is reached."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target


def folder() -> Path:
    """Return where benchmarks are: beside ``src`` in a checkout; an installed package has none."""
    return Path(lemnis.__file__).parent.parent.parent / "bench"


def names() -> list[str]:
    """Return the benchmarks that are there."""
    return sorted(path.stem for path in folder().glob("*.py") if not path.stem.startswith("_"))


def run(name: str, *, lanes: Sequence[str] = (), minutes: float | None = None) -> list[Figure]:
    """Run a benchmark, some lanes of it if they are named, for so long.

    Raises NotFoundError if it is not there, UsageError for what it does not take or have.
    """
    if name not in names():
        known = ", ".join(names()) or "none: they come with a checkout, not with an installed package"
        raise NotFoundError(f"no benchmark {name!r}", fix=f"there are: {known}")
    module = load(name)
    asked = {"lanes": tuple(lanes) or None, "minutes": minutes}
    given = {option: value for option, value in asked.items() if value is not None}
    for option in given.keys() - inspect.signature(module.run).parameters.keys():
        raise UsageError(f"bench {name} takes no {option}", fix=f"lemnis bench {name}")
    there = getattr(module, "LANES", {})
    for lane in lanes:
        if lane not in there:
            raise UsageError(f"bench {name} has no lane {lane!r}", fix=f"there are: {', '.join(there)}")
    figures: list[Figure] = module.run(**given)
    return figures


def load(name: str) -> ModuleType:
    """Import a benchmark, or a private part of one, from the folder as it is now: as ``bench.NAME``."""
    for known in [module for module in sys.modules if module.partition(".")[0] == "bench"]:
        del sys.modules[known]
    package = ModuleType("bench", "The benchmarks of a checkout.")
    package.__path__ = [str(folder())]
    sys.modules["bench"] = package
    importlib.invalidate_caches()
    return importlib.import_module(f"bench.{name}")

"""Benchmarks: one Python file each in ``bench/`` of a checkout, with a function ``run() -> list[Figure]``.

Files whose name begins with ``_`` are their parts, imported as ``from bench import _part``.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import lemnis
from lemnis.contracts.errors import NotFoundError


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


def run(name: str) -> list[Figure]:
    """Run a benchmark; raises NotFoundError if it is not there."""
    if name not in names():
        known = ", ".join(names()) or "none: they come with a checkout, not with an installed package"
        raise NotFoundError(f"no benchmark {name!r}", fix=f"there are: {known}")
    figures: list[Figure] = load(name).run()
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

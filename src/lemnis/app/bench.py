"""Benchmarks: one Python file each in ``bench/`` of a checkout, with a function ``run() -> list[Figure]``."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

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
    spec = importlib.util.spec_from_file_location(f"lemnis_bench_{name}", folder() / f"{name}.py")
    if spec is None or spec.loader is None:
        raise NotFoundError(f"the benchmark {name!r} cannot be loaded", fix="it is a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figures: list[Figure] = module.run()
    return figures

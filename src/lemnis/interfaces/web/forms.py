"""The fields of a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Form(Mapping[str, str]):
    """The fields of a form, each as a text; ``every`` has all values of one."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)
        self._first = dict(reversed(self._pairs))

    def __getitem__(self, name: str) -> str:
        """Return the first value of a field."""
        return self._first[name]

    def __iter__(self) -> Any:
        """Yield the names."""
        return iter(self._first)

    def __len__(self) -> int:
        """Return how many fields there are."""
        return len(self._first)

    def every(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for key, value in self._pairs if key == name]

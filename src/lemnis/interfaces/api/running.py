"""Searches that go on, so that whoever began one can end it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lemnis.contracts.errors import RefusedError
from lemnis.store.query import Handle


class Running:
    """The searches that go on, by who began them and what they call them (empty: nothing)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: dict[str, list[tuple[str, Handle]]] = {}

    @contextmanager
    def begun(self, who: str, name: str = "") -> Iterator[Handle]:
        """Hold a handle that ends a search while it goes on.

        Raises RefusedError where they have one of this name already.
        """
        mine = (name, Handle())
        with self._lock:
            known = self._handles.setdefault(who, [])
            if name and any(one == name for one, _ in known):
                raise RefusedError(f"a search {name!r} goes on already", fix="end it, or choose another name")
            known.append(mine)
        try:
            yield mine[1]
        finally:
            with self._lock:
                left = [one for one in self._handles[who] if one is not mine]
                self._handles[who] = left
                if not left:
                    del self._handles[who]

    def stop(self, who: str, name: str = "") -> int:
        """End those of this name that somebody began, or all of them; return how many that were."""
        with self._lock:
            mine = [handle for one, handle in self._handles.get(who, ()) if not name or one == name]
        for one in mine:
            one.cancel()
        return len(mine)

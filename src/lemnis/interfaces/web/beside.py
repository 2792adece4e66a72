"""What one view of a page takes long to work out: it is worked out beside the pages, and kept by a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lemnis.interfaces.web import site
from lemnis.interfaces.web.keeping import Later

Value = TypeVar("Value")
_DAY_S = 86_400.0


def beside(here: site.Site, name: str, make: Callable[[], Value], seconds: float) -> Value | None:
    """Return what is worked out under a name, None until it is; the oldest names are let go.

    Raises what went wrong last.
    """
    kept: Later[Value] = here.keep(f"beside:{name}", lambda: Later(make, seconds), _DAY_S).get()
    return kept.get()

"""Where is kept what is worked out anew without a workspace."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Return a folder that only this user can write: below XDG_CACHE_HOME, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lemnis"

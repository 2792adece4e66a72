"""Where a finding is, as the repository names its files. Pure."""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote

_DRIVE: Final = re.compile(r"^[A-Za-z]:(?=/)")
_SCHEME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:(//|(?=[^/]))")


def relative(path: str) -> str:
    """Return a path as the repository has it: no leading ``./``; empty if it leads outside."""
    clean = posixpath.normpath(path.replace("\\", "/"))
    return "" if clean.startswith(("../", "/")) or clean in {"..", "."} else clean


def within(path: str) -> tuple[str, str]:
    """Return a path of a report as the repository has it, or (second) what it names instead of a file.

    Drives and leading slashes are left out: reports are made on other machines, and some tools write the
    scanned folder as ``/``. What leads outside and what is no file (a URL, a package) names a resource.
    """
    if not path:
        return "", ""
    if path.startswith("file:"):
        path = "/" + unquote(path.removeprefix("file:")).lstrip("/")
    if "\0" in path or (_SCHEME.match(path) and not _DRIVE.match(path.replace("\\", "/"))):
        return "", path
    clean = _DRIVE.sub("", path.replace("\\", "/")).lstrip("/")
    found = relative(clean) if clean else ""
    return (found, "") if found else ("", path)

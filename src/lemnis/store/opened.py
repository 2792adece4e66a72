"""Tables of this machine that are open to be read, shared by all of a process."""

from __future__ import annotations

import threading
from pathlib import Path

from lemnis.store import delta, deltalog

_SEEN: dict[Path, tuple[tuple[int, ...], delta.Table]] = {}
_MOST_SEEN = 128
_SEEING = threading.Lock()


def table(folder: Path) -> delta.Table | None:
    """Return a table as it is now, only to be read; whoever asks next in this process is given the same.

    To open one reads its whole log. None if there is no table; raises IntegrityError for a log that is bad.
    """
    last = delta.newest(folder)
    if last < 0:
        return None
    try:
        about = deltalog.entry(folder, last).stat()
    except FileNotFoundError:  # a torn one was taken away meanwhile
        return delta.open_table(folder)
    state = last, about.st_ino, about.st_mtime_ns, about.st_size  # another table may be put in its place
    with _SEEING:
        known = _SEEN.get(folder)
    if known is not None and known[0] == state:
        return known[1]
    found = delta.open_table(folder)
    if found is not None and found.version == last:
        with _SEEING:
            _SEEN.pop(folder, None)
            _SEEN[folder] = state, found
            while len(_SEEN) > _MOST_SEEN:
                del _SEEN[next(iter(_SEEN))]
    return found

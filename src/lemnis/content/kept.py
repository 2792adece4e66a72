"""What YAML files of content came to, kept by the digest of their text: to read YAML takes the most time.

JSON, data and never code, in a folder that only this user can write. What is of another form, or was read by
another version of the code, is read from the text again; so a value is never older than its text.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from lemnis.content import yaml
from lemnis.contracts.ids import digest
from lemnis.store import durable

_MOST: Final = 2_000
"""So many texts are kept, those that were used last."""
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError)


class Values:
    """The values of texts, in one file: it is read at the first question, and written by ``keep`` alone."""

    def __init__(self, path: Path) -> None:
        """``path`` is the file, which need not be there."""
        self._path, self._fresh = path, False
        self._now = dict[str, Any]()

    @cached_property
    def _before(self) -> dict[str, Any]:
        return _recalled(self._path)

    def value(self, text: str, file: str = "") -> Any:
        """Return what ``yaml.parse`` gives for a text, which is parsed if it is new; raises as that does."""
        key = digest(text.encode())
        if key in self._now:
            return _unpacked(self._now[key])
        if key in self._before:
            known = self._now[key] = self._before.pop(key)
            return _unpacked(known)
        found = yaml.parse(text, file)
        packed = _packed(found)
        if packed is not None:
            self._now[key], self._fresh = packed, True
        return found

    def keep(self) -> None:
        """Write what is new; where the folder cannot be written everything is read each time."""
        if not self._fresh:
            return
        some = list({**self._before, **self._now}.items())[-_MOST:]
        with suppress(OSError):
            durable.write(self._path, orjson.dumps({"version": _made_by(), "values": dict(some)}))
            self._fresh = False


def _packed(value: Any) -> dict[str, Any] | None:
    """Return a value as JSON keeps it; None if it does not keep it exactly, as it has no infinity."""
    for packed in ({"plain": value}, {"paired": _paired(value)}):  # few values have keys that are no text
        try:
            if _unpacked(orjson.loads(orjson.dumps(packed))) == value:
                return packed
        except (TypeError, ValueError):
            continue
    return None


def _unpacked(packed: dict[str, Any]) -> Any:
    return packed["plain"] if "plain" in packed else _unpaired(packed["paired"])


def _paired(value: Any) -> Any:
    """Return a value whose objects are lists of pairs, and whose lists are in an object."""
    if isinstance(value, dict):
        return [[key, _paired(one)] for key, one in value.items()]
    return {"list": [_paired(one) for one in value]} if isinstance(value, list) else value


def _unpaired(value: Any) -> Any:
    if isinstance(value, list):
        return {key: _unpaired(one) for key, one in value}
    return [_unpaired(one) for one in value["list"]] if isinstance(value, dict) else value


@cache
def _made_by() -> str:
    """Return a digest of the code that makes values of texts."""
    return f"{version('pyyaml')} {digest(Path(yaml.__file__).read_bytes())}"


def _recalled(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(path.read_bytes())
        return dict(document["values"]) if document["version"] == _made_by() else {}
    except _UNREADABLE:
        return {}

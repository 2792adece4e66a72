"""Checks that were read before: what a manifest and its Rego came to, by the digest of both.

JSON, data and never code, in a folder that only this user can write. What is of another form, or was read by
another version of the code, is read from the content again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

import lemnis
from lemnis import policy
from lemnis.content import schemas, yaml
from lemnis.content.library import Item
from lemnis.contracts.alerts import Severity
from lemnis.contracts.ids import digest, tree_digest
from lemnis.policy.checks import Check
from lemnis.policy.reads import Reads
from lemnis.store import durable

_T = TypeVar("_T")
_FILE: Final = "checks.json"
_MOST: Final = 2_000
"""So many checks are kept, those that were used last."""
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, RecursionError)


def through(folder: Path, items: Iterable[Item], make: Callable[[Item], Check]) -> tuple[Check, ...]:
    """Return the checks of items, as kept in a folder, else made and kept; raises as ``make`` does."""
    known = dict(_recalled(folder))
    found: dict[str, Check] = {}
    fresh = False
    for item in items:
        key = _key(item)
        if key not in known:
            known[key], fresh = make(item), True
        found[key] = known.pop(key)
    if fresh:
        with suppress(OSError):  # a folder that cannot be written: everything is read each time
            _keep(folder, {**known, **found})
    return tuple(found.values())


def _key(item: Item) -> str:
    """Return a digest of a check's name and files; raises ContentError where they cannot be read."""
    rego = item.folder / "check.rego"
    texts = (yaml.read_text(item.manifest), yaml.read_text(rego) if rego.is_file() else None)
    return digest(orjson.dumps([item.name, *texts]))


@cache
def _made_by() -> str:
    """Return a digest of the code that reads checks: what it takes, another version may refuse."""
    folders = (Path(policy.__file__).parent, Path(schemas.__file__).parent)
    files = (path for folder in folders for path in folder.iterdir() if path.is_file())
    return f"{lemnis.__version__} {tree_digest((path.name, path.read_bytes()) for path in files)}"


def _recalled(folder: Path) -> Mapping[str, Check]:
    try:
        return _checks((folder / _FILE).read_bytes(), _made_by())
    except _UNREADABLE:
        return {}


@lru_cache(maxsize=1)
def _checks(data: bytes, version: str) -> Mapping[str, Check]:
    """Read the file; a process that asks again and again finds it as it was."""
    document = orjson.loads(data)
    if document["version"] != version:
        return {}
    return {key: _read(one) for key, one in document["checks"].items()}


def _keep(folder: Path, checks: Mapping[str, Check]) -> None:
    some = list(checks.items())[-_MOST:]
    document = {"version": _made_by(), "checks": {key: _written(one) for key, one in some}}
    durable.write(folder / _FILE, orjson.dumps(document))


def _written(one: Check) -> list[Any]:
    return [
        one.name, one.title, one.kinds, int(one.severity), one.why, one.fix, one.text, _tree(one.looks),
        one.cwes, one.controls, one.edit,
    ]  # fmt: skip


def _tree(looks: Reads) -> list[Any]:
    return [looks.whole, [[step, _tree(node)] for step, node in looks.below.items()]]


def _read(told: Sequence[Any]) -> Check:
    name, title, kinds, severity, why, fix, text, looks, cwes, controls, edit = told
    return Check(
        name=_text(name), title=_text(title), kinds=_each(_text, kinds), severity=Severity(_number(severity)),
        why=_text(why), fix=_text(fix), text=_text(text), looks=_looks(looks),
        cwes=_each(_number, cwes), controls=_each(_text, controls),
        edit=None if edit is None else (_text(edit[0]), _text(edit[1])),
    )  # fmt: skip


def _looks(told: Sequence[Any]) -> Reads:
    whole, below = told
    if not isinstance(whole, bool):
        raise TypeError(whole)
    return Reads(whole, {s if isinstance(s, str) else _number(s): _looks(node) for s, node in below})


def _each(one: Callable[[Any], _T], value: Any) -> tuple[_T, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(map(one, value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return value

"""Rule files as documents: YAML read with the place of everything, and made plain for pySigma.

YAML takes some bare words and numbers for something else than what stands there (``on`` is true, ``010`` is
8, ``10:30`` is 630). Where a rule looks for such a value it could never match, so it is refused there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import yaml
from sigma.exceptions import SigmaCollectionError, SigmaError
from sigma.rule.base import check_alias_expansion

from lemnis.contracts.errors import ContentError, Location

SEARCHES = ("detection", "filter")
_CONDITION, _RULES, _TIMEFRAME = "condition", "rules", "timeframe"
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?[0-9]*\.[0-9]*(?:[eE][-+][0-9]+)?")
_TIMESPAN = re.compile(r"[0-9]+[smhdwMy]")
_TELLING = 4  # a text that is shorter may stand in an error by chance
_QUOTED = re.compile(r"""["']([^"']{2,})["']""")


class _Odd(str):
    """A bare word or number of which YAML makes something else, which is its ``meaning``."""

    __slots__ = ("column", "line", "meaning")
    meaning: Any
    line: int
    column: int

    def __new__(cls, node: Any, meaning: Any) -> Self:
        made = super().__new__(cls, node.value)
        made.meaning = meaning
        made.line, made.column = node.start_mark.line + 1, node.start_mark.column + 1
        return made


class _Hex(int):
    """A number that was written in hexadecimal; as a keyword it is looked for as it was written."""

    text: str


class _Loader(yaml.CSafeLoader):
    """Safe and fast; a key may stand only once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - yaml's signature
        """Refuse repeated keys, with their place."""
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen and name != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {name!r} stands here twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)

    def int_(self, node: Any) -> Any:
        """Read a number; one that is not decimal is kept as it was written too."""
        if _DECIMAL.fullmatch(node.value):
            return int(node.value)
        if _HEX.fullmatch(node.value):
            made = _Hex(node.value, 16)
            made.text = node.value
            return made
        return _Odd(node, self.construct_yaml_int(node))

    def float_(self, node: Any) -> Any:
        """Read a number with a point."""
        read = self.construct_yaml_float(node)
        return read if _FLOAT.fullmatch(node.value) else _Odd(node, read)

    def bool_(self, node: Any) -> Any:
        """Read true and false; other words for them are kept."""
        read = self.construct_yaml_bool(node)
        return read if node.value.lower() in {"true", "false"} else _Odd(node, read)

    def text(self, node: Any) -> str:
        """Read a date as the text that it is in a log."""
        return str(node.value)


for _tag, _constructor in (
    ("int", _Loader.int_), ("float", _Loader.float_), ("bool", _Loader.bool_), ("timestamp", _Loader.text),
):  # fmt: skip
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _constructor)


class Place(Protocol):
    """Where something stands in a file."""

    @property
    def line(self) -> int:
        """The line, from 0."""
        ...

    @property
    def column(self) -> int:
        """The column, from 0."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a rule file: a mapping, and its nodes for the lines."""

    file: str
    value: dict[str, Any]
    node: Any

    def at(self, *path: str) -> Location:
        """Return where the key is to which a path of keys leads, as far as it goes."""
        node, mark = self.node, self.node.start_mark
        for part in path:
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            found = next((pair for pair in pairs if pair[0].value == part), None)
            if found is None:
                break
            node, mark = found[1], found[0].start_mark
        return _location(self.file, mark)

    def about(self, said: str) -> Location:
        """Return the place that an error speaks of: a text that it quotes or holds, or else the searches."""
        pairs = self.node.value
        searches = list(_scalars([value for key, value in pairs if key.value in SEARCHES]))
        scalars = [*searches, *_scalars([part for pair in pairs for part in pair])]
        for quoted in _QUOTED.findall(said):
            for text in dict.fromkeys((quoted, quoted.replace("\\\\", "\\"))):
                exactly = next((node for node in scalars if node.value == text), None)
                found = exactly or next((node for node in scalars if text in node.value), None)
                if found is not None:
                    return _location(self.file, found.start_mark)
        held = [node for node in searches if len(node.value) >= _TELLING and node.value in said]
        longest = max(held, key=lambda node: len(node.value), default=None)
        return self.at(*self.section) if longest is None else _location(self.file, longest.start_mark)

    @property
    def section(self) -> tuple[str, ...]:
        """The key beneath which its searches are."""
        return tuple(name for name in SEARCHES if name in self.value)[:1]


def read(file: str, data: bytes) -> list[Document]:
    """Read the documents of a file, empty ones left out; raises ContentError with the place."""
    loader = _Loader(data)
    found = []
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            value = loader.construct_document(node)
            if value is None:
                continue
            if not isinstance(value, dict):
                raise ContentError("a rule is a mapping", at=_location(file, node.start_mark))
            check_alias_expansion(value, SigmaCollectionError, None)
            found.append(Document(file, value, node))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = _location(file, mark) if mark else Location(file)
        raise ContentError(f"not YAML: {getattr(error, 'problem', None) or error}", at=place) from error
    except (ValueError, RecursionError, SigmaError) as error:
        raise ContentError(f"not YAML: {error}", at=Location(file, 1)) from error
    finally:
        loader.dispose()
    return found


def plain(document: Document, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document's mapping as pySigma is to see it; raises ContentError for what cannot match.

    Odd words are what YAML takes them for, except in searches, where they are refused.
    """
    made = {}
    for name, part in value.items():
        searches = name in SEARCHES and isinstance(part, dict)
        made[str(name)] = _searches(document, name, part) if searches else _meant(part)
    return made


def _searches(document: Document, section: str, searches: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, definition in searches.items():
        if name == _CONDITION:
            several = definition if isinstance(definition, list) else [definition]
            if not several or not all(isinstance(one, str) for one in several):
                raise ContentError("a condition is a text", at=document.at(section, _CONDITION))
            made[name] = definition
        elif name == _RULES and section == "filter":
            made[name] = _meant(definition)
        elif name == _TIMEFRAME and _TIMESPAN.fullmatch(str(definition)):
            continue  # of aggregations, which Sigma has no more: no search, so not of ``them``
        else:
            made[str(name)] = _definition(document, definition, (section, str(name)))
    return made


def _definition(document: Document, definition: Any, path: tuple[str, ...]) -> Any:
    if isinstance(definition, Mapping):
        items: dict[str, Any] = {}
        for key, value in definition.items():
            if key is None:
                raise ContentError("a field has no name", at=document.at(*path))
            name = key.text if isinstance(key, _Hex) else str(key)
            here = (*path, name)
            modifiers = name.split("|")[1:]
            # pySigma forgets it where a modifier makes new texts, so it is said again at the end
            while ("cased" in modifiers and name.rpartition("|")[2] != "cased") or name in items:
                name += "|cased"
            items[name] = _values(document, value, here, modifiers, keyword=name.startswith("|"))
        return items
    if isinstance(definition, list):
        return [
            _definition(document, one, path)
            if isinstance(one, Mapping | list)
            else _value(document, one, path, [], keyword=True)
            for one in definition
        ]
    return _value(document, definition, path, [], keyword=True)


def _values(
    document: Document, value: Any, path: tuple[str, ...], modifiers: list[str], *, keyword: bool
) -> Any:
    if not isinstance(value, list):
        return _value(document, value, path, modifiers, keyword=keyword)
    if not value:
        raise ContentError(f"{path[-1]!r} has no value", at=document.at(*path), fix="say null for no field")
    return [_value(document, one, path, modifiers, keyword=keyword) for one in value]


def _value(
    document: Document, value: Any, path: tuple[str, ...], modifiers: list[str], *, keyword: bool
) -> Any:
    if isinstance(value, _Odd):
        if "exists" in modifiers:
            return value.meaning
        raise ContentError(
            f"YAML takes {str(value)!r} for {value.meaning}",
            at=Location(document.file, value.line, value.column),
            fix="put it in quotes",
        )
    if isinstance(value, _Hex):
        return value.text if keyword or "re" in modifiers else int(value)
    if "re" in modifiers and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list | Mapping):
        raise ContentError(f"{path[-1]!r} is no value of a field", at=document.at(*path))
    return value


def _meant(value: Any) -> Any:
    """Return what YAML takes a value for."""
    if isinstance(value, dict):
        return {_meant(key): _meant(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_meant(part) for part in value]
    if isinstance(value, _Odd):
        return value.meaning
    return int(value) if isinstance(value, _Hex) else value


def _scalars(nodes: list[Any]) -> Iterator[Any]:
    """Yield the scalars beneath nodes in their order."""
    waiting = nodes[::-1]
    while waiting:
        one = waiting.pop()
        if isinstance(one, yaml.ScalarNode):
            yield one
        elif isinstance(one, yaml.MappingNode):
            waiting += [part for pair in reversed(one.value) for part in reversed(pair)]
        else:
            waiting += reversed(one.value)


def _location(file: str, mark: Place) -> Location:
    return Location(file, mark.line + 1, mark.column + 1)

"""Reads YAML content into typed models; every error has a file, a line and a column.

Safe loading only. Keys may not repeat, aliases may not multiply a document, and a file may not be larger
than a person would write.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from lemnis.contracts.errors import ContentError, Location

MAX_BYTES = 2_000_000
MAX_NODES = 200_000
MAX_DEPTH = 100
Model = TypeVar("Model", bound=pydantic.BaseModel)


_PLAIN = "tag:yaml.org,2002:"


class _Loader(yaml.CSafeLoader):
    """Safe loading of plain values, by libyaml: dates stay text, so that what is read is what was written.

    Keys are names: ``on`` is that, though YAML 1.1 takes it for a truth as it does values.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - as there
        """Return an object."""
        for key, _ in node.value:
            if key.tag == f"{_PLAIN}bool":
                key.tag = f"{_PLAIN}str"
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, file: str = "") -> Any:
    """Read one YAML document as plain values; raises ContentError with line and column."""
    return _construct(_compose(text, file), file)


def parse_all(text: str, file: str = "") -> list[Any]:
    """Read the YAML documents of a text, without empty ones; raises as ``parse`` does."""
    return [_construct(node, file) for node in _composed(text, file, several=True)]


@dataclass(frozen=True, slots=True)
class Marked:
    """A document of a file that is not ours: its value, the places in it, and what is not plain YAML.

    Keys are text as written (``on`` stays ``on``); ``odd`` are the ways to values with a tag of their own
    (``!reference``), in whose place ``None`` stands.
    """

    value: Any
    lines: dict[tuple[str | int, ...], tuple[int, int]]
    odd: tuple[tuple[str | int, ...], ...] = ()


def marked(text: str, file: str = "", *, tagged: bool = False) -> tuple[list[Marked], ContentError | None]:
    """Read the documents of a text up to the first that cannot be read; return them and what is wrong.

    Lines and columns count from 1; an entry of an object stands where its key does. With ``tagged`` a value
    with a tag of its own is an object with the tag as its one key (``{"!Ref": "Name"}``). Raises nothing.
    """
    found: list[Marked] = []
    try:
        _limit(text, file)
        with _told(file):
            for node in yaml.compose_all(text, Loader=_Loader):
                if node is not None:
                    _bound(node, file)
                    found.append(_marked(node, tagged=tagged))
    except ContentError as error:
        return found, error
    return found, None


def _marked(root: yaml.Node, *, tagged: bool = False) -> Marked:
    lines: dict[tuple[str | int, ...], tuple[int, int]] = {}
    odd: list[tuple[str | int, ...]] = []
    loader = _Loader("")

    def walk(node: yaml.Node, way: tuple[str | int, ...], mark: yaml.Mark) -> Any:
        lines[way] = (mark.line + 1, mark.column + 1)
        if node.tag.startswith(_PLAIN):
            return inner(node, way)
        odd.append(way)
        return {node.tag: inner(node, (*way, node.tag))} if tagged else None

    def inner(node: yaml.Node, way: tuple[str | int, ...]) -> Any:
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key, value in _merged(node):
                name = key.value if isinstance(key, yaml.ScalarNode) else "?"
                if name not in found:
                    found[name] = walk(value, (*way, name), key.start_mark)
            return found
        if isinstance(node, yaml.SequenceNode):
            return [walk(item, (*way, number), item.start_mark) for number, item in enumerate(node.value)]
        if not node.tag.startswith(_PLAIN):
            return node.value
        try:
            return loader.construct_object(node)
        except (yaml.YAMLError, ValueError, TypeError):
            return node.value

    try:
        return Marked(walk(root, (), root.start_mark), lines, tuple(odd))
    finally:
        loader.dispose()


def _merged(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the entries of an object, and after them those that it merges in (``<<``)."""
    merge = f"{_PLAIN}merge"
    own = [(key, value) for key, value in node.value if key.tag != merge]
    for key, value in node.value:
        if key.tag == merge:
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            own += [pair for one in merged if isinstance(one, yaml.MappingNode) for pair in one.value]
    return own


def load(
    source: Path | str, model: type[Model], *, file: str = "", read: Callable[[str, str], Any] | None = None
) -> Model:
    """Read a file (Path) or a text (str, whose origin is ``file``) into a model.

    ``read`` gives the value of a text and its origin as ``parse`` does, which reads it unless given. Raises
    ContentError for the first thing that is wrong, at the line and column of the offending node.
    """
    if isinstance(source, Path):
        file = file or str(source)
        text = read_text(source)
    else:
        text = source
    try:
        return model.model_validate((read or parse)(text, file))
    except pydantic.ValidationError as error:
        node = _compose(text, file)
        first = error.errors()[0]
        path = list(first["loc"])
        name = ".".join(map(str, path)) or "the document"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ContentError(f"{name}: {first['msg']}{more}", at=_locate(node, path, file)) from error


def locate(source: Path, path: Sequence[str | int]) -> Location:
    """Return where the node is that a path of keys and numbers leads to, or the nearest one above it."""
    return _locate(_compose(read_text(source), str(source)), list(path), str(source))


def locator(source: Path) -> Callable[[Sequence[str | int]], Location]:
    """Return what ``locate`` would say of paths in one file, which is read once."""
    root = _compose(read_text(source), str(source))
    return lambda path: _locate(root, list(path), str(source))


def read_text(path: Path) -> str:
    """Return a content file's text; raises ContentError if it is too large, not UTF-8 or not readable."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ContentError("cannot be read: no regular file", at=Location(str(path)))
        if status.st_size > MAX_BYTES:
            raise ContentError(f"larger than {MAX_BYTES:,} bytes", at=Location(str(path)), fix="split it")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ContentError(f"cannot be read: {error.strerror}", at=Location(str(path))) from error
    except UnicodeDecodeError as error:
        raise ContentError(
            f"not UTF-8 at byte {error.start}", at=Location(str(path)), fix="save it as UTF-8"
        ) from error


def _compose(text: str, file: str) -> yaml.Node | None:
    """Parse one document to a node tree, bounded in size and depth."""
    return next(iter(_composed(text, file, several=False)), None)


def _composed(text: str, file: str, *, several: bool) -> list[yaml.Node]:
    """Parse the documents of a text to node trees, bounded in size and depth."""
    _limit(text, file)
    with _told(file):
        found = (
            list(yaml.compose_all(text, Loader=_Loader)) if several else [yaml.compose(text, Loader=_Loader)]
        )
    nodes: list[yaml.Node] = [node for node in found if node is not None]
    for node in nodes:
        _bound(node, file)
    return nodes


def _limit(text: str, file: str) -> None:
    if len(text) > MAX_BYTES:
        raise ContentError(f"larger than {MAX_BYTES:,} bytes", at=Location(file), fix="split it")


@contextmanager
def _told(file: str) -> Iterator[None]:
    """Say where the parser found what is wrong."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise ContentError(f"not YAML: {error.problem or error.context}", at=place) from error
    except yaml.reader.ReaderError as error:
        raise ContentError(
            f"not YAML: {error.reason} at position {error.position}", at=Location(file)
        ) from error
    except RecursionError as error:
        raise ContentError("nested too deeply", at=Location(file)) from error


def _bound(root: yaml.Node, file: str) -> None:
    """Refuse repeated keys, deep nesting, and aliases that would multiply the document."""
    count, stack = 0, [(root, 1)]
    while stack:
        node, depth = stack.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise ContentError(
                "too large once its aliases are followed, or nested too deeply", at=_mark(node, file)
            )
        if isinstance(node, yaml.SequenceNode):
            stack.extend((child, depth + 1) for child in node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: set[tuple[str, str]] = set()
            for key, value in node.value:
                name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else ("", "")
                if name != ("", "") and name in seen and key.tag != "tag:yaml.org,2002:merge":
                    raise ContentError(f"key {key.value!r} stands here twice", at=_mark(key, file))
                seen.add(name)
                stack.append((value, depth + 1))


def _construct(node: yaml.Node | None, file: str) -> Any:
    """Turn a node tree into plain values."""
    if node is None:
        return None
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise ContentError(f"not allowed in content: {error.problem}", at=place) from error
    except (ValueError, TypeError) as error:
        raise ContentError(f"a value cannot be read: {error}", at=_mark(node, file)) from error
    finally:
        loader.dispose()


def _locate(root: yaml.Node | None, path: list[str | int], file: str) -> Location:
    """Find the node that a path leads to, or the nearest one above it."""
    node = root
    for part in path:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if _is(key, part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
        if found is None:
            break
        node = found
    return _mark(node, file)


def _is(key: yaml.Node, part: Hashable) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == str(part)


def _mark(node: yaml.Node | None, file: str) -> Location:
    if node is None:
        return Location(file)
    return Location(file, node.start_mark.line + 1, node.start_mark.column + 1)

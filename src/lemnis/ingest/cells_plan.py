"""A mapping made ready to be worked out in cells (see ``cells_kernel``): steps, places, and what follows.

Lines that copy, read whole numbers, part texts, translate, or give constants are steps of the compiled pass.
What others give is worked out by Arrow and put into the cells, or beside them where it is neither text nor
number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.content.schemas.source import Line, LoadedSource
from lemnis.ingest import cells_kernel as kernel
from lemnis.ingest.cells_outline import BESIDE, Outline
from lemnis.ingest.mapping_build import OTHER
from lemnis.ingest.mapping_conditions import spell
from lemnis.ingest.mapping_plan import FILLED, ORIGINAL_TIME, SEVERITIES, EntryPlan, Given
from lemnis.ocsf.schema import Attribute, EventClass, Step, shape_of, steps, type_of, version

Numbers = npt.NDArray[np.int64]
_ENTRIES = ("metadata", "transformation_info_list")
_OURS = FILLED | {"time", "raw_data", "unmapped"}
_STEPS = 64
_TEXT_OPS = {
    "string": kernel.COPY, "basename": kernel.LAST, "dirname": kernel.BEFORE, "ip": kernel.ADDRESS,
}  # fmt: skip
_LETTER = r"(?P<letter>\\\\|[@/:;,#=])"
_PATTERNS = {
    kernel.UNTIL: re.compile(rf"\^\(\[\^{_LETTER}\]\+\)(?P=letter)"),
    kernel.BEHIND: re.compile(rf"\^\(\?:\[\^{_LETTER}\]\*(?P=letter)\)\?\(\.\+\)\$"),
}
"""``^([^X]+)X`` and ``^(?:[^X]*X)?(.+)$``: X is a letter that stands for itself, or an escaped backslash."""
_NUMBER_OPS = {"string": kernel.INTEGER, "integer": kernel.INTEGER}


@dataclass(slots=True)
class Words:
    """Texts, tables and sets of them, and fields, by number."""

    texts: dict[bytes, int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    tables: list[tuple[int, int]] = field(default_factory=list)
    _known: dict[Any, int] = field(default_factory=dict)

    def text(self, text: str) -> int:
        """Return the number of a text."""
        return self.texts.setdefault(text.encode("utf-8", "surrogatepass"), len(self.texts))

    def name(self, name: str) -> int:
        """Return the number of a field."""
        return self.fields.setdefault(name, len(self.fields))

    def table(self, pairs: Sequence[tuple[int, int]]) -> int:
        """Return the number of a table of keys and items."""
        key = tuple(pairs)
        if key not in self._known:
            self.tables.append((len(self.keys), len(self.keys) + len(pairs)))
            self.keys += (one for one, _ in pairs)
            self.items += (other for _, other in pairs)
            self._known[key] = len(self.tables) - 1
        return self._known[key]

    def names(self, names: Mapping[int, str], before: str = "") -> int:
        """Return the number of a table of names of numbers."""
        return self.table([(number, self.text(before + name)) for number, name in names.items()])


@dataclass(eq=False, slots=True)
class Node:
    """A place in events: which cells are its own, of which kind they are, and what lies in it."""

    attribute: Attribute
    slot: int
    kind: int
    path: tuple[str, ...]
    below: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """An entry: its jobs (slot, first step, step after the last, whether it keeps its field), by path.

    ``slow`` are paths whose values Arrow works out; ``keeping`` are fields with slow paths that may keep them
    (None: the original time).
    """

    jobs: Numbers
    paths: tuple[str, ...]
    fields: tuple[frozenset[str], ...]
    slow: frozenset[str]
    keeping: tuple[tuple[str, str | None], ...]
    level: bool
    """Whether its severity is worked out by Arrow."""
    doing: bool
    """Whether its activity is."""


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Entries whose events are built together: where their paths are, what follows, what is demanded."""

    kind: EventClass
    root: Mapping[str, Node]
    slots: Mapping[str, int]
    count: int
    beside: Mapping[str, tuple[Node, tuple[str, ...]]]
    follows: Numbers
    """Rows as the kernel wants them, by slots instead of cells."""
    entries: Mapping[str, Ready]
    required: frozenset[str]
    """What the class itself requires."""
    outlines: dict[Any, Outline] = field(default_factory=dict)

    def at(self, slot: int) -> Node:
        """Return the node whose cells a slot has."""
        return next(node for node in _all(self.root.values()) if node.slot == slot)


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """All of a mapping."""

    groups: Sequence[Group | None]
    fields: Mapping[str, int]
    steps: Numbers
    letters: npt.NDArray[np.uint8]
    texts: Numbers
    sizes: Numbers
    keys: Numbers
    items: Numbers
    tables: Numbers


def layout(source: LoadedSource, plans: Sequence[EntryPlan], numbers: Sequence[int]) -> Layout:
    """Make a mapping ready; ``numbers`` says which entries are built together. None is for Arrow to build."""
    maker = _Maker(source)
    groups: list[Group | None] = []
    for number in range(max(numbers, default=-1) + 1):
        some = [plan for plan, own in zip(plans, numbers, strict=True) if own == number]
        groups.append(maker.group(some))
    words = maker.words
    letters = np.frombuffer(b"".join(words.texts) + b"\0", np.uint8)
    sizes = _numbers([len(text) for text in words.texts])
    texts = np.concatenate(([0], np.cumsum(sizes)))[:-1].astype(np.int64) + letters.ctypes.data
    return Layout(
        groups, words.fields, _numbers(maker.steps).reshape(-1, kernel.STEP), letters, texts, sizes,
        _numbers(words.keys), _numbers(words.items), _numbers(words.tables).reshape(-1, 2),
    )  # fmt: skip


def _numbers(some: Sequence[Any]) -> Numbers:
    return np.array(some, np.int64)


class _OddError(Exception):
    """Entries whose events must be built by Arrow."""


class _Maker:
    """Makes groups; what they have in common is gathered."""

    def __init__(self, source: LoadedSource) -> None:
        self.words = Words()
        self.steps: list[tuple[int, ...]] = []
        self._source = source
        self._absent = {str(value) for value in source.mapping.common.absent}
        self._known: dict[Any, tuple[int, int] | None] = {}

    def group(self, plans: Sequence[EntryPlan]) -> Group | None:
        """Make entries ready that are built together; None if Arrow must build them."""
        try:
            return _Grouped(self, plans).made()
        except _OddError:
            return None

    def given(self, given: Given) -> tuple[int, int] | None:
        """Return the range of the steps that lines are; None where they are none."""
        if given not in self._known:
            self._known[given] = self._added(self._lines(given))
        return self._known[given]

    def constant(self, value: int | str) -> tuple[int, int]:
        """Return the range of the step that gives a constant."""
        if value not in self._known:
            self._known[value] = self._added([self._constant(value)])
        found = self._known[value]
        if found is None:
            raise AssertionError(value)
        return found

    def _constant(self, value: int | str, line: int = 0) -> tuple[int, ...]:
        if isinstance(value, str):
            return (0, kernel.TEXT, self.words.text(value), line, 0, 1)
        return (0, kernel.NUMBER, value, line, 0, 1)

    def _added(self, made: list[tuple[int, ...]] | None) -> tuple[int, int] | None:
        if made is None or len(made) > _STEPS:
            return None
        first = len(self.steps)
        self.steps += made
        return first, len(self.steps)

    def _lines(self, given: Given) -> list[tuple[int, ...]] | None:
        if not pa.types.is_string(given.kind) and not pa.types.is_int64(given.kind):
            return None
        text, found = pa.types.is_string(given.kind), list[tuple[int, ...]]()
        for number, line in enumerate(given.lines):
            some = self._line(number, line, text=text)
            if some is None:
                return None
            found += some
            if found[-1][kernel.OP] >= kernel.TEXT:  # nothing comes after a constant
                break
        return found

    def _line(self, number: int, line: Line, *, text: bool) -> list[tuple[int, ...]] | None:
        if line.value is not None:
            value = _scalar(line.value, text=text)
            return None if value is None else [self._constant(value, number)]
        found = self._operation(line, text=text)
        default = None if line.default is None else _scalar(line.default, text=text)
        if found is None or (default is None and line.default is not None):
            return None
        said = self._absent | {spell(value) for value in line.absent}
        absent = self.words.table([(self.words.text(one), 0) for one in sorted(said)])
        lenient = int(line.lenient or line.default is not None)
        made: list[tuple[int, ...]] = [
            (self.words.name(name), *found, number, absent, lenient) for name in line.source
        ]
        return made if default is None else [*made, self._constant(default, number)]

    def _operation(self, line: Line, *, text: bool) -> tuple[int, int] | None:
        """Return what a line does to a text, and what that needs; None if no step does it."""
        if line.pick is not None or line.split is not None:
            return None
        if line.match is not None:
            return _parted(line.match) if text and line.as_ == "string" and line.map is None else None
        if line.map is None:
            known = (_TEXT_OPS if text else _NUMBER_OPS).get(line.as_)
            return None if known is None else (known, 0)
        items = [_scalar(item, text=text) for item in line.map.values()]
        if line.as_ != "string" or any(item is None for item in items):
            return None
        numbers = [self.words.text(item) if isinstance(item, str) else int(item or 0) for item in items]
        keys = [self.words.text(key) for key in line.map]
        return (kernel.MAP_TEXT if text else kernel.MAP_NUMBER), self.words.table(
            list(zip(keys, numbers, strict=True))
        )


def _parted(pattern: str) -> tuple[int, int] | None:
    """Return what a pattern is that parts a text at a letter, and the letter; None if it is another one."""
    for operation, known in _PATTERNS.items():
        found = known.fullmatch(pattern)
        if found is not None:
            return operation, ord(found["letter"][-1])
    return None


def _scalar(value: Any, *, text: bool) -> int | str | None:
    """Return a constant of a line as a text or a number; None if it is another thing."""
    if isinstance(value, tuple):
        return None
    if text:
        return spell(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class _Grouped:
    """Makes one group."""

    def __init__(self, maker: _Maker, plans: Sequence[EntryPlan]) -> None:
        self.maker, self.plans, self.kind = maker, plans, plans[0].kind
        self.root: dict[str, Node] = {}
        self.slots: dict[str, int] = {}
        self.count = 0
        self.beside: dict[str, tuple[Node, list[str]]] = {}
        self.follows: list[tuple[int, int, int, int]] = []

    def made(self) -> Group:
        """Return the group; raises _OddError."""
        if any(plan.passthrough or _OURS & plan.lines.keys() for plan in self.plans):
            raise _OddError
        constants = self._constants()
        for path in dict.fromkeys(path for plan in self.plans for path in plan.given):
            self._path(path, self.plans[0].kind.name)
        self._named()
        for node in self.root.values():
            self._follow(node)
        for node in _all(self.root.values()):
            if node.attribute.enum and node.kind == kernel.NUMBERS:
                known = self.maker.words.table([(number, 0) for number in node.attribute.enum])
                self.follows.append((kernel.KNOWN, node.slot, node.slot, known))
        entries = {plan.name: self._ready(plan, constants) for plan in self.plans}
        beside = {path: (node, tuple(paths)) for path, (node, paths) in self.beside.items()}
        follows = np.array(self.follows, np.int64).reshape(-1, 4)
        attributes = self.kind.shape.attributes.items()
        required = frozenset(name for name, one in attributes if one.required)
        return Group(self.kind, self.root, self.slots, self.count, beside, follows, entries, required)

    def _constants(self) -> list[tuple[int, int, int, int]]:
        """Return the jobs of what the interpreter says of every event; and make room for the rest of it."""
        kind, file = self.kind, self.maker._source.file  # noqa: SLF001 - its own
        jobs = []
        for path, value in (
            ("class_uid", kind.uid), ("class_name", kind.caption), ("category_uid", kind.category_uid),
            ("category_name", kind.category), ("metadata.version", version()),
            ("metadata.log_name", self.maker._source.name), ("metadata.product.name", file.product),  # noqa: SLF001
            ("metadata.product.vendor_name", file.vendor),
        ):  # fmt: skip
            jobs.append((self._ours(path, text=isinstance(value, str)), *self.maker.constant(value), 0))
        for path in ("time", "activity_id", "severity_id", "type_uid"):
            self._ours(path, text=False)
        for path in (
            "metadata.uid",
            ORIGINAL_TIME,
            "raw_data",
            "unmapped",
            "activity_name",
            "type_name",
            "severity",
        ):
            self._ours(path, text=True)
        whole = steps(kind.name, "metadata.transformation_info_list[0].name")
        singles = self._node(whole[:2], kernel.SINGLES)
        name = Node(whole[2].attribute, self._slot(), kernel.TEXTS, ())
        singles.below["name"] = name
        self.slots["entry"] = name.slot
        return jobs

    def _named(self) -> None:
        """Fill in numbers where nothing says them, and what numbers are called."""
        words, slots, shape = self.maker.words, self.slots, self.kind.shape.attributes
        always = slots["class_uid"]
        for path in ("activity_id", "severity_id"):
            self.follows.append((kernel.FILL, slots[path], always, 0))
        activity, names = slots["activity_id"], shape["activity_id"].enum
        self.follows += [
            (kernel.ADD, slots["type_uid"], activity, self.kind.uid * 100),
            (kernel.NAME, slots["activity_name"], activity, words.names(names)),
            (kernel.NAME, slots["type_name"], activity, words.names(names, f"{self.kind.caption}: ")),
            (kernel.NAME, slots["severity"], slots["severity_id"], words.names(shape["severity_id"].enum)),
        ]
        if "status_id" in slots:
            named = words.names(shape["status_id"].enum)
            self.follows.append((kernel.NAME, self._ours("status", text=True), slots["status_id"], named))

    def _slot(self) -> int:
        self.count += 1
        return self.count - 1

    def _ours(self, path: str, *, text: bool) -> int:
        node = self._node(steps(self.kind.name, path), kernel.TEXTS if text else kernel.NUMBERS)
        self.slots[path] = node.slot
        return node.slot

    def _path(self, path: str, name: str) -> None:
        """Make room for a path of lines."""
        found = steps(name, path)
        element = next((number for number, step in enumerate(found) if step.element is not None), None)
        kind = self.plans[0].types.get(path) or next(p.types[path] for p in self.plans if path in p.types)
        if element is not None:
            found = found[: element + 1]
            if tuple(step.attribute.name for step in found) == _ENTRIES:
                raise _OddError
        elif pa.types.is_string(kind) or pa.types.is_int64(kind):
            node = self._node(found, kernel.TEXTS if pa.types.is_string(kind) else kernel.NUMBERS)
            self.slots[path] = node.slot
            return
        node = self._node(found, BESIDE)
        self.beside.setdefault(".".join(node.path), (node, []))[1].append(path)

    def _node(self, found: Sequence[Step], kind: int) -> Node:
        """Return the node that steps lead to, with those on the way; raises _OddError where it is no such."""
        below, path = self.root, tuple[str, ...]()
        node: Node | None = None
        for number, step in enumerate(found, 1):
            path = (*path, step.attribute.name)
            wanted = kind if number == len(found) else kernel.OBJECTS
            node = below.get(step.attribute.name)
            if node is None:
                node = below[step.attribute.name] = Node(step.attribute, self._slot(), wanted, path)
            if node.kind != wanted:
                raise _OddError
            below = node.below
        if node is None:
            raise _OddError
        return node

    def _follow(self, node: Node) -> None:
        """Have objects be there where a part of them is, and fill in what is required of them."""
        if node.kind != kernel.OBJECTS:
            return
        shape = shape_of(node.attribute.object)
        for child in list(node.below.values()):
            self._follow(child)
            self.follows.append((kernel.HOLD, node.slot, child.slot, 0))
        for name, attribute in shape.attributes.items():
            if not attribute.required:
                continue
            child_of = node.below.get(name)
            if attribute.enum:
                if not pa.types.is_int64(type_of(attribute)):
                    raise _OddError
                if child_of is None:
                    child_of = Node(attribute, self._slot(), kernel.NUMBERS, (*node.path, name))
                    node.below[name] = child_of
                unknown = 0 if 0 in attribute.enum else OTHER
                self.follows.append((kernel.FILL, child_of.slot, node.slot, unknown))
            elif name == "name" and "path" in node.below and "hashes" in shape.attributes:
                if child_of is None:
                    child_of = Node(attribute, self._slot(), kernel.TEXTS, (*node.path, name))
                    node.below[name] = child_of
                self.follows.append((kernel.ENDING, child_of.slot, node.below["path"].slot, node.slot))

    def _ready(self, plan: EntryPlan, constants: Sequence[tuple[int, int, int, int]]) -> Ready:
        jobs, paths, slow = list(constants), [""] * len(constants), set[str]()
        fields: list[frozenset[str]] = [frozenset()] * len(constants)

        def add(
            path: str, slot: int, given: Given, steps_of: tuple[int, int], *, keeps: bool = False
        ) -> None:
            jobs.append((slot, *steps_of, int(keeps)))
            paths.append(path)
            fields.append(given.sources)

        entry = (self.slots["entry"], *self.maker.constant(plan.name), 0)
        jobs.append(entry)
        paths.append("")
        fields.append(frozenset())
        kept = {path for some in plan.kept.values() for path in some}
        for path, given in plan.given.items():
            cells = path in self.slots and path != ORIGINAL_TIME
            made = self.maker.given(given) if cells else None
            if made is None:
                slow.add(path)
            else:
                add(path, self.slots[path], given, made, keeps=path in kept)
        doing = self.maker.given(plan.doing)
        if doing is not None:
            add("activity_id", self.slots["activity_id"], plan.doing, doing)
        level = _level(plan.severity)
        if level is not None:
            jobs.append((self.slots["severity_id"], *self.maker.constant(level), 0))
            paths.append("severity_id")
            fields.append(frozenset())
        keeping = tuple(
            (name, path if path in plan.given else None)
            for name, some in plan.kept.items()
            for path in some
            if path in slow or path not in plan.given
        )
        return Ready(
            np.array(jobs, np.int64), tuple(paths), tuple(fields), frozenset(slow), keeping,
            level is None, doing is None,
        )  # fmt: skip


def _level(lines: Sequence[Line]) -> int | None:
    """Return a severity that is always the same; None if it is not."""
    if not lines:
        return 0
    value = lines[0].value
    return SEVERITIES.get(spell(value).lower(), 0) if isinstance(value, str) else None


def _all(nodes: Any) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _all(node.below.values())

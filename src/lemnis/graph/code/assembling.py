"""Files brought together: groups under their prefixes, handlers where they are defined."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lemnis.graph.code.model import Declared, Span, Unit
from lemnis.graph.code.templates import UNKNOWN, Template, template

MOST, DEEPEST = 32, 12
"""So many prefixes of one group, and so many groups within each other, are followed."""
Group = tuple[str, str]
"""A file, and the name of a group in it."""
_SCRIPTS = (".js", ".ts", ".mjs", ".cjs", ".mts", ".cts", ".jsx", ".tsx")


@dataclass(frozen=True, slots=True)
class Route:
    """A route: its methods (none: any), its whole template, and where its handler is.

    ``file`` and ``line`` (to ``end``) are the handler's where ``found``, else where the route is declared.
    ``partial`` says that a prefix is computed, so that the template's beginning is not known.
    """

    methods: tuple[str, ...]
    template: Template
    handler: str
    file: str
    line: int
    end: int
    framework: str
    declared: str
    found: bool = True
    partial: bool = False

    def __str__(self) -> str:
        """Say it as people write it."""
        return f"{'|'.join(self.methods) or 'ANY'} {self.template.text}"


def assemble(units: Sequence[Unit]) -> list[Route]:
    """Bring units together, in the order of files and lines."""
    tree = _Tree(units)
    made = [one for unit in units for declared in unit.declared for one in tree.routes(unit, declared)]
    unique = {(one.methods, one.template.text, one.file, one.line): one for one in reversed(made)}
    return sorted(unique.values(), key=lambda one: (one.file, one.line, one.template.text, one.methods))


@dataclass(slots=True)
class _Tree:
    units: Sequence[Unit]
    files: dict[str, list[Unit]] = field(default_factory=lambda: defaultdict(list))
    modules: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    beside: dict[Group, set[tuple[str, Span]]] = field(default_factory=lambda: defaultdict(set))
    groups: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    mounts: dict[Group, list[tuple[Group, str, bool]]] = field(default_factory=lambda: defaultdict(list))
    whole: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    known: dict[Group, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for unit in self.units:
            self.files[unit.path].append(unit)
            self.groups[unit.path].update(unit.groups())
            if unit.path.endswith(".go"):  # a package is a folder
                for name, span in unit.functions.items():
                    self.beside[posixpath.dirname(unit.path), name].add((unit.path, span))
            if unit.whole is not None:
                self.whole[unit.framework].append(unit.whole)
        for path in self.files:
            stem = posixpath.splitext(path)[0].removesuffix("/__init__").removesuffix("/index")
            self.modules[stem.rpartition("/")[2]].append(path)
        for unit in self.units:
            for one in unit.mounted:
                parent, child = self.group(unit, one.parent), self.group(unit, one.child)
                self.mounts[child].append((parent, one.prefix, one.replaces))

    def routes(self, unit: Unit, declared: Declared) -> Iterator[Route]:
        """Yield a declared route once for each prefix that it is reached by."""
        file, at = self.place(unit, declared)
        span = at or Span(declared.line, declared.line)
        wholes = self.whole.get(unit.framework, [""])
        before = wholes[0] if len(set(wholes)) == 1 else UNKNOWN
        for prefix in self.prefixes(self.group(unit, declared.group), unit.glue):
            text = unit.glue.join(part for part in (before, prefix, declared.path) if part)
            yield Route(
                declared.methods, template(text, unit.notation), declared.handler, file, span.line, span.end,
                unit.framework, f"{unit.path}:{declared.line}", at is not None, UNKNOWN in text,
            )  # fmt: skip

    def prefixes(self, group: Group, glue: str, depth: int = 0) -> list[str]:
        """Return the prefixes under which a group is put; itself alone where nobody puts it anywhere."""
        if group in self.known:
            return self.known[group]
        own = next(
            (unit.prefixes[group[1]] for unit in self.files.get(group[0], ()) if group[1] in unit.prefixes),
            "",
        )
        if depth > DEEPEST:
            return [UNKNOWN]
        found: list[str] = []
        self.known[group] = [own]  # whoever is put under itself has no more than that
        for parent, prefix, replaces in self.mounts.get(group, ())[:MOST]:
            parts = (prefix,) if replaces else (prefix, own)
            found += [
                glue.join(part for part in (above, *parts) if part)
                for above in self.prefixes(parent, glue, depth + 1)
            ]
        self.known[group] = list(dict.fromkeys(found))[:MOST] or [own]
        return self.known[group]

    def group(self, unit: Unit, name: str) -> Group:
        """Return the group that a name means in a file, wherever it was made."""
        if name.startswith("module:"):
            path = self.module(unit, name.removeprefix("module:"))
            return (path, self._exported(path)) if path else (unit.path, name)
        if not name or name in unit.prefixes:
            return unit.path, name
        first, _, rest = name.partition(".")
        imported = unit.imports.get(first)
        if imported is None:
            return unit.path, name
        module, _, what = imported.partition(":")
        inside = ".".join(part for part in (what, rest) if part)
        if what and (
            path := self.module(
                unit, f"{module.rstrip('.')}.{what}" if module.strip(".") else f"{module}{what}"
            )
        ):
            return path, rest or self._exported(path)
        path = self.module(unit, module)
        if not path:
            return unit.path, name
        return path, inside if inside in self.groups[path] else self._exported(path) or inside

    def _exported(self, path: str) -> str:
        return next((unit.exported for unit in self.files[path] if unit.exported), "")

    def module(self, unit: Unit, module: str) -> str:
        """Return the file that a module's name means in a file; empty for none, and for one of several."""
        if unit.path.endswith(_SCRIPTS):
            if not module.startswith("."):
                return ""
            stem = posixpath.normpath(posixpath.join(posixpath.dirname(unit.path), module))
            ends = ("", *_SCRIPTS, *(f"/index{one}" for one in _SCRIPTS))
            bare = posixpath.splitext(stem)[0]  # TypeScript imports `./x.js` where `x.ts` stands
            names = [*(f"{stem}{end}" for end in ends), *(f"{bare}{end}" for end in _SCRIPTS)]
            return next((one for one in names if one in self.files), "")
        level = len(module) - len(module.lstrip("."))
        parts = [part for part in module.split(".") if part]
        if not parts:
            return ""
        if level:
            folder = unit.path.split("/")[:-level]
            names = ["/".join([*folder, *parts]) + end for end in (".py", "/__init__.py")]
            return next((one for one in names if one in self.files), "")
        stem = "/".join(parts)
        fits = [
            path
            for path in self.modules.get(parts[-1], ())
            if f"/{posixpath.splitext(path)[0].removesuffix('/__init__')}".endswith(f"/{stem}")
        ]
        return fits[0] if len(fits) == 1 else min(fits, key=len) if _nested(fits) else ""

    def place(self, unit: Unit, declared: Declared) -> tuple[str, Span | None]:
        """Return where a handler is: as declared, in this file, where it was imported from, in its folder."""
        name = declared.handler
        if declared.at is not None or not name:
            return unit.path, declared.at
        first, _, rest = name.partition(".")
        if name in unit.functions or (
            first not in unit.imports and rest.rpartition(".")[2] in unit.functions
        ):
            return unit.path, unit.functions.get(name) or unit.functions[rest.rpartition(".")[2]]
        last = name.rpartition(".")[2]
        if imported := unit.imports.get(first):
            module, _, what = imported.partition(":")
            wanted = [f"{module.rstrip('.')}.{what}" if module.strip(".") else f"{module}{what}", module]
            for path in filter(None, (self.module(unit, one) for one in wanted)):
                for other in self.files[path]:
                    for one in (rest, f"{what}.{rest}", what, last):
                        if one in other.functions:
                            return path, other.functions[one]
        beside = self.beside.get((posixpath.dirname(unit.path), last), set())
        return next(iter(beside)) if len(beside) == 1 else (unit.path, None)


def _nested(paths: Sequence[str]) -> bool:
    """Say whether one of several files is nearer to the root than all others."""
    depths = sorted(path.count("/") for path in paths)
    return len(depths) > 1 and depths[0] < depths[1]

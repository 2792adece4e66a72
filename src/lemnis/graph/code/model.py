"""What one file says of routes, before files are brought together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lemnis.graph.code.templates import Notation

ANY: tuple[str, ...] = ()
"""No method named: it answers every one."""
VERBS = ("get", "post", "put", "delete", "patch", "head", "options", "trace")


@dataclass(frozen=True, slots=True)
class Span:
    """The lines of a function, from 1."""

    line: int
    end: int


@dataclass(frozen=True, slots=True)
class Declared:
    """A route as it is declared on a group (an application, router, blueprint, class; empty: the file's own).

    ``handler`` is a name as it stands there, ``a.b`` where it belongs to ``a``; ``at`` its lines where
    they are known from the declaration, which stands at ``line``.
    """

    group: str
    methods: tuple[str, ...]
    path: str
    handler: str
    line: int
    at: Span | None = None


@dataclass(frozen=True, slots=True)
class Mounted:
    """A group is put under a prefix of another; ``replaces`` the child's own prefix, or goes before it."""

    parent: str
    prefix: str
    child: str
    replaces: bool = False


@dataclass(slots=True)
class Unit:
    """One file by one framework.

    ``imports`` say of a local name which module, and after a colon what of it; ``functions`` hold where each
    function is, methods also as ``Class.method``; ``prefixes`` what a group is made with; ``exported`` the
    group that a module is for who imports it whole; ``whole`` a prefix of all that the service answers.
    """

    path: str
    framework: str
    notation: Notation
    glue: str = "/"
    declared: list[Declared] = field(default_factory=list)
    mounted: list[Mounted] = field(default_factory=list)
    prefixes: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Span] = field(default_factory=dict)
    exported: str = ""
    whole: str | None = None

    @property
    def speaks(self) -> bool:
        """Say whether there is anything about routes in it."""
        return bool(self.declared or self.mounted or self.prefixes or self.whole is not None)

    def groups(self) -> Iterator[str]:
        """Yield the groups that are declared or made here."""
        yield from self.prefixes
        yield from (one.group for one in self.declared)
        yield from (one.parent for one in self.mounted)

"""Collectors: inventories and records of what runs as nodes and edges of the graph. Pure: plain values in.

Each module reads one family and says what it saw as ``Collected``. What cannot be read is told in
``problems``, and what is good beside it is kept. Which file it came from, and what of an earlier snapshot has
ended, is for the caller, who has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import from_iso
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Node, Strength

MAX_OBJECTS: Final = 1_000_000
"""So many objects of one file are looked at."""
MAX_EDGES: Final = 5_000_000
MAX_PROBLEMS: Final = 1_000
MAX_TEXT: Final = 2_000
_EARLIEST, _LATEST = 0, 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Collected:
    """What a file says: edges (their evidence names the position), nodes, and what in it could not be read.

    ``covers`` are the parts (``evidence.of``) of which it shows all there is in its ``scope`` at ``at`` (ms;
    None: it does not say when): what it does not show of them is gone. None: records, which hold by their
    own times; with ``follow`` each ends the one before of its source and relation. ``within`` narrows what is
    covered to sources whose evidence names that ``space``. ``secret`` says that the file holds secrets.
    """

    method: str
    scope: str = ""
    edges: tuple[Edge, ...] = ()
    nodes: tuple[Node, ...] = ()
    problems: tuple[str, ...] = ()
    read: int = 0
    at: int | None = None
    covers: frozenset[str] | None = None
    within: str = ""
    follow: bool = False
    secret: bool = False
    partial: bool = False
    """Something in it could not be read: it shows nothing to be gone."""
    notes: tuple[str, ...] = ()
    """What was left out on purpose."""


@dataclass(slots=True)
class Gatherer:
    """Gathers what one file says: each statement once, from its earliest start, by its strongest proof."""

    method: str
    scope: str = ""
    dated: bool = False
    """Statements from several instants are several: those of records are, those of a snapshot are not."""
    read: int = 0
    _edges: dict[tuple[Any, ...], Edge] = field(default_factory=dict)
    _nodes: dict[Entity, dict[str, Json]] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _more: int = 0
    _lost: bool = False
    notes: list[str] = field(default_factory=list)

    def say(
        self, source: Entity, relation: str, target: Entity, where: str, *,
        strength: Strength = Strength.RECORDED, of: str = "", since: int | None = None,
        until: int | None = None, **facts: Json,
    ) -> None:  # fmt: skip
        """Say that a source is related to a target, as stands at a position (``where``) of the file."""
        evidence: dict[str, Json] = {"position": where}
        evidence |= {"scope": self.scope} if self.scope else {}
        evidence |= {"of": of} if of else {}
        evidence |= {name: value for name, value in facts.items() if value not in ("", None)}
        edge = Edge(source, target, relation, self.method, strength, evidence, since, until)
        key = (source, relation, target, since if self.dated else None)
        known = self._edges.get(key)
        if known is not None:
            first = edge if edge.strength > known.strength else known
            ends = None if None in (known.valid_to, until) else max(known.valid_to or 0, until or 0)
            edge = replace(first, valid_from=_earlier(known.valid_from, since), valid_to=ends)
        elif len(self._edges) >= MAX_EDGES:
            self.refuse(where, f"more than {MAX_EDGES:,} statements: {relation} was left out")
            return
        self._edges[key] = edge

    def note(self, entity: Entity, **properties: Json) -> None:
        """Note properties of an entity; lists of several notes are joined."""
        known = self._nodes.setdefault(entity, {})
        for name, value in properties.items():
            before = known.get(name)
            if isinstance(value, list) and isinstance(before, list):
                known[name] = sorted({*map(str, before), *map(str, value)})
            elif value not in ("", None, []):
                known[name] = value

    def refuse(self, where: str, why: str, *, lost: bool = True) -> None:
        """Tell what could not be read, and why; not ``lost`` is what was read, and is odd."""
        self._lost = self._lost or lost
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(f"{where}: {why}"[:MAX_TEXT])
        else:
            self._more += 1

    def objects(self, value: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the objects of a list with their positions, as many as are looked at; tell of the others."""
        if value is None:
            return
        if not isinstance(value, list):
            self.refuse(where, "no list")
            return
        for number, one in enumerate(value):
            place = f"{where}[{number}]"
            if self.read >= MAX_OBJECTS:
                self.refuse(place, f"more than {MAX_OBJECTS:,} objects: the rest was not looked at")
                return
            self.read += 1
            if isinstance(one, dict):
                yield place, one
            else:
                self.refuse(place, "no object")

    def done(self, **more: Any) -> Collected:
        """Return what was gathered."""
        problems = list(self._problems)
        if self._more:
            problems.append(f"{self._more:,} more problems")
        nodes = tuple(Node(entity, known) for entity, known in self._nodes.items() if known)
        return Collected(
            self.method,
            self.scope,
            tuple(self._edges.values()),
            nodes,
            tuple(problems),
            self.read,
            partial=self._lost,
            notes=tuple(self.notes),
            **more,
        )


def texts(value: Any) -> list[str]:
    """Return the texts of a list; none of what is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def instant(value: Any) -> int | None:
    """Return a time (RFC 3339, or ms) as an instant; None for what is none, or is in no calendar."""
    try:
        found = from_iso(value) if isinstance(value, str) else value
    except (ValueError, OverflowError):
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return int(found) if _EARLIEST <= found <= _LATEST else None


def labelled(said: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the name of a data set and its labels of personal data, as labels or tags say them.

    ``lemnis.dev/data-set`` names it, ``lemnis.dev/data-labels`` lists what is in it. What many write beside
    these: ``data-classification`` and ``pii`` (true: ``personal``).
    """
    plain = {_plain(name): str(value).strip() for name, value in said.items() if value is not None}
    labels = {one.strip() for one in _several(plain.get("datalabels", "")) if one.strip()}
    if kind := plain.get("dataclassification", ""):
        labels.add(kind.casefold())
    if (personal := plain.get("pii", "").casefold()) and personal not in {"false", "no", "none", "0"}:
        labels.add("personal")
    return plain.get("dataset", ""), sorted(labels)


def tags(value: Any) -> dict[str, str]:
    """Return tags by name: of an object, or of a list of ``Key`` and ``Value`` in any case."""
    if isinstance(value, dict):
        return {str(name): str(one) for name, one in value.items() if one is not None}
    found: dict[str, str] = {}
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict):
            lower = {str(name).casefold(): item for name, item in one.items()}
            if isinstance(lower.get("key"), str) and lower.get("value") is not None:
                found[lower["key"]] = str(lower["value"])
    return found


def traced(
    said: Gatherer, source: Entity, by: Mapping[str, str], where: str, *, of: str = "", space: str = "",
    since: int | None = None,
) -> None:  # fmt: skip
    """Say what the tags of yor tell of a resource: the file that defines it, its commit and repository.

    Anybody who may tag the resource may write them: they are labels.
    """
    file, commit, repository = by.get("git_file", ""), by.get("git_commit", ""), by.get("git_repo", "")
    if repository and by.get("git_org"):
        repository = f"{by['git_org']}/{repository}"
    home = Entity(EntityKind.REPOSITORY, repository) if repository else None

    def say(one: Entity, relation: str, other: Entity) -> None:
        said.say(
            one, relation, other, where, strength=Strength.LABEL, of=of, since=since, space=space,
            tag=by.get("yor_trace", ""), repository=repository,
        )  # fmt: skip

    if file:
        written = Entity(EntityKind.FILE, file)
        say(source, "defined_by", written)
        if home is not None:
            say(written, "in_repository", home)
    if commit and not set(commit.casefold()) - set("0123456789abcdef"):
        made = Entity(EntityKind.COMMIT, commit.casefold())
        say(source, "introduced_by", made)
        if home is not None:
            say(made, "in_repository", home)


def data_set(
    said: Gatherer, holder: Entity, by: Mapping[str, Any], where: str, *, relation: str = "stored_in",
    name: str = "", of: str = "", space: str = "", since: int | None = None,
) -> None:  # fmt: skip
    """Say which data set labels or tags put into a holder, or (``processes``) let it work with."""
    told, labels = labelled(by)
    if not (told or labels):
        return
    one = Entity(EntityKind.DATA_SET, told or name or holder.value)
    ends = (holder, one) if relation == "processes" else (one, holder)
    said.say(ends[0], relation, ends[1], where, strength=Strength.LABEL, of=of, since=since, space=space)
    said.note(one, labels=list(labels))


def _plain(name: str) -> str:
    """Return a label's name as all spellings of it have it: without its prefix, ``-``, ``_`` and case."""
    return name.rpartition("/")[2].replace("-", "").replace("_", "").casefold()


def _several(text: str) -> Iterable[str]:
    """Split a list; a label of Kubernetes holds no comma, so a dot will do."""
    return text.replace(";", ",").replace(".", ",").replace(" ", ",").split(",")


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)

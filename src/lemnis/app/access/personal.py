"""Who sees personal data: whoever may, says what for, and is written down; everybody else sees pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

from lemnis.app.access import second
from lemnis.app.access.masking import KINDS, Labels, Masker
from lemnis.app.access.permissions import Person, demand
from lemnis.app.access.service import signatures
from lemnis.contracts.errors import AccessError, UsageError
from lemnis.store.searching import pipes
from lemnis.store.searching.tree import Aggregate, Eval, Join, Name, Term

if TYPE_CHECKING:
    from lemnis.app.access.service import Access
    from lemnis.app.noise_rule import Hides
    from lemnis.content.library import Library
    from lemnis.contracts.alerts import Entity
    from lemnis.detect.ruleset import Rule
    from lemnis.store.lakes import Readable

SHORTEST, LONGEST = 8, 300
"""How long a purpose is."""
_HEX = 10
_LOOK_MS = 10_000
_PEOPLE = frozenset({"user", "principal"})


class Personal:
    """What is personal in a workspace; read again within ten seconds of a change of its sources.

    What was personal once stays so while a mapping is being changed, or is taken away.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._masker: Masker | None = None
        self._looked = 0
        self._state: frozenset[tuple[str, int, int]] = frozenset()

    @property
    def masker(self) -> Masker:
        """What takes personal data out."""
        with self._lock:
            now = self._access.clock.now()
            if self._masker is None or not 0 <= now - self._looked < _LOOK_MS:
                self._looked = now
                self._masker = self._read(self._masker)
            return self._masker

    def _read(self, before: Masker | None) -> Masker:
        state = frozenset(signatures((self._access.workspace.content / "sources").glob("*/*.yaml")))
        if before is not None and state == self._state:
            return before
        from lemnis import app

        self._state = state
        known = before.labels if before is not None else {}
        key = hmac.digest(second.key_of(self._access), b"pseudonyms", "sha256")
        return Masker({**known, **labels(app.library(self._access.workspace))}, _pseudonym(key))

    def seen_by(self, person: Person, purpose: str, *, what: str, about: str = "") -> Masker | None:
        """Return what takes personal data out for this person; None where they see it, which is written down.

        ``purpose`` is what they say that they need it for; ``what`` and ``about`` say what they look at.
        Raises AccessError where they may not see it, UsageError for a purpose that says nothing.
        """
        if not purpose:
            return self.masker
        demand(person, "personal.read")
        said = " ".join(purpose.split())
        if not SHORTEST <= len(said) <= LONGEST:
            raise UsageError(
                f"a purpose has {SHORTEST} to {LONGEST} characters", fix="say what it is needed for"
            )
        self._access.tell(
            "personal_read", about or person.id, actor=person.name, reason=said,
            payload={"what": what, "how": person.how},
        )  # fmt: skip
        return None

    def demand_plain(self, query: str) -> None:
        """Raise AccessError for a query whose stages name personal data: their rows would tell it.

        Raises InputError for what is no query.
        """
        masker = self.masker
        asked = pipes.parse(query)
        if any(isinstance(one, Join) and one.entity in _PEOPLE for one in asked.stages):
            raise AccessError(
                "a join by people shows who they are", fix="say for what purpose you need it, or leave it out"
            )
        for name in _names(asked):
            if masker.names(name):
                raise AccessError(
                    f"{name} is or holds personal data",
                    fix="say for what purpose you need it, or leave it out",
                )

    def without(self, library: Library, lake: Readable, *texts: str) -> Readable:
        """Return what rules are tried on by who sees no people: words are not looked for in names.

        Raises AccessError for a rule that looks for a value where names stand: its hits would confirm it.
        What is no rule asks nothing.
        """
        from lemnis.app.access import asked_rules
        from lemnis.app.access.nameless import Nameless
        from lemnis.detect.rules import compile_files
        from lemnis.ingest.sources import Sources

        masker, words = self.masker, set[str]()
        for text in texts:
            rules = compile_files([("rule.yml", text.encode("utf-8", "surrogatepass"))])
            field = asked_rules.asked(rules, Sources.load(library).by_name.values(), masker)
            if field:
                raise AccessError(
                    f"the rule looks for a value in {field}, which is or holds personal data",
                    fix="say for what purpose you need it, or leave it out",
                )
            words |= asked_rules.words(rules)
        return cast("Readable", Nameless(lake, masker, words)) if words else lake

    def hides(self, library: Library) -> Hides:
        """Return what says of an entity of a rule's alerts that it is, or stands in, personal data."""
        from lemnis.app.access import asked_rules
        from lemnis.ingest.sources import Sources

        masker, sources = self.masker, tuple(Sources.load(library).by_name.values())

        def hides(rule: Rule, entity: Entity, names: Iterable[str]) -> bool:
            mine = asked_rules.seen_by(rule, sources)
            return entity.kind in KINDS or any(asked_rules.holds(masker, mine, one, rule) for one in names)

        return hides


def labels(library: Library) -> dict[str, Labels]:
    """Return what the mapping of each source labels as personal; of sources that cannot be read, nothing."""
    from lemnis.ingest.sources import Sources

    found: dict[str, Labels] = {}
    for name, source in Sources.load(library).by_name.items():
        if source.mapping.passthrough:
            continue  # by the paths that are personal of any event
        paths: set[str] = set()
        raw: set[str] = set()
        for entry in (source.mapping.common, *source.mapping.events):
            for path, lines in entry.set.items():
                for line in lines:
                    if line.personal:
                        paths.add("".join(part.partition("]")[2] if "]" in part else part
                                          for part in path.split("[")))  # fmt: skip
                        raw.update(line.source)
        found[name] = Labels(frozenset(paths), frozenset(raw))
    return found


def _pseudonym(key: bytes) -> Any:
    def of(value: str) -> str:
        text = value.casefold().encode("utf-8", "surrogatepass")
        return f"person~{hmac.new(key, text, hashlib.sha256).hexdigest()[:_HEX]}"

    return of


def _names(node: Any) -> Iterator[str]:
    """Yield every field that a query names, in its stages and its filter; words have none."""
    if isinstance(node, Name):
        yield node.text
    elif isinstance(node, Term):
        if node.field:
            yield node.field
    elif isinstance(node, tuple):
        for one in node:
            yield from _names(one)
    elif is_dataclass(node):
        for part in fields(node):
            if not (isinstance(node, Aggregate | Eval) and part.name == "name"):
                yield from _names(getattr(node, part.name))

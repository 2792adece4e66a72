"""What may come next in a rule that is being written: keys, values, fields of its log source. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lemnis.app.rules_fields import Vocabulary

MOST = 12
KEYS = (
    "title", "id", "name", "status", "description", "references", "author", "date", "modified", "tags",
    "logsource", "detection", "correlation", "fields", "falsepositives", "level",
)  # fmt: skip
VALUES = {
    "status": ("stable", "test", "experimental", "deprecated", "unsupported"),
    "level": ("informational", "low", "medium", "high", "critical"),
}
MODIFIERS = (
    "contains", "startswith", "endswith", "all", "re", "cidr", "exists", "gt", "gte", "lt", "lte", "cased",
    "windash", "base64", "base64offset", "fieldref",
)  # fmt: skip
SOURCE = ("product", "category", "service")
_WORDS = ("and", "or", "not", "1 of ", "all of ", "1 of them", "all of them")
_TACTICS = (
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence",
    "privilege-escalation", "defense-evasion", "credential-access", "discovery", "lateral-movement",
    "collection", "command-and-control", "exfiltration", "impact",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offers:
    """What may stand in the place of the last ``back`` characters before the cursor."""

    back: int
    texts: tuple[tuple[str, str], ...]
    """Each text with what it is."""


def offers(text: str, at: int, known: Vocabulary) -> Offers:
    """Return what may be written at a place of a rule's text (characters before it)."""
    before = text[: max(0, at)]
    lines = before.split("\n")
    line = lines[-1]
    indent = len(line) - len(line.lstrip(" "))
    way = _way(lines[:-1], indent, listed=line.lstrip().startswith("-"))
    key, colon, value = line.strip().removeprefix("- ").partition(":")
    if colon:
        return _values(way, key.strip(), value.lstrip(), text, known)
    word = line.strip()
    if word.startswith("- "):
        word = word[2:].lstrip()
    if way and way[0] == "tags":
        return _begun(word, (("attack." + one, "tactic") for one in _TACTICS))
    if way and way[0] == "logsource":
        return _begun(word, ((f"{one}: ", "part") for one in SOURCE))
    if way and way[0] == "detection":
        return (
            _fields(word, text, known)
            if len(way) > 1
            else _begun(word, [("condition: ", "key"), ("selection:", "search")])
        )
    if way:
        return Offers(0, ())
    return _begun(word, ((f"{one}: ", "key") for one in KEYS if not re.search(rf"(?m)^{one}:", text)))


def log_source(text: str) -> tuple[str | None, str | None, str | None]:
    """Return the log source that a text names, as far as it is written."""
    found: dict[str, str] = {}
    inside = False
    for line in text.split("\n"):
        if line.startswith("logsource:"):
            inside = True
            flow = re.findall(r"(product|category|service):\s*([^\s,}]+)", line)
            found.update({key: value.strip("'\"") for key, value in flow})
        elif line[:1] not in {" ", "\t", "", "#"}:
            inside = False
        elif inside and (told := re.match(r"\s+(product|category|service):\s*['\"]?([^\s'\"#]+)", line)):
            found.setdefault(told[1], told[2])
    return found.get("product"), found.get("category"), found.get("service")


def _way(lines: Sequence[str], indent: int, *, listed: bool) -> list[str]:
    """Return the keys beneath which a line of this indent is, the outermost first. Pure."""
    found: list[str] = []
    wanted = indent
    for line in reversed(lines):
        bare = line.strip()
        if not bare or bare.startswith(("#", "- ")):
            continue
        own = len(line) - len(line.lstrip(" "))
        if bare.endswith(":") and (own < wanted or (listed and own == wanted)):
            found.append(bare[:-1])
            wanted, listed = own, False
        elif own < wanted:
            wanted = own
        if own == 0:
            break
    return found[::-1]


def _values(way: Sequence[str], key: str, value: str, text: str, known: Vocabulary) -> Offers:
    if not way and key in VALUES:
        return _begun(value, ((one, key) for one in VALUES[key]))
    if way[:1] == ["logsource"] and key in SOURCE:
        return _begun(value, ((one, key) for one in _served(key, text, known)))
    if way == ["detection"] and key == "condition":
        word = re.split(r"[\s()]", value)[-1]
        names = [name for name in _searches(text) if name != "condition"]
        return _begun(word, [*((one, "search") for one in names), *((one, "word") for one in _WORDS)])
    return Offers(0, ())


def _fields(word: str, text: str, known: Vocabulary) -> Offers:
    """Return fields of the log source, or the modifiers of one."""
    name, bar, modifier = word.rpartition("|")
    if bar:
        return _begun(modifier, ((one, "modifier") for one in MODIFIERS if one not in name.split("|")))
    served = known.of(*log_source(text))
    names = {one for source in served for one in source.names} if served else set(known.everything)
    return _begun(
        word, ((one, "field") for one in sorted(names, key=lambda one: (len(one), one))), inside=True
    )


def _served(key: str, text: str, known: Vocabulary) -> Iterator[str]:
    """Yield the values of a part of log sources, of those that go with what is written already."""
    product, category, service = log_source(text)
    others = {"product": (None, category, service), "category": (product, None, service),
              "service": (product, category, None)}[key]  # fmt: skip
    plural = {"product": "products", "category": "categories", "service": "services"}[key]
    for whole in (known.of(*others), known.served):
        found = sorted({one for source in whole for one in getattr(source.offers, plural)})
        if found:
            yield from found
            return


def _searches(text: str) -> list[str]:
    inside, found = False, []
    for line in text.split("\n"):
        if line.startswith("detection:"):
            inside = True
        elif inside and line[:1] not in {" ", "", "#"}:
            break
        elif inside and (told := re.match(r"(?: {2}| {4}|\t)([^\s:#-][^:]*):", line)):
            found.append(told[1])
    return found


def _begun(word: str, every: Iterable[tuple[str, str]], *, inside: bool = False) -> Offers:
    """Return what begins with a word, then (``inside``) what has it."""
    wanted = word.lower()
    some = list(every)
    first = [one for one in some if one[0].lower().startswith(wanted)]
    rest = [
        one for one in some if inside and len(wanted) > 1 and one not in first and wanted in one[0].lower()
    ]
    return Offers(len(word), tuple((first + rest)[:MOST]))

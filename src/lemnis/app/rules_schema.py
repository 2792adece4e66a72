"""What a rule file has to say beside its logic: id, status, level, tags, dates, selections used. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lemnis.app.rules_conditions import Both, Is, Node, Not, read
from lemnis.app.rules_fields import alike
from lemnis.contracts.errors import ContentError, Location
from lemnis.detect.reading import Document

_KEYS = frozenset(
    {
        "title", "id", "name", "related", "taxonomy", "status", "description", "license", "references",
        "author", "date", "modified", "logsource", "detection", "correlation", "filter", "fields",
        "falsepositives", "level", "tags", "scope", "action", "generate",
    }
)  # fmt: skip
_TAG = re.compile(r"[a-z0-9_-]+\.[a-z0-9._-]+")
_TACTICS = frozenset(
    {
        "reconnaissance", "resource-development", "initial-access", "execution", "persistence",
        "privilege-escalation", "defense-evasion", "stealth", "defense-impairment", "credential-access",
        "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
        # of the matrices for mobile devices and industrial control systems
        "network-effects", "remote-service-effects", "evasion", "inhibit-response-function",
        "impair-process-control",
    }
)  # fmt: skip
_ATTACK = re.compile(r"t\d{4}(\.\d{3})?|[gs]\d{4}|ds\d{4}|c\d{4}|ta\d{4}|m\d{4}|det\d{4}|an\d{4}")
_CVE = re.compile(r"\d{4}[-.]\d{4,}")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a rule: by which check, what, where, what to do; a warning may be left."""

    check: str
    what: str
    at: Location
    fix: str = ""
    warning: bool = False

    @property
    def level(self) -> str:
        """Say how bad it is."""
        return "warning" if self.warning else "error"


def document_findings(document: Document, *, templated: bool = False) -> Iterator[Finding]:
    """Yield what is wrong with one document, beside what keeps it from being compiled.

    ``templated`` says that it is a part of rules (``action``): others may say what it does not.
    """
    value = document.value
    if not value.get("id") and not templated and "filter" not in value:
        yield Finding("id", "the rule has no id", document.at(), "give it a UUID")
    for name in ("status", "level"):
        if not value.get(name) and not templated and not {"filter", "correlation"} & value.keys():
            yield Finding("schema", f"the rule has no {name}", document.at(), "say it", warning=True)
    for key in value:
        meant = "" if str(key) in _KEYS else alike(str(key), _KEYS)
        if meant and meant not in value:
            what = f"{str(key)!r} is no key of a rule"
            yield Finding("schema", what, document.at(str(key)), f"did you mean {meant!r}?", warning=True)
    date, modified = (str(value.get(name) or "").replace("/", "-") for name in ("date", "modified"))
    if date and modified and modified < date:
        yield Finding(
            "schema", "it was modified before it was written", document.at("modified"), warning=True
        )
    yield from _tags(document, value.get("tags"))
    yield from _unused(document, value.get("detection"))


def _tags(document: Document, tags: Any) -> Iterator[Finding]:
    seen: set[str] = set()
    for tag in map(str, tags if isinstance(tags, list) else []):
        what, fix = _tag(tag)
        if tag in seen:
            what, fix = "it stands here twice", "take one out"
        seen.add(tag)
        if what:
            at = document.about(f"'{tag}'")
            yield Finding("tags", f"tag {tag!r}: {what}", at, fix, warning=True)


def _tag(tag: str) -> tuple[str, str]:
    """Say what is wrong with a tag, and what to do; both "" if nothing is."""
    namespace, _, name = tag.partition(".")
    if not _TAG.fullmatch(tag):
        return "not NAMESPACE.NAME in small letters", f"such as {tag.lower().replace(' ', '-')!r}"
    if namespace == "attack" and name not in _TACTICS and not _ATTACK.fullmatch(name):
        hyphened = name.replace("_", "-")
        meant = hyphened if hyphened in _TACTICS else alike(hyphened, _TACTICS)
        fix = f"attack.{meant}" if meant else "such as attack.t1059.001 or attack.credential-access"
        return "neither a tactic nor the number of a technique, group or tool", fix
    if namespace == "cve" and not _CVE.fullmatch(name):
        return "no number of a CVE", "such as cve.2021-44228"
    return "", ""


def _unused(document: Document, detection: Any) -> Iterator[Finding]:
    """Yield selections that the condition does not use."""
    if not isinstance(detection, Mapping):
        return
    try:
        logic = read(detection)
    except ContentError:  # the compiler says what is wrong with it
        return
    used = set(_names(logic.condition))
    for name in logic.selections:
        if name not in used:
            at = document.at("detection", name)
            yield Finding("unused", f"the condition does not use {name!r}", at, "take it out", warning=True)


def _names(node: Node) -> Iterator[str]:
    if isinstance(node, Is):
        yield node.name
    elif isinstance(node, Not):
        yield from _names(node.part)
    elif isinstance(node, Both):
        for part in node.parts:
            yield from _names(part)

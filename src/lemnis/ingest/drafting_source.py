"""A whole source drafted: the facts of a sample in, the texts of ``source.yaml`` and ``mapping.yaml`` out.

Everything guessed says so in a comment, and what only a person can decide is marked CHECK. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lemnis.ingest import drafting_names as known
from lemnis.ingest.drafting import Suggestion, decided, suggest, written
from lemnis.ingest.drafting_text import flow, quoted
from lemnis.ingest.drafting_values import kind, said, time_formats
from lemnis.ocsf.schema import event_class

BASE = "base_event"
_SEVERITIES: Mapping[str, str] = {
    word: level
    for level, words in {
        "informational": "trace verbose debug info information informational notice normal none ok",
        "low": "low minor",
        "medium": "medium moderate warn warning",
        "high": "high major error err severe",
        "critical": "critical crit alert",
        "fatal": "fatal emerg emergency panic",
    }.items()
    for word in words.split()
}
_VERBS: Mapping[str, tuple[str, ...]] = {
    "Create": ("create", "created", "add", "added", "new", "insert", "register", "put"),
    "Read": ("read", "get", "list", "view", "viewed", "describe", "download", "access", "query"),
    "Update": ("update", "updated", "modify", "modified", "change", "changed", "set", "edit", "patch"),
    "Delete": ("delete", "deleted", "remove", "removed", "destroy", "drop", "unlink"),
    "Rename": ("rename", "renamed", "move", "moved"),
    "Open": ("open", "opened", "connect", "accept"),
    "Close": ("close", "closed", "disconnect"),
    "Logon": ("login", "logon", "signin", "logged", "authenticate", "authentication"),
    "Logoff": ("logout", "logoff", "signout"),
    "Launch": ("launch", "start", "started", "exec", "execute", "spawn", "fork"),
    "Terminate": ("terminate", "exit", "exited", "stop", "stopped", "kill"),
    "Query": ("query", "question", "request"),
    "Response": ("response", "answer", "reply"),
}
_LOGON = re.compile(r"log_?[io]n|sign_?in|log_?out|authent|(?:^|_)auth(?:_|$)|mfa|session")
_NAMES_VENDOR = re.compile(
    r"(?:^|.*_)(?:vendor|product|source|log_?(?:type|name)|schema|provider|app(?:lication)?|service|program|type)$"
)
_LONG = 60
_UID = "metadata.original_event_uid"
_SHOWN = 12
_TELLING = 4
_PERSONAL = re.compile(
    r"(?:^|_)(?:e_?mail|phone|mobile|birth|first_?name|last_?name|surname|address|ssn|iban)(?:_|$)"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sample holds: its records' number, and by raw field its distinct values and how many have it."""

    records: int
    values: Mapping[str, Sequence[str]]
    counts: Mapping[str, int]

    def everywhere(self, name: str) -> bool:
        """Say whether every record has the field."""
        return self.counts.get(name, 0) == self.records


@dataclass(frozen=True, slots=True)
class About:
    """What the drafter is told: the source's name and the like, how it is read, and where its time is."""

    name: str
    parser: str
    options: Mapping[str, Any]
    sample: str
    vendor: str
    product: str
    times: Sequence[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Draft:
    """The two files, the class, the lines suggested, and what a person must check."""

    source: str
    mapping: str
    class_name: str
    suggestions: tuple[Suggestion, ...]
    checks: tuple[str, ...]
    identity: str = ""
    rest: tuple[str, ...] = field(default=())


def times(facts: Facts) -> list[tuple[str, tuple[str, ...]]]:
    """Return the fields that hold times and their formats, the likeliest to be the event's own first.

    A number is a time only where its name says so.
    """
    found = []
    for place, (name, values) in enumerate(facts.values.items()):
        words = known.plain(name)
        rank = next((n for n, one in enumerate(known.TIMES) if words == one), None)
        if rank is None:
            ends = (n for n, one in enumerate(known.TIMES) if words.endswith(f"_{one}"))
            rank = next(ends, 2 * len(known.TIMES)) + len(known.TIMES) // 2
        if rank >= 2 * len(known.TIMES) and kind(values) in {"integer", "number"}:
            continue
        if formats := time_formats(values):
            found.append((not facts.everywhere(name), rank, place, name, formats))
    return [(name, formats) for _, _, _, name, formats in sorted(found)]


def classes(facts: Facts) -> list[str]:
    """Return the OCSF classes that the records may be of, the likeliest first; ``base_event`` always last."""
    return [*(name for name, fits in _signs(facts) if fits), BASE]


def _signs(facts: Facts) -> Iterator[tuple[str, bool]]:
    common = {
        name: values for name, values in facts.values.items() if 2 * facts.counts[name] >= facts.records
    }
    looks = {name: kind(values) for name, values in common.items()}
    paths = {path for name in common for one in known.meanings(name, looks[name])[:2] for path in one.paths}
    words = [known.plain(value) for name in common if known.ends(known.plain(name), known.RECORD_TYPE)
             for value in said(common[name])]  # fmt: skip
    logon = bool(words) and 2 * sum(bool(_LOGON.search(word)) for word in words) > len(words)
    web = {"http_request.url.path", "http_request.url.url_string", "http_response.code"}
    yield "http_activity", "http_request.http_method" in paths and bool(paths & web)
    yield "dns_activity", "query.hostname" in paths and bool(paths & {"query.type", "rcode"})
    yield "authentication", logon and bool(paths & {"user.name", "user.email_addr"})
    yield "process_activity", "process.cmd_line" in paths and "process.pid" in paths
    yield (
        "detection_finding",
        "finding_info.title" in paths
        and any(
            re.search(r"(?:^|_)(?:alert|finding|detection|signature|threat)(?:_|$)", known.plain(name))
            for name in common
        ),
    )
    yield "network_activity", {"src_endpoint.ip", "dst_endpoint.ip"} <= paths
    yield "api_activity", {"api.operation", "actor.user.name", "src_endpoint.ip"} <= paths


@dataclass(frozen=True, slots=True)
class _Guessed:
    severity: str
    activity: str
    suggestions: tuple[Suggestion, ...]
    rest: tuple[str, ...]
    checks: tuple[str, ...]


def draft(facts: Facts, about: About, class_name: str) -> Draft:
    """Draft the source as one entry of a class; raises NotFoundError for a class that there is not."""
    checks: list[str] = []
    severity, severity_field = _severity(facts, checks)
    activity, activity_field = _activity(facts, class_name, checks)
    identity = _identity(facts)
    used = {severity_field, activity_field, *(name for name, _ in about.times)}
    apart = (used - {activity_field}) | {identity}
    left = {name: values for name, values in facts.values.items() if name not in apart}
    suggestions = suggest(left, class_name, {_UID})
    if identity:
        why = f"its name, and no two of {facts.records} records have the same"
        suggestions = (Suggestion(identity, _UID, {"from": identity}, why), *suggestions)
    rest = tuple(one.name for one in suggestions if not one.path and one.name not in used)
    checks += [f"{one.path}: {one.check}" for one in suggestions if one.check]
    if private := [name for name in rest if _PERSONAL.search(known.plain(name))]:
        checks.append(f"personal data may stay in `unmapped`: {_listed(private)}")
    guessed = _Guessed(severity, activity, suggestions, rest, tuple(checks))
    mapping = _mapping(facts, about, class_name, guessed)
    return Draft(
        _source(facts, about, identity), mapping, class_name, suggestions, tuple(checks), identity, rest
    )


def _severity(facts: Facts, checks: list[str]) -> tuple[str, str]:
    for name, values in facts.values.items():
        texts = said(values)
        if not known.ends(known.plain(name), known.SEVERITY) or not texts:
            continue
        table = {text: _SEVERITIES[text.lower()] for text in texts if text.lower() in _SEVERITIES}
        if 2 * len(table) < len(texts):
            continue
        others = [text for text in texts if text not in table]
        if others:
            checks.append(f"severity: {_listed(others)} of {name} become unknown")
        line = flow({"from": name, "map": table, "default": "unknown"})
        return line, name
    return "informational", ""


def _activity(facts: Facts, class_name: str, checks: list[str]) -> tuple[str, str]:
    names = {
        caption: number
        for number, caption in event_class(class_name).shape.attributes["activity_id"].enum.items()
    }
    best: tuple[int, str, dict[str, int]] = (0, "", {})
    for name, values in facts.values.items():
        words = known.plain(name)
        if not (known.ends(words, known.RECORD_TYPE) or kind(values) == "method" or "direction" in words):
            continue
        table = {text: number for text in said(values)[:_LONG] if (number := _verb(text, names))}
        if len(table) > best[0]:
            best = (len(table), name, table)
    _, name, table = best
    if not table:
        checks.append(
            f"activity: nothing says what happened; 0 is unknown, {class_name} knows {_listed(list(names))}"
        )
        return "0", ""
    if left := [text for text in said(facts.values[name]) if text not in table]:
        checks.append(f"activity: {_listed(left)} of {name} become 99, other")
    return flow({"from": name, "map": table, "default": 99}), name


def _verb(text: str, names: Mapping[str, int]) -> int | None:
    words = known.plain(text).split("_")
    for caption, number in names.items():
        if number in {0, 99}:
            continue
        if known.plain(caption) == "_".join(words) or any(
            word in _VERBS.get(caption, (caption.lower(),)) for word in words
        ):
            return number
    return None


def _identity(facts: Facts) -> str:
    """Return the field that names a record for good: an id that every record has and no two share."""
    if facts.records < 2:  # noqa: PLR2004 - of one record nothing is known
        return ""
    for name, values in facts.values.items():
        words = known.plain(name)
        named = known.OWN_ID.fullmatch(words) or known.ends(words, known.IDENTITY)
        if (
            named
            and len(values) == facts.counts[name] == facts.records
            and kind(values) in {"uuid", "hash", "word"}
        ):
            return name
    return ""


def _source(facts: Facts, about: About, identity: str) -> str:
    rows = [
        f"# Drafted by `lemnis sources new` from {about.sample}; CHECK marks what only a person can decide.",
        f"name: {about.name}",
        f"title: {quoted(about.name.replace('_', ' ').capitalize())}  # CHECK: as people call it",
        f"vendor: {quoted(about.vendor)}  # CHECK: who makes it",
        f"product: {quoted(about.product)}  # CHECK: what it is",
        f"parser: {about.parser}",
    ]
    if about.options:
        rows += _options(about)
    if identity:
        rows.append(f"identity: [{quoted(identity)}]  # CHECK: no two records ever have the same")
    rows += ["recognise:", *_recognise(facts, about)]
    rows += [
        "sigma:",
        "  routes:",
        f"    - {{product: {about.name}}}  # CHECK: the logsource of its Sigma rules",
    ]
    return "\n".join(rows) + "\n"


def _options(about: About) -> list[str]:
    if about.parser not in {"pattern", "keyvalue"}:
        return [f"options: {flow(about.options)}"]
    rows = [f"  {key}: {quoted(value)}" for key, value in about.options.items()]
    return ["options:  # CHECK: give the groups names that say what they hold", *rows]


def _recognise(facts: Facts, about: About) -> list[str]:
    rows = ["  # CHECK: records of other products must not have all of this"]
    if about.parser == "pattern":
        rows.append(f"  line: {quoted(about.options['line'])}")
    always = [name for name in facts.values if facts.everywhere(name)]
    fixed = {name: facts.values[name][0] for name in always if _says_whose(name, facts)}
    telling = sorted((name for name in always if name not in fixed), key=len, reverse=True)[:_TELLING]
    tests = [f"    {quoted(name)}: {quoted(text)}" for name, text in fixed.items()]
    if about.parser != "pattern":
        tests += [f"    {quoted(name)}: {{exists: true}}" for name in telling]
        if not tests:  # no field is in every record
            often = sorted(facts.counts, key=lambda name: -facts.counts[name])[: 2 * _TELLING]
            tests = ["    any:", *(f"      - {{{quoted(name)}: {{exists: true}}}}" for name in often)]
    return [*rows, "  fields:", *tests] if tests else rows


def _says_whose(name: str, facts: Facts) -> bool:
    """Say whether a field names the product: it has one value only, and is called so."""
    values = facts.values[name]
    return (
        facts.records > 1
        and len(values) == 1
        and len(values[0]) <= _LONG
        and bool(_NAMES_VENDOR.match(known.plain(name)))
        and kind(values) in {"word", "text"}
    )


def _mapping(facts: Facts, about: About, class_name: str, guessed: _Guessed) -> str:
    lines = [flow({"from": name, "format": one}) for name, formats in about.times for one in formats]
    rows = [f"# Drafted from {facts.records} records of {about.sample}."]
    rows += [f"# CHECK {one}" for one in guessed.checks]
    rows.append("common:")
    rows += [f"  time: {lines[0]}"] if len(lines) == 1 else ["  time:", *(f"    - {line}" for line in lines)]
    rows += [f"  severity: {guessed.severity}", "events:"]
    rows += _kinds(facts)
    note = "nothing says more of what they are" if class_name == BASE else "by the fields that they have"
    rows += ["  - name: record", f"    class: {class_name}  # CHECK: guessed, {note}"]
    rows.append(f"    activity: {guessed.activity}")
    sets = [*_required(class_name, guessed.suggestions, about), *written(guessed.suggestions).splitlines()]
    rows += ["    set:", *sets] if sets else []
    if guessed.rest:
        rows.append(f"    # in `unmapped` for want of a path: {_listed(guessed.rest, 40)}")
    return "\n".join(rows) + "\n"


def _kinds(facts: Facts) -> list[str]:
    """Say which field tells kinds of records apart, as the beginning of entries of their own."""
    for name, values in facts.values.items():
        texts = said(values)
        several = 1 < len(texts) <= _SHOWN and not decided(texts)
        if known.ends(known.plain(name), known.RECORD_TYPE) and several and facts.everywhere(name):
            shown = ", ".join(quoted(one) for one in texts if one.isprintable() and len(one) <= _LONG)
            return [
                f"  # CHECK: {quoted(name)} tells records apart ({shown}); entries with a `when` before",
                "  # this one give each kind its class, such as",
                f"  #   when: {{{quoted(name)}: {quoted(texts[0])}}}",
            ]
    return []


def _required(class_name: str, suggestions: Sequence[Suggestion], about: About) -> list[str]:
    """Return lines for what the class demands and the product itself is."""
    paths = {one.path for one in suggestions}
    if class_name == "authentication" and not any(p.startswith(("service.", "dst_endpoint.")) for p in paths):
        return [f"      service.name: {{value: {quoted(about.product)}}}"]
    return []


def _listed(names: Sequence[str], most: int = _SHOWN) -> str:
    shown = ", ".join(quoted(name if len(name) <= _LONG else f"{name[:_LONG]}…") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")

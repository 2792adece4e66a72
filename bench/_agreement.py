"""Write docs/agreement.md: the alerts of ``lemnis hunt`` against pySigma's SQLite backend, record by record.

Run it in a checkout: ``python -m bench._agreement``. Both sides read the same EVTX files, each with a reader
of its own, and the same rules. Each alert that only one side gives is explained by a trial: the peer is asked
again with one thing about it mended, and what makes the two agree is the cause. What nothing explains is
listed as unexplained, and the exit code is 1.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from bench import _data, _evtx, _sqlway, _windows
from bench._measure import ROOT
from lemnis.app import hunt
from lemnis.contracts.events import Reject
from lemnis.detect import Rule

REPORT = ROOT / "docs" / "agreement.md"
COLLECTIONS = ("windows/evtx-attack-samples", "windows/evtx-to-mitre-attack", "windows/sigma-regression")
REGRESSION = COLLECTIONS[-1]
_SYSMON = "Microsoft-Windows-Sysmon/Operational"
_LONGEST = 110
_TELLING = ("Channel", "EventID", "EventType", "NewProcessName", "CommandLine", "TargetObject", "New Value")
Key = tuple[str, str, int]
Row = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Mend:
    """One thing that the peer sees otherwise: its name, why, and a record as it would be if it did not."""

    name: str
    why: str
    apply: Callable[[Rule, Row], Row]


def _system(_: Rule, row: Row) -> Row:
    text, fields = row
    system = _evtx.flat({"Event": {"System": orjson.loads(text)["Event"].get("System")}})
    return text, {**fields, **system}


def _audit(rule: Rule, row: Row) -> Row:
    text, fields = row
    fields = dict(_system(rule, row)[1])
    names = _AUDIT.get(str(fields.get("EventID")))
    log = _windows.logged(rule.logsource[1])
    if fields.get("Channel") != "Security" or names is None or log is None:
        return row
    renamed = {sysmon: fields[own] for sysmon, own in names.items() if own in fields}
    level = _LABELS.get(str(fields.get("MandatoryLabel")))
    if level is not None:
        renamed["IntegrityLevel"] = level
    return text, {**fields, **renamed, "Channel": _SYSMON, "EventID": log[1][0]}


def _registry(rule: Rule, row: Row) -> Row:
    text, fields = row
    others = {"registry_delete": ("CreateKey",), "registry_add": ("DeleteKey", "DeleteValue")}
    if str(fields.get("EventID")) == "12" and fields.get("EventType") in others.get(
        rule.logsource[1] or "", ()
    ):
        return text, {**fields, "EventID": 0}
    return row


def _spaces(_: Rule, row: Row) -> Row:
    text, fields = row
    return text, {**{name.replace(" ", ""): value for name, value in fields.items()}, **fields}


_OTHERS: Mapping[str, Sequence[str]] = {
    "registry_delete": ("CreateKey",),
    "registry_add": ("DeleteKey", "DeleteValue"),
}
_AUDIT: Mapping[str, Mapping[str, str]] = {
    "4688": {
        "Image": "NewProcessName",
        "ParentImage": "ParentProcessName",
        "User": "SubjectUserName",
        "LogonId": "SubjectLogonId",
    },
    "4657": {"Image": "ProcessName", "TargetObject": "ObjectName", "Details": "NewValue"},
}
_LABELS: Mapping[str, str] = {
    "S-1-16-4096": "Low",
    "S-1-16-8192": "Medium",
    "S-1-16-8448": "Medium",
    "S-1-16-12288": "High",
    "S-1-16-16384": "System",
}
MENDS = (
    Mend(
        "log source: the Security log's own account",
        "Sigma's category names what happened, and the Security log (4688, 4657) tells of it as Sysmon does, "
        "under other names. Lemnis serves the rule from both; the peer's conditions name Sysmon's channel.",
        _audit,
    ),
    Mend(
        "flattening: a field of the event's data named as one of System",
        "The record's data has a field that System has, too (`Channel` in event 104: the cleared log). "
        "In the peer's flat table the data's value hides System's; Lemnis keeps System's.",
        _system,
    ),
    Mend(
        "log source: registry keys made or deleted",
        "Sysmon's event 12 tells of keys that are made and keys that are deleted. A `registry_delete` rule "
        "is about deletions; Lemnis looks at EventType, the peer's condition is the event number alone.",
        _registry,
    ),
    Mend(
        "field names with spaces",
        "Defender's log writes `New Value`, Sigma's rules write `NewValue`. Lemnis knows both.",
        _spaces,
    ),
)
UNREAD = "unexplained: a record that only Lemnis reads"


@dataclass(slots=True)
class Collection:
    """What both sides found in a collection, and why they differ."""

    name: str
    records: int
    ours: set[Key]
    theirs: set[Key]
    failed: dict[str, str]
    unreadable: list[str]
    causes: dict[str, list[tuple[Key, Row]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def differing(self) -> int:
        """How many alerts only one side gives."""
        return len(self.ours ^ self.theirs)


def compare(name: str, folder: Path, rules: Sequence[Path], made: _sqlway.Queries) -> Collection:
    """Run both sides over a folder of EVTX files, and find a cause of each difference."""
    loaded = hunt.rules(rules)
    by_id = {rule.id: rule for rule in loaded.rules if rule.logsource[0] == "windows"}
    asked = _sqlway.Queries([one for one in made.sql if one[0] in by_id], made.fields, {})
    rows: list[Row] = []
    places: list[tuple[str, int]] = []
    for file, number, text, fields in _evtx.records(folder):
        rows.append((text, fields))
        places.append((str(file.relative_to(folder)), number))
    found, failed = _sqlway.run(rows, asked, arranged=True)
    theirs = {(rule, *places[row]) for rule, at in found.items() for row in at}
    ours: set[Key] = set()
    unreadable = []
    for item in hunt.hunt([folder], loaded):
        if isinstance(item, hunt.Hit) and item.rule.id in by_id and item.file.endswith(".evtx"):
            ours.add((item.rule.id, str(Path(item.file).relative_to(folder)), item.record))
        elif isinstance(item, Reject):
            unreadable.append(f"{item.at}: {item.reason}".replace(f"{folder}/", ""))
    result = Collection(name, len(rows), ours, theirs, failed, unreadable)
    at = dict(zip(places, rows, strict=True))
    queries = defaultdict(list)
    for rule, query in asked.sql:
        queries[rule].append(query)
    for key in sorted(ours ^ theirs):
        row = at.get(key[1:])
        cause = UNREAD if row is None else _cause(by_id[key[0]], queries[key[0]], row, wanted=key in ours)
        result.causes[cause].append((key, row or ("", {})))
    return result


def _cause(rule: Rule, queries: Sequence[str], row: Row, *, wanted: bool) -> str:
    """Return the mend that makes the peer say what Lemnis says; else both sides' answer as it is."""
    for mend in MENDS:
        mended = mend.apply(rule, row)
        if mended != row and _fires(queries, mended) == wanted:
            return mend.name
    return "unexplained: only Lemnis" if wanted else "unexplained: only the peer"


def _fires(queries: Sequence[str], row: Row) -> bool:
    made = _sqlway.Queries([("", query) for query in queries], _named(queries, row), {})
    return bool(_sqlway.run([row], made, arranged=False)[0])


def _named(queries: Sequence[str], row: Row) -> list[str]:
    """Return the columns that queries fail for want of, asked of SQLite until it wants no more."""
    wanted: list[str] = []
    while True:
        made = _sqlway.Queries([("", query) for query in queries], wanted, {})
        failed = _sqlway.run([row], made, arranged=False)[1].get("", "")
        if not failed.startswith("no such column: "):
            return wanted
        wanted.append(failed.removeprefix("no such column: ").strip('"'))


@dataclass(frozen=True, slots=True)
class Recall:
    """Of the rules' own samples, which fire their rule, and which do not."""

    wanted: int
    missed: list[tuple[str, str]]


def recall(folder: Path, ours: set[Key]) -> Recall:
    """Compare what fired with what each sample says that must."""
    wanted = set()
    for info in sorted(folder.rglob("info.yml")):
        document = yaml.safe_load(info.read_text(encoding="utf-8"))
        for sample in sorted(info.parent.glob("*.evtx")):
            for rule in document.get("rule_metadata") or ():
                wanted.add((str(sample.relative_to(folder)), str(rule["id"])))
    fired = {(file, rule) for rule, file, _ in ours}
    return Recall(len(wanted), sorted(wanted - fired))


def report(collections: Sequence[Collection], recalled: Recall, titles: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield "# Agreement with a peer"
    yield ""
    yield "Written by `python -m bench._agreement`; do not edit. The rules are SigmaHQ's for Windows."
    yield "The peer is pySigma's SQLite backend: one SELECT a rule over flattened records, as Zircolite asks;"
    yield "it has nothing that would keep rules for other products from these records. An alert is a rule,"
    yield "a file and a record. Each difference is explained by a trial: the peer is asked again about that"
    yield "record with one thing mended, and the mend that makes it say what Lemnis says is the cause."
    yield ""
    yield "| collection | records | Lemnis | peer | both | only Lemnis | only peer | unexplained |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in collections:
        unexplained = sum(len(keys) for cause, keys in one.causes.items() if cause.startswith("unexplained"))
        told = (
            *(one.records, len(one.ours), len(one.theirs), len(one.ours & one.theirs)),
            *(len(one.ours - one.theirs), len(one.theirs - one.ours), unexplained),
        )
        yield f"| {one.name} | {' | '.join(f'{number:,}' for number in told)} |"
    yield ""
    yield "## SigmaHQ's own samples"
    yield ""
    yield f"{recalled.wanted - len(recalled.missed)} of {recalled.wanted} samples fire their rule."
    yield from (f"- missed: {file}, rule {rule}" for file, rule in recalled.missed)
    for one in collections:
        yield ""
        yield f"## {one.name}"
        if one.failed:
            yield ""
            yield from (f"- the peer could not ask {rule}: {why}" for rule, why in sorted(one.failed.items()))
        if one.unreadable:
            yield ""
            yield from (f"- Lemnis could not read {what}" for what in one.unreadable)
        for cause, keys in sorted(one.causes.items()):
            yield from _listed(one, cause, keys, titles)


def _listed(
    one: Collection, cause: str, keys: list[tuple[Key, Row]], titles: Mapping[str, str]
) -> Iterator[str]:
    yield ""
    yield f"### {cause}: {len(keys):,}"
    yield ""
    why = next((mend.why for mend in MENDS if mend.name == cause), "")
    if why:
        yield why
        yield ""
    yield "| only | rule | alerts | of record | which says |"
    yield "|---|---|---|---|---|"
    count = Counter(key[0] for key, _ in keys)
    shown = {key[0]: (key, row) for key, row in reversed(keys)}
    for rule, times in sorted(count.items(), key=lambda item: (-item[1], item[0])):
        key, (_, fields) = shown[rule]
        side = "Lemnis" if key in one.ours else "peer"
        named = f"{titles.get(rule, '')} `{rule}`"
        yield f"| {side} | {named} | {times:,} | {key[1]} #{key[2]} | {_said(fields)} |"


def _said(fields: Mapping[str, Any]) -> str:
    """Show the fields by which a person finds the record and sees the point."""
    telling = (
        "Channel",
        "EventID",
        "EventType",
        "NewProcessName",
        "CommandLine",
        "TargetObject",
        "New Value",
    )
    told = [f"{name}={fields[name]}" for name in telling if fields.get(name) not in {None, ""}]
    text = ", ".join(told).replace("|", "\\|").replace("`", "'").replace("\n", " ").replace("\r", "")
    return f"`{text[:_LONGEST]}{'…' if len(text) > _LONGEST else ''}`"


def main() -> int:
    """Compare, write the report, and say how it went; 1 if something is unexplained or missed."""
    if reason := _sqlway.available():
        print(reason, file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="lemnis-agreement-") as name:
        work = Path(name)
        rules = [_data.sigma(work) / pack for pack in _data.RULES]
        made = _sqlway.queries(rules)
        done = [compare(one, _data.unpack(one, work), rules, made) for one in COLLECTIONS]
        recalled = recall(_data.unpack(REGRESSION, work), done[-1].ours)
        titles = {rule.id: rule.title for rule in hunt.rules(rules).rules}
    REPORT.write_text("\n".join(report(done, recalled, titles)) + "\n", encoding="utf-8")
    unexplained = sum(
        len(keys) for one in done for cause, keys in one.causes.items() if cause.startswith("unexplained")
    )
    for one in done:
        print(f"{one.name}: {len(one.ours & one.theirs):,} alike, {one.differing:,} differ")
    print(f"{unexplained} unexplained, {len(recalled.missed)} samples missed: {REPORT.relative_to(ROOT)}")
    return 1 if unexplained or recalled.missed else 0


if __name__ == "__main__":
    sys.exit(main())

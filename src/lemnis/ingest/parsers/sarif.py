"""SARIF 2.1.0: each result with its tool, rule and run as one record.

A record is ``{"tool", "rule", "run", "result"}``; the result is as the report has it. Beside its fields stand
``uid``, ``path``, ``line``, ``end_line``, ``level``, ``security_severity``, ``cwe`` and ``report_time``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import orjson

from lemnis.contracts.clock import to_iso
from lemnis.contracts.ids import stable_id
from lemnis.ingest.parsers import Options, Parsed, Start, Texts, jsonl
from lemnis.ingest.parsers._columns import Row, table
from lemnis.ingest.streams import BrokenStreamError, Head, Stream

_Object = dict[str, Any]
_CWE = re.compile(r"(?i)cwe[-_/: ]*0*([1-9][0-9]{0,4})")
_MAX_REPORT = 256_000_000
_VERSION = "2.1.0"
_DRIVER = ("name", "version", "semanticVersion", "informationUri")
_RUN = ("automationDetails", "versionControlProvenance", "baselineGuid", "invocations")
MADE = True
"""A record is put together of a result and its rule: it stands nowhere in the file as such."""


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so can be a SARIF report."""
    return jsonl.fits(head) and (b'"runs"' in head or b"sarif" in head)


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the results of a SARIF report."""
    if not whole and not isinstance(stream, Head):
        return
    listed = jsonl.listed(stream.name, _results(stream), start)
    yield from jsonl.parted(listed, start, lambda some: _fielded(some, stream))


def _fielded(some: Texts, stream: Stream) -> Parsed:
    """Turn results into records, with what stands beside their fields."""
    parsed = jsonl.fielded(some, {})
    rows = [_summary(orjson.loads(text), stream) for text in parsed.records.to_pylist()]  # type: ignore[arg-type]
    extra, fields = table(rows), parsed.fields
    for name in extra.column_names:
        fields = fields.append_column(name, extra.column(name))
    return replace(parsed, fields=fields)


def first(stream: Stream, options: Options) -> str:  # noqa: ARG001
    """Return how a report begins: another report is another origin, also where its first result is known."""
    return stream.head().decode("utf-8", "replace")


def _summary(record: _Object, stream: Stream) -> Row:
    """Say what every tool says in a place of its own: where, how bad, which weakness, what it is known by.

    A report without times is as old as its file.
    """
    result, rule = record["result"], record["rule"]
    properties = rule.get("properties") if isinstance(rule.get("properties"), dict) else {}
    place = next((one for one in result.get("locations") or [] if isinstance(one, dict)), {})
    physical = place.get("physicalLocation") or {}
    region = physical.get("region") or {}
    path = _path(str((physical.get("artifactLocation") or {}).get("uri") or ""))
    default = (rule.get("defaultConfiguration") or {}).get("level")
    line = region.get("startLine")
    row: Row = {
        "path": path or None,
        "line": _text(line),
        "end_line": _text(region.get("endLine", line)),
        "level": _text(result.get("level") or default or "warning"),
        "security_severity": _text(properties.get("security-severity")),
        "cwe": _cwe(properties, rule),
        "report_time": _time(record["run"]) or _modified(stream),
    }
    known = sorted((result.get("partialFingerprints") or result.get("fingerprints") or {}).items())
    parts = [str(record["tool"].get("name")), str(result.get("ruleId") or rule.get("id"))]
    message = result.get("message") or {}
    where = [f"{key}={value}" for key, value in known] or [path, str(line), str(message.get("text"))]
    row["uid"] = _text(result.get("guid")) or stable_id("fi", *parts, *where)
    return row


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _path(uri: str) -> str:
    return unquote(uri.removeprefix("file://"))


def _cwe(properties: _Object, rule: _Object) -> str | None:
    """Find a weakness number in a rule's tags or relations, however the tool writes it."""
    found = _CWE.search(orjson.dumps([properties, rule.get("relationships")]).decode())
    return f"CWE-{int(found[1])}" if found else None


def _time(run: _Object) -> str | None:
    for invocation in run.get("invocations") or []:
        for name in ("endTimeUtc", "startTimeUtc"):
            if isinstance(invocation, dict) and isinstance(invocation.get(name), str):
                return str(invocation[name])
    return None


def _modified(stream: Stream) -> str | None:
    try:
        return to_iso(int(stream.path.stat().st_mtime * 1000))
    except OSError:
        return None


def _results(stream: Stream) -> Iterator[str | ValueError]:
    data = bytearray()
    try:
        for block in stream.blocks():
            data += block
            if len(data) > _MAX_REPORT:
                yield ValueError(f"a report may have {_MAX_REPORT:,} bytes")
                return
        report = orjson.loads(bytes(data).removeprefix(b"\xef\xbb\xbf"))
    except BrokenStreamError as error:
        yield ValueError(str(error))
        return
    except orjson.JSONDecodeError as error:
        yield ValueError(f"not JSON: {error}")
        return
    runs = report.get("runs") if isinstance(report, dict) else None
    if not isinstance(runs, list):
        yield ValueError("not a SARIF report: it has no list of runs")
        return
    version = str(report.get("version") or _VERSION)
    if not version.startswith(_VERSION):
        yield ValueError(f"a SARIF {version[:20]} report; {_VERSION} is read: convert it with its tool")
        return
    for run in runs:
        yield from _of_run(run) if isinstance(run, dict) else iter([ValueError("a run that is no object")])


def _of_run(run: dict[str, Any]) -> Iterator[str | ValueError]:
    tool = run.get("tool") if isinstance(run.get("tool"), dict) else {}
    driver = tool.get("driver") if isinstance(tool, dict) else None
    driver = driver if isinstance(driver, dict) else {}
    about = {
        key: driver[key] for key in ("name", "version", "semanticVersion", "informationUri") if key in driver
    }
    around = {key: run[key] for key in _RUN if key in run}
    rules = [rule for rule in driver.get("rules") or [] if isinstance(rule, dict)]
    by_id = {rule.get("id"): rule for rule in rules}
    for result in run.get("results") or []:
        if not isinstance(result, dict):
            yield ValueError("a result that is no object")
            continue
        rule = _rule(result, rules, by_id)
        record = {"tool": about, "rule": rule, "run": around, "result": result}
        yield orjson.dumps(record).decode()


def _rule(
    result: dict[str, Any], rules: list[dict[str, Any]], by_id: dict[Any, dict[str, Any]]
) -> dict[str, Any]:
    """Find the rule that a result is of, by its place or its id; one like ``CA2101/1`` is of ``CA2101``."""
    reference = result.get("rule") if isinstance(result.get("rule"), dict) else {}
    index = result.get("ruleIndex", reference.get("index") if reference else None)
    if isinstance(index, int) and 0 <= index < len(rules):
        return rules[index]
    name = result.get("ruleId") or (reference.get("id") if reference else None)
    if name in by_id:
        return by_id[name]
    return by_id.get(str(name).rpartition("/")[0], {} if name is None else {"id": name})

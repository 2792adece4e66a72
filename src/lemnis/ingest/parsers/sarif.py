"""SARIF 2.1.0: each result with its tool, rule and run as one record.

A record is ``{"tool", "rule", "run", "result"}``; the result is as the report has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from lemnis.ingest.parsers import Options, Parsed, Start, jsonl
from lemnis.ingest.streams import BrokenStreamError, Stream

_Object = dict[str, Any]
_MAX_REPORT = 256_000_000
_DRIVER = ("name", "version", "semanticVersion", "informationUri")
_RUN = ("automationDetails", "versionControlProvenance", "baselineGuid", "invocations")


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the results of a SARIF report."""
    if whole:
        yield from jsonl.listed(stream.name, _results(stream), start)


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

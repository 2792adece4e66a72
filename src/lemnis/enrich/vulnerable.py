"""Vulnerabilities summed up: what an asset is vulnerable to in each span of time, the worst first."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from typing import Any

import orjson
import pyarrow as pa

from lemnis.contracts.reference import RECORDS, VULNERABILITIES

SEVERITIES = ("critical", "high", "medium", "low", "unknown")
_NAMED = 20


def summaries(records: pa.Table) -> pa.Table:
    """Return one record for each asset and each span in which the same vulnerabilities are open.

    It names the ``worst`` severity, the ``count``, and ``cves``: the worst 20.
    """
    found: dict[str, list[tuple[int, int, tuple[int, str], int]]] = defaultdict(list)
    rows = records.to_pylist()
    for place, row in enumerate(rows):
        if row["until"] <= row["from"]:
            continue
        one = orjson.loads(row["record"])
        severity = one.get("severity", "unknown")
        what = (SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES) - 1, one["cve"])
        found[one["asset"]] += [(row["from"], 1, what, place), (row["until"], 0, what, place)]
    made: list[dict[str, Any]] = []
    for asset, changes in sorted(found.items()):
        made += _spans(asset, sorted(changes), rows)
    return pa.Table.from_pylist(made, schema=RECORDS)


def _spans(
    asset: str, changes: list[tuple[int, int, tuple[int, str], int]], rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    there: list[tuple[tuple[int, str], int]] = []
    for number, (instant, begins, what, place) in enumerate(changes):
        if begins:
            insort(there, (what, place))
        else:
            del there[bisect_left(there, (what, place))]
        until = changes[number + 1][0] if number + 1 < len(changes) else instant
        if not there or until == instant:
            continue
        named = list(dict.fromkeys(cve for (_, cve), _ in there[: 4 * _NAMED]))[:_NAMED]
        said = {
            "asset": asset, "cves": named, "count": len(there), "worst": SEVERITIES[there[0][0][0]],
        }  # fmt: skip
        first = rows[there[0][1]]
        made.append(
            {
                "table": VULNERABILITIES, "id": asset, "from": instant, "until": until,
                "record": orjson.dumps(said).decode(), "origin": first["origin"],
                "revision": first["revision"], "recorded": first["recorded"],
            }
        )  # fmt: skip
    return made

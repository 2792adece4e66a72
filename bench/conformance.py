"""Conformance: other people's parsers and samples against the sources here; writes the published scores.

    python -m bench.conformance            print the scores
    python -m bench.conformance --write    write docs/conformance.md and bench/conformance.json too

The data sets are those of LEMNIS_BENCH_DATA, else ``shared/data`` beside the checkout. Only counts are
published, never a line of theirs. ``tests/bench/test_conformance.py`` holds the scores to what is published.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench import _crowdsec, _data, _libaudit, _panther, _shares, _twice
from bench._conform import Score
from lemnis.app.bench import Figure
from lemnis.content.library import Library
from lemnis.ingest.sources import Sources

ROOT = Path(__file__).parent.parent
SCORES = ROOT / "bench" / "conformance.json"
PAGE = ROOT / "docs" / "conformance.md"
SMALL = (
    "cloud/stratus-red-team", "cloud/invictus-aws", "cloud/msticpy-testdata",
    "devsecops/sarif-sdk", "devsecops/sarif-tutorials", "linux/crowdsec-hub-tests", "linux/go-libaudit",
    "linux/plaso-logs", "network/otrf-zeek",
)  # fmt: skip
LARGE = (
    "network/rita-zeek", "network/zed-sample-zeek", "windows/evtx-attack-samples",
    "windows/evtx-to-mitre-attack", "windows/deepbluecli", "windows/sigma-regression",
    "windows/splunk-attack-data",
)  # fmt: skip
SUITES: Mapping[str, str] = {
    "panther": "Panther's rule tests: events of cloud and identity products, cut down by rule authors; "
    "values are the addresses, names and domains that Panther found in them",
    "crowdsec": "CrowdSec's hub: log lines of many products; values are those that its parsers' tests assert",
    "go-libaudit": "go-libaudit: Linux audit records; values are all fields that its parser reads",
    "zeek": "Zeek's logs of the same traffic as JSON and as tables; values are all attributes of both events",
    "prowler": "Prowler's findings in OCSF; values are the attributes that the pinned classes have",
}
_TOP = 12
SAMPLED = 5
"""Every so manieth part of a suite is in the sample."""


def suites(sources: Sources, scratch: Path, *, every: int = 1) -> Iterator[tuple[Score, list[Score]]]:
    """Run every suite that there is data for; yield its score, and the parts it is made of.

    ``every`` says how much there is to one part that is taken. Raises MissingError where there is no data.
    """
    work = scratch / "work"
    work.mkdir(exist_ok=True)
    yield _panther.run(_data.unpack("cloud/panther-rule-tests", scratch), sources, work, every=every)
    yield _crowdsec.run(_data.unpack("linux/crowdsec-hub-tests", scratch), sources, every=every)
    yield _libaudit.run(_data.unpack("linux/go-libaudit", scratch)), []
    zeek = _data.unpack("network/zed-sample-zeek", scratch)
    yield _twice.zeek(zeek, sources, work, records=_twice.RECORDS // every), []
    yield _twice.ocsf(_data.unpack("cloud/prowler-output", scratch), sources), []


def sampled(scratch: Path) -> list[dict[str, Any]]:
    """Return the scores of a sample of every suite: what the test compares with what is published."""
    return [score.document() for score, _ in suites(_sources(), scratch, every=SAMPLED)]


def _sources() -> Sources:
    sources = Sources.load(Library.open())
    if sources.problems:
        raise sources.problems[0]
    return sources


def measure(scratch: Path, sets: Sequence[str]) -> dict[str, Any]:
    """Return all scores, and the mapped shares of the sets."""
    sources = _sources()
    found = [
        score.document() | {"parts": [part.document() for part in parts]}
        for score, parts in suites(sources, scratch)
    ]
    shares = [
        one.document() for name in sets for one in _shares.shares(name, _data.unpack(name, scratch), sources)
    ]
    return {"suites": found, "shares": shares}


def run() -> list[Figure]:
    """Run the suites: of each, the share of records mapped and of values equal, held to what is published."""
    published = {one["suite"]: one for one in orjson.loads(SCORES.read_bytes())["suites"]}
    figures = []
    with tempfile.TemporaryDirectory(prefix="lemnis-conformance-") as scratch:
        for one in measure(Path(scratch), ())["suites"]:
            before = published[one["suite"]]
            for part, whole in (("mapped", "records"), ("equal", "values")):
                name = f"{one['suite']}: {whole} {part}"
                target = _share(before[part], before[whole])
                figures.append(Figure(name, _share(one[part], one[whole]), "%", target))
    return figures


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def page(scores: Mapping[str, Any]) -> str:
    """Write the page of the scores."""
    rows = [
        "# Conformance",
        "",
        "<!-- Written by `python -m bench.conformance --write`; do not edit. -->",
        "",
    ]
    rows += [
        "What other people's parsers say of other people's logs, against what the sources here make of the",
        "same records. *Recognised* are records whose source was found out, *mapped* those that became",
        "events; a value is *equal* if the attribute that the standard has for it holds it. Each difference",
        "is counted below. A test holds every score to what stands here.", "",
        "| suite | records | recognised | mapped | values | equal |", "|---|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    rows += [_row(one["suite"], one) for one in scores["suites"]]
    for one in scores["suites"]:
        rows += ["", f"## {one['suite']}", "", f"{SUITES[one['suite']]}.", ""]
        if one["parts"]:
            rows += ["| part | records | recognised | mapped | values | equal |", "|---|--:|--:|--:|--:|--:|"]
            rows += [_row(part["suite"], part) for part in one["parts"]]
            rows.append("")
        rows += _counts("Records that were not taken", one["reasons"])
        rows += _counts("Values that differ", one["differences"])
    rows += ["", "## Mapped share of other people's samples", ""]
    rows += [
        f"Every file of the sets up to {_shares.LARGEST // 1_000_000} MB that a source recognises.", "",
        "| source | data set | files | records | mapped | why not |", "|---|---|--:|--:|--:|---|",
    ]  # fmt: skip
    for one in sorted(scores["shares"], key=lambda one: (one["source"], one["data"])):
        why = "; ".join(f"{_cell(reason)} ({count})" for reason, count in _ordered(one["reasons"])[:3])
        rows.append(
            f"| {one['source']} | {one['data']} | {one['files']} | {one['records']:,} | "
            f"{_percent(one['mapped'], one['records'])} | {why} |"
        )
    return "\n".join(rows) + "\n"


def _row(name: str, one: Mapping[str, Any]) -> str:
    cells = [f"{one['records']:,}", _percent(one["recognised"], one["records"])]
    cells += [_percent(one["mapped"], one["records"]), f"{one['values']:,}"]
    return f"| {name} | {' | '.join(cells)} | {_percent(one['equal'], one['values'])} |"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _counts(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    ordered = _ordered(counts)
    listed = [f"- {_cell(key)}: {count}" for key, count in ordered[:_TOP]]
    more = sum(count for _, count in ordered[_TOP:])
    return [f"{title}:", "", *listed, *([f"- others: {more}"] if more else []), ""]


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def main() -> int:
    """Measure, print, and write if asked to."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--write", action="store_true", help="write the page and the scores")
    arguments.add_argument("--small", action="store_true", help="leave the large sets out")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="lemnis-conformance-") as scratch:
        scores = measure(Path(scratch), SMALL if given.small else (*SMALL, *LARGE))
        scores["sample"] = sampled(Path(scratch))
    print(page(scores))
    if given.write:
        SCORES.write_bytes(orjson.dumps(scores, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
        PAGE.write_text(page(scores), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Real reports of many tools, in the shared data, against the number of findings that others see in them.

`LEMNIS_WRITE_GOLDEN=1 pytest tests/scan/test_conformance.py` writes the table of docs/scanning-reports.md anew.
"""

import csv
import os
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from lemnis.app.findings_import import layouts, recognise, with_standards
from lemnis.content.library import Library
from lemnis.contracts.errors import InputError
from lemnis.scan.reading import read

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "devsecops" / "defectdojo-scans"
PAGE = ROOT / "docs" / "scanning-reports.md"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no shared data beside the repository")


def reports():
    """Yield the reports: tool, path and bytes."""
    archive = DATA / "defectdojo-scans.tar.zst"
    with (
        archive.open("rb") as file,
        zstandard.open(file, "rb") as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        for member in tar:
            path = member.name.removeprefix("./")
            if member.isfile() and "/" in path:
                yield path.partition("/")[0], path, tar.extractfile(member).read()


def score():
    """Return for each tool: reports, refused, with a known number, exactly that number, told by ``auto``."""
    known, alone = layouts(Library.open()), layouts(Library.open(), aliases=False)
    with (DATA / "EXPECTED_FINDINGS.csv").open() as file:
        expected = {row["file"]: int(row["expected_findings"]) for row in csv.DictReader(file)}
    scores = {}
    for tool, path, data in reports():
        if tool not in known:
            continue
        counts = scores.setdefault(tool, Counter())
        counts["reports"] += 1
        try:
            found = len(read(tool, with_standards(known[tool]), data, lambda _: []).findings)
        except InputError:
            found = None
            counts["refused"] += 1
        if path in expected:
            counts["expected"] += 1
            counts["same"] += found == expected[path]
        try:
            who = recognise(data, alone, path)
        except InputError:
            who = ""
        counts["auto"] += bool(who) and known[who] == known[tool]
    return scores


def table(scores):
    yield "| tool | reports | refused | with a known number | exactly that number | told by `auto` |"
    yield "|---|---|---|---|---|---|"
    for tool, counts in sorted(scores.items()):
        yield f"| {tool} | {' | '.join(str(counts[c]) for c in ('reports', 'refused', 'expected', 'same', 'auto'))} |"
    whole = sum(scores.values(), Counter())
    yield f"| **{len(scores)} tools** | {' | '.join(str(whole[c]) for c in ('reports', 'refused', 'expected', 'same', 'auto'))} |"


@pytest.mark.slow
def test_the_published_table_is_what_is_measured():
    made = "\n".join(table(score()))
    page = PAGE.read_text()
    if os.environ.get("LEMNIS_WRITE_GOLDEN"):
        page = re.sub(r"\| tool \|.*\n\| \*\*.*\|", lambda _: made, page, flags=re.DOTALL)
        PAGE.write_text(page)
    assert made in page

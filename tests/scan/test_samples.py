"""Each scanner's and reader's samples, beside its manifest, give the findings that lie beside them.

`LEMNIS_WRITE_GOLDEN=1 pytest tests/scan/test_samples.py`
writes the findings anew, to be reviewed like code.
"""

import os
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from lemnis.app.findings_import import layouts, with_standards
from lemnis.content.library import Library
from lemnis.scan.reading import read

LIBRARY = Library.open()
LAYOUTS = layouts(LIBRARY)
ITEMS = [*LIBRARY.items("scanners").values(), *LIBRARY.items("readers").values()]
SAMPLES = [
    (item.name, path)
    for item in ITEMS
    for path in sorted((item.folder / "samples").glob("*"))
    if not path.name.endswith(".findings.json")
]


def told(finding):
    """Return a finding without what is empty, as people review it."""
    made = orjson.loads(orjson.dumps(asdict(finding)))
    made["severity"] = finding.severity.name.lower()
    known = made["vulnerability"]
    if known:
        made["vulnerability"] = {name: value for name, value in known.items() if value not in (None, "", [])}
    made.pop("context", None)  # what tools agree on is not what one of them says
    return {name: value for name, value in made.items() if value not in (None, "", 0, [], "code")}


@pytest.mark.parametrize(("name", "path"), SAMPLES, ids=[f"{n}-{p.stem}" for n, p in SAMPLES])
def test_a_sample_gives_its_findings(name, path):
    said = read(name, with_standards(LAYOUTS[name]), path.read_bytes(), lambda _: [])
    got = {
        "findings": [told(finding) for finding in said.findings],
        "errors": list(said.errors),
        "lost": dict(sorted(said.lost.items())),
    }
    golden = path.with_name(f"{path.stem}.findings.json")
    if os.environ.get("LEMNIS_WRITE_GOLDEN"):
        golden.write_bytes(orjson.dumps(got, option=orjson.OPT_INDENT_2) + b"\n")
    assert got == orjson.loads(golden.read_bytes())


def test_every_scanner_has_a_sample():
    have = {name for name, _ in SAMPLES}
    assert {item.name for item in LIBRARY.items("scanners").values()} <= have


def test_a_sample_of_a_secret_is_not_kept():
    for name, path in SAMPLES:
        said = read(name, with_standards(LAYOUTS[name]), path.read_bytes(), lambda _: [])
        assert "must-not-be-kept" not in repr(said), (name, Path(path).name)

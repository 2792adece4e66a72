import sys
from pathlib import Path

import pytest

from lemnis.ingest import parsers
from lemnis.ingest.parsers import Start
from lemnis.ingest.streams import Stream

sys.path.insert(0, str(Path(__file__).parent))

SHARED = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture
def shared():
    """The shared data sets; a test that needs them is skipped where they are not."""
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not beside this checkout")
    return SHARED


@pytest.fixture
def parse(tmp_path):
    """Parse a text as a file of a format: its records as dicts, and its rejects."""

    def run(parser, text, *, name="file.log", options=None, start=None, whole=True):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        records, rejects = [], []
        for parsed in parsers.get(parser).parse(Stream(path), options or {}, start or Start(), whole=whole):
            assert len(parsed.records) == parsed.fields.num_rows == len(parsed.positions)
            records += [
                {key: value for key, value in row.items() if value is not None}
                for row in parsed.fields.to_pylist()
            ]
            rejects += parsed.rejects
        return records, rejects

    return run

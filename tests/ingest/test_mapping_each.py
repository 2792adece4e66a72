"""Lists of values become lists of objects: ``answers[].rdata``."""

import pyarrow as pa
import pytest

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.events import RawBatch
from lemnis.ingest.mapping import Mapper
from lemnis.ocsf.schema import path_type

SOURCE = "name: acme\ntitle: Acme\nvendor: Acme\nproduct: DNS\nparser: jsonl\n"
MAPPING = """
events:
  - name: query
    class: dns_activity
    time: {from: ts, format: epoch_ms}
    activity: 6
    set:
      src_endpoint.ip: client
      answers[].rdata: answers
      answers[].ttl: {from: ttls, as: integer}
      answers[].type: {from: kinds, match: '^\\w+'}
"""


@pytest.fixture
def answers(tmp_path):
    """Map rows of (answers, ttls, kinds); return the answers of each event."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "source.yaml").write_text(SOURCE, encoding="utf-8")
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")

    def run(*rows):
        count = len(rows)
        lists = pa.list_(pa.string())
        fields = {
            name: pa.array([row[place] for row in rows], lists)
            for place, name in enumerate(("answers", "ttls", "kinds"))
        }
        table = pa.table({"ts": ["1"] * count, "client": ["192.0.2.1"] * count, **fields})
        records = pa.array([f"{number}" for number in range(count)])
        batch = RawBatch("acme", "dns.log", records, table, pa.array(range(1, count + 1), pa.int64()))
        mapped = Mapper(LoadedSource.read(folder)).map(batch)
        assert not mapped.rejects
        (made,) = mapped.batches
        return [row.get("answers") for row in made.table.to_pylist()], made.table

    return run


def test_each_value_is_an_object_and_lists_line_up(answers):
    (one, two, none), _ = answers(
        (["192.0.2.7", "192.0.2.8"], ["60", "30"], ["A 1", "A 2"]),
        (["a.example"], ["5"], None),
        (None, None, None),
    )
    assert [(a["rdata"], a["ttl"], a["type"]) for a in one] == [
        ("192.0.2.7", 60, "A"),
        ("192.0.2.8", 30, "A"),
    ]
    assert [(a["rdata"], a["ttl"], a["type"]) for a in two] == [("a.example", 5, None)]
    assert not none


def test_a_list_of_another_length_does_not_shift_values(answers):
    (one, two, three), table = answers(
        (["192.0.2.7", "192.0.2.8"], ["60"], ["A"]),
        (["192.0.2.9"], ["1", "2", "3"], ["A"]),
        (None, ["7"], None),
    )
    assert [(a["rdata"], a["ttl"]) for a in one] == [("192.0.2.7", None), ("192.0.2.8", None)]
    assert [(a["rdata"], a["ttl"], a["type"]) for a in two] == [("192.0.2.9", None, "A")]
    assert [(a["rdata"], a["ttl"]) for a in three] == [(None, 7)]
    assert '"ttls":["60"]' in table.column("unmapped")[0].as_py()


def test_each_needs_an_attribute(answers):
    with pytest.raises(NotFoundError):
        path_type("dns_activity", "answers[]")
    assert path_type("dns_activity", "answers[].ttl") == pa.list_(pa.int64())

"""What content says of assets, identities and networks: read with its times, refused with its place."""

import orjson
import pytest

from lemnis.content.library import Library
from lemnis.content.reference import read
from lemnis.contracts.clock import from_iso
from lemnis.contracts.reference import ALWAYS, FOREVER


def library(tmp_path, **files):
    for name, text in files.items():
        kind, _, stem = name.partition("_")
        (tmp_path / "content" / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / "content" / kind / f"{stem}.yaml").write_text(text, encoding="utf-8")
    return Library.open(tmp_path / "content", builtin=tmp_path / "none")


def test_records_have_their_times_and_the_file_that_told_them(tmp_path):
    mine = library(
        tmp_path,
        assets_pay="- {id: db, hostnames: [DB.corp.example], addresses: ['::ffff:10.0.0.7'], until: 2026-03-01}\n"
        "- {id: db, owner: data, criticality: high, from: 2026-03-01}\n",
        networks_sites="- {cidr: 10.0.0.0/8, zone: office}\n",
    )
    records, problems = read(mine)
    assert problems == ()
    moved = from_iso("2026-03-01")
    assert [
        (one["table"], one["id"], one["from"], one["until"], one["origin"], orjson.loads(one["record"]))
        for one in records.to_pylist()
    ] == [
        ("assets", "db", ALWAYS, moved, "assets/pay.yaml",
         {"id": "db", "hostnames": ["DB.corp.example"], "addresses": ["10.0.0.7"]}),
        ("assets", "db", moved, FOREVER, "assets/pay.yaml",
         {"id": "db", "owner": "data", "criticality": "high"}),
        ("networks", "10.0.0.0/8", ALWAYS, FOREVER, "networks/sites.yaml",
         {"id": "10.0.0.0/8", "cidr": "10.0.0.0/8", "zone": "office"}),
    ]  # fmt: skip
    assert mine.digest != library(tmp_path, networks_sites="- {cidr: 10.0.0.0/8, zone: lab}\n").digest


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("- {cidr: 10.0.0.1/8}", "1:10", "10.0.0.1/8 has host bits set"),
        ("- {cidr: 10.0.0.0/8}\n- {cidr: ten}", "2:10", "'ten' is no network"),
        ("- {cidr: 10.0.0.0/8, until: 2025-01-01, from: 2026-01-01}", "1:3", "until must be after from"),
        ("- {cidr: 10.0.0.0/8, colour: red}", "1:30", "Extra inputs"),
        ("- {cidr: 10.0.0.0/8, from: soon}", "1:28", "'soon' is no time"),
        ("- {cidr: 10.0.0.0/8}\n- {cidr: 10.0.0.0/8}", "2:3", "said twice of the same time"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column_and_the_other_files_go_on(tmp_path, text, place, what):
    records, problems = read(library(tmp_path, networks_bad=text, networks_good="- {cidr: 192.168.0.0/16}"))
    assert records.column("id").to_pylist() == ["192.168.0.0/16"]
    (problem,) = problems
    assert str(problem).startswith(f"{tmp_path}/content/networks/bad.yaml:{place}: ")
    assert what in str(problem)

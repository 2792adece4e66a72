"""``lemnis assets``: imports as of a time, what they refuse, and what went to an event."""

import json

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from enriched import EVENTS, HISTORY, NOW, assets, log

from lemnis import app
from lemnis.app import assets as tables
from lemnis.app import ingest
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.contracts.errors import InputError
from lemnis.interfaces import cli


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(NOW))


@pytest.fixture
def command(workspace, capsys):
    def run(*arguments, code=0):
        assert cli.run(["assets", *map(str, arguments), "--workspace", str(workspace.root), "--json"]) == code
        out = capsys.readouterr()
        return [json.loads(line) for line in out.out.splitlines()], out.err

    return run


def test_an_inventory_that_is_imported_again_is_history(command, tmp_path):
    path = tmp_path / "cmdb.csv"
    path.write_text(
        "Host Name,addresses,owner,criticality,colour,id\nweb1,10.0.0.1 10.0.0.2,blue,high,red,m1\n"
    )
    (first,), err = command("import", path, "--as-of", "2026-01-01", "--rename", "Host Name=hostnames")
    assert "colour" in err
    assert (first["added"], first["revision"]) == (1, 1)
    (again,), _ = command("import", path, "--as-of", "2026-02-01", "--rename", "Host Name=hostnames")
    assert (again["unchanged"], again["revision"]) == (1, None)
    path.write_text("id,hostnames,owner\nm1,web1,green\n")
    (moved,), _ = command("import", path, "--as-of", "2026-03-01", "--complete")
    assert (moved["changed"], moved["revision"]) == (1, 2)
    assert [(one["record"]["owner"], one["from"], one["until"]) for one in command("show", "WEB1")[0]] == [
        ("blue", from_iso("2026-01-01"), from_iso("2026-03-01")),
        ("green", from_iso("2026-03-01"), None),
    ]
    (then,) = command("list", "--as-of", "2026-02-15T00:00:00Z")[0]
    assert (then["record"]["owner"], then["record"]["addresses"], then["origin"], then["revision"]) == (
        "blue", ["10.0.0.1", "10.0.0.2"], "cmdb.csv", 1)  # fmt: skip
    (before,) = command("list", "--revision", "1")[0]
    assert (before["record"]["owner"], before["until"]) == ("blue", None)
    assert [(one["id"], one["records"]) for one in command("history")[0]] == [(1, 1), (2, 2)]
    path.write_text("id\nm2\n")
    (gone,), _ = command("import", path, "--as-of", "2026-04-01", "--complete")
    assert (gone["added"], gone["ended"]) == (1, 1)
    assert [one["id"] for one in command("list", "--as-of", "2026-05-01")[0]] == ["m2"]


def test_a_row_that_is_wrong_costs_only_itself_and_is_told_with_its_line(command, tmp_path):
    path = tmp_path / "nets.csv"
    path.write_text(
        'cidr,zone\n10.0.0.0/8,office\n10.0.0.1/8,bad\n"10.1.0.0/16","two\nlines"\nten,bad\n'
        f"10.2.0.0/16,{'x' * 50_000_000}\n10.3.0.0/16,a,b\n10.0.0.0/8,twice\n2001:db8::/32,six\n"
    )
    (done,), err = command("import", path, "--table", "networks", code=2)
    assert (done["read"], done["rejected"], done["added"]) == (8, 5, 3)
    for line, why in ((3, "host bits set"), (6, "'ten' is no network"), (7, "longer than"), (8, "3 cells"),
                      (9, "said twice")):  # fmt: skip
        assert any(f"nets.csv:{line}: " in one and why in one for one in err.splitlines()), (line, err)
    assert [one["id"] for one in command("list")[0]] == ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]


@pytest.mark.parametrize("suffix", ["json", "ndjson", "parquet"])
def test_other_formats_say_the_same(command, tmp_path, suffix):
    rows = [{"id": "anna", "names": ["CORP\\anna"], "privileged": True, "from": "2026-01-01"}, {"id": "bert"}]
    path = tmp_path / f"people.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "json":
        path.write_bytes(orjson.dumps([*rows, 7]))
    else:
        path.write_bytes(b"\n".join([*map(orjson.dumps, rows), b"{no json}", b"\xff"]) + b"\n")
    refused = {"json": 1, "ndjson": 2, "parquet": 0}[suffix]
    (done,), _ = command("import", path, "--table", "identities", code=2 if refused else 0)
    assert (done["added"], done["rejected"]) == (2, refused)
    found = command("list", "--table", "identities")[0]
    assert [one["record"] for one in found] == [
        {"id": "anna", "names": ["CORP\\anna"], "privileged": True}, {"id": "bert"}]  # fmt: skip
    assert found[0]["from"] == from_iso("2026-01-01")


def test_a_complete_import_with_a_wrong_row_changes_nothing(workspace, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,addresses\na,10.0.0.1\nb,ten\n")
    with pytest.raises(InputError, match=r"wrong: 1 row, the first: addresses\.0: .*ten"):
        tables.load(workspace, "assets", path, as_of=0, complete=True)
    assert tables.changes(workspace) == []


def test_what_cannot_be_read_at_all_is_told(command, tmp_path):
    for name, text in (("a.txt", "id\n"), ("a.json", "{}"), ("b.json", "[1,"), ("a.parquet", "x"),
                       ("a.csv", "colour,size\nred,1\n")):  # fmt: skip
        (tmp_path / name).write_text(text)
        _, err = command("import", tmp_path / name, code=2)
        assert name in err
    command("import", tmp_path / "none.csv", code=2)
    command("import", tmp_path / "a.csv", "--rename", "x", code=2)
    command("show", "nobody", code=2)
    command("explain", "ev-0000000000000000", code=2)


def test_explain_tells_what_went_to_an_event_and_what_the_tables_say_now(workspace, command, tmp_path):
    assets(workspace, HISTORY)
    ingest.Ingest(workspace).run([log(tmp_path, *EVENTS)])
    rows = (
        app.lake(workspace).query("SELECT metadata.uid AS uid FROM authentication ORDER BY time").to_pylist()
    )
    (said,), _ = command("explain", rows[2]["uid"])
    assert not said["differs"]
    assert [(one["name"], one["data"]["owner"], one["provider"]) for one in said["enrichments"]] == [
        ("device.hostname", "green", "assets/all.yaml"), ("src_endpoint.ip", "white", "assets/all.yaml")]  # fmt: skip
    assets(workspace, HISTORY.replace("green", "grey"))
    (said,), _ = command("explain", rows[2]["uid"])
    assert said["differs"]
    assert said["enrichments"][0]["data"]["owner"] == "green"
    assert said["now"][0]["data"]["owner"] == "grey"
    assert cli.run(["assets", "explain", rows[2]["uid"], "--workspace", str(workspace.root)]) == 0

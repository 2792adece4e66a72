"""Small event logs read together: the same events, rejects and cursors as if each were read by itself."""

import pytest
from shared_sets import unpacked

from lemnis import app
from lemnis.app import bench, ingest
from lemnis.contracts.clock import ManualClock
from lemnis.ingest import joining
from lemnis.ingest.streams import Stream

NOW = 1_762_200_000_000


@pytest.fixture(scope="module")
def logs():
    """Small real event logs, the first ones by name."""
    packed = bench.load("_data").folder() / "windows" / "sigma-regression" / "sigma-regression.tar.zst"
    if not packed.is_file():
        pytest.skip("shared/data has no sigma-regression")
    found = sorted((name, data) for name, data in unpacked(packed).items() if name.endswith(".evtx"))
    return [data for _, data in found[:6]]


@pytest.fixture
def folder(logs, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    for number, data in enumerate(logs):
        (folder / f"{number}.evtx").write_bytes(data)
    (folder / "cut.evtx").write_bytes(logs[0][: 4096 + 3000])
    (folder / "copy.evtx").write_bytes(logs[1])
    (folder / "lines.log").write_text(
        '198.51.100.7 - - [03/Nov/2025:10:00:00 +0000] "GET / HTTP/1.1" 200 5\n'
    )
    return folder


def taken(tmp_path, name, paths):
    workspace = app.init(tmp_path / name, clock=ManualClock(NOW))
    run = ingest.Ingest(workspace)
    for path in paths:
        run.run([path])
    return workspace, run.totals


def stored(workspace):
    lake = app.lake(workspace)
    uids = lake.query("SELECT metadata.uid AS uid FROM events ORDER BY uid").column("uid").to_pylist()
    letters = lake.query("SELECT * FROM rejects").to_pylist()
    dead = sorted((one["file"], one["reason"], one["record"] or 0, one["origin_key"]) for one in letters)
    return uids, dead


def test_logs_read_together_are_stored_as_when_read_one_by_one(folder, tmp_path, monkeypatch):
    together = []
    gather = joining.gather
    monkeypatch.setattr(
        joining, "gather", lambda opened, source: together.append(len(opened)) or gather(opened, source)
    )
    joined, totals = taken(tmp_path, "joined", [folder])
    assert together == [7]
    alone, each = taken(tmp_path, "alone", sorted(folder.iterdir()))
    assert totals.accepted > 10
    assert (totals.accepted, totals.rejected, totals.files) == (each.accepted, each.rejected, each.files)
    assert stored(joined) == stored(alone)
    windows = ingest.Ingest(alone)._normalising.sources.get("windows")
    for file in folder.glob("*.evtx"):
        key = next(ingest.origins.keys(Stream(file), windows))
        cursor = app.lake(alone).cursor("windows", key)
        assert cursor is not None
        if file.name != "copy.evtx":  # of two alike, the last one's name is kept
            assert app.lake(joined).cursor("windows", key).rejected == cursor.rejected
        assert app.lake(joined).cursor("windows", key).position == cursor.position
    again = ingest.Ingest(joined).run([folder])
    assert (again.accepted, again.duplicates) == (0, 0)


def test_where_that_goes_wrong_each_is_read_by_itself(folder, tmp_path, monkeypatch):
    expected = stored(taken(tmp_path, "good", [folder])[0])

    def broken(*_):
        raise ValueError("a defect")

    monkeypatch.setattr(joining, "gather", broken)
    workspace, _ = taken(tmp_path, "broken", [folder])
    assert stored(workspace) == expected


def test_small_files_follow_each_other_in_bounded_groups(tmp_path):
    for number, size in enumerate([10, 10, joining.SMALL, 10, joining.SMALL - 1] + [joining.SMALL // 2] * 15):
        (tmp_path / f"{number:02}").write_bytes(b"x" * size)
    files = sorted(tmp_path.iterdir())
    groups = list(joining.grouped(files))
    assert [file for group in groups for file in group] == files
    assert [len(group) for group in groups[:2]] == [2, 1]
    assert len(groups) == 4
    assert all(len(one) == 1 or sum(f.stat().st_size for f in one) <= 24_000_000 for one in groups)

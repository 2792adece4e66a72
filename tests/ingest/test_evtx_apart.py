"""Damaged event logs: read apart, and left where the library comes to no end."""

import struct
import tarfile
import zlib

import pytest
import zstandard

from lemnis.app import bench
from lemnis.ingest.parsers import _evtx, _evtx_apart
from lemnis.ingest.streams import Stream


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A real event log: a small one of SigmaHQ's regression data."""
    packed = bench.load("_data").folder() / "windows" / "sigma-regression" / "sigma-regression.tar.zst"
    if not packed.is_file():
        pytest.skip("shared/data has no sigma-regression")
    path = tmp_path_factory.mktemp("log") / "good.evtx"
    with (
        packed.open("rb") as file,
        tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(file), mode="r|") as tar,
    ):
        for member in tar:
            if member.name.endswith(".evtx"):
                path.write_bytes(tar.extractfile(member).read())
                return path
    pytest.skip("no event log in it")


def read(path):
    found = list(_evtx.records(Stream(path)))
    return [one for one in found if isinstance(one, str)], [
        str(one) for one in found if not isinstance(one, str)
    ]


def test_a_sound_log_is_read_here_and_apart_alike(log):
    assert _evtx_apart.sound(log)
    records, faults = read(log)
    assert records
    assert faults == []
    assert list(_evtx_apart.read(log)) == records


def test_a_damaged_chunk_is_read_apart_and_what_is_whole_is_there(log, tmp_path, monkeypatch):
    data = bytearray(log.read_bytes())
    data[_evtx_apart.HEADER + 52] ^= 1  # the sum of the records itself
    path = tmp_path / "damaged.evtx"
    path.write_bytes(data)
    assert not _evtx_apart.sound(path)
    monkeypatch.setattr(_evtx, "_read", None)  # so it is not read here
    assert read(path) == (list(_evtx_apart.read(log)), [])


def test_a_chunk_without_end_is_given_up_and_the_next_one_read(log, tmp_path, monkeypatch):
    data = log.read_bytes()
    header, chunk = data[: _evtx_apart.HEADER], data[_evtx_apart.HEADER :][: _evtx_apart.CHUNK]
    wrong = bytearray(chunk)
    wrong[600] ^= 0xFF
    path = tmp_path / "hanging.evtx"
    path.write_bytes(header + bytes(wrong) + chunk)
    command = [_evtx_apart.sys.executable, "-c", HANGS]
    whole = _evtx_apart.subprocess.Popen

    def started(_, **more):
        return whole([*command, _[-1]], **more)

    monkeypatch.setattr(_evtx_apart.subprocess, "Popen", started)
    monkeypatch.setattr(_evtx_apart, "PATIENCE_S", 5.0)
    found = list(_evtx_apart.read(path))
    assert str(found[0]) == "chunk 1 is given up: the library came to no end in it"
    assert found[1:] == read(log)[0]


HANGS = """
import sys, time
from lemnis.ingest.parsers import _evtx_apart
whole = _evtx_apart._records
def records(data):
    if sys.argv[1] == "0":
        time.sleep(600)
    yield from whole(data)
_evtx_apart._records = records
_evtx_apart.main()
"""


def test_the_sums_are_those_of_the_format(log):
    chunk = log.read_bytes()[_evtx_apart.HEADER :][: _evtx_apart.CHUNK]
    (free,) = struct.unpack_from("<I", chunk, 48)
    assert zlib.crc32(chunk[512:free]) == struct.unpack_from("<I", chunk, 52)[0]

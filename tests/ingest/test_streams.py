"""Bytes to lines: bounded, complete, and whatever cannot be read named."""

import gzip
import os
import random

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lemnis.ingest import encodings, streams
from lemnis.ingest import lines as lining
from lemnis.ingest.lines import lines
from lemnis.ingest.streams import Stream, walk

LINE = st.binary(max_size=12).filter(lambda line: b"\n" not in line)


def read(path, **options):
    texts, numbers, rejects, last = [], [], [], None
    for batch in lines(Stream(path), **options):
        texts += batch.texts.to_pylist()
        numbers += batch.numbers.tolist()
        rejects += batch.rejects
        last = batch
    return texts, numbers, rejects, last


@settings(max_examples=150, deadline=None)
@given(st.lists(LINE, max_size=20), st.booleans(), st.integers(1, 40))
def test_every_line_is_a_text_a_reject_or_blank(tmp_path_factory, content, ended, block):
    path = tmp_path_factory.mktemp("lines") / "file"
    packed = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # the first bytes of gzip and of zstd
    assume(not content or not content[0].startswith(packed))
    data = b"\n".join(content) + (b"\n" if ended and content else b"")
    assume(not encodings.coding(data) and not encodings.archive(data))
    path.write_bytes(data)
    found = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if found[-1] == b"":
        found.pop()
    found = [line.removesuffix(b"\r") for line in found]
    good, bad = {}, set()
    for number, line in enumerate(found, 1):
        try:
            if text := line.decode():
                good[number] = text
        except UnicodeDecodeError:
            bad.add(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lining, "MAX_BATCH_RECORDS", block)
        texts, numbers, rejects, last = read(path)
    assert dict(zip(numbers, texts, strict=True)) == good
    assert {reject.at.record for reject in rejects} == bad
    if last is not None:
        assert (last.offset, last.position) == (len(data), len(found))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab\r", max_size=4), min_size=1, max_size=12), st.integers(0, 12))
def test_reading_goes_on_where_it_stopped(tmp_path_factory, content, split):
    path = tmp_path_factory.mktemp("lines") / "file"
    first = "".join(f"{line}\n" for line in content[:split])
    path.write_text(first, newline="")
    one = read(path, whole=False)
    path.write_text("".join(f"{line}\n" for line in content), newline="")
    at = (one[3].position, one[3].offset) if one[3] else (0, 0)
    two = read(path, position=at[0], offset=at[1], whole=False)
    whole = read(path)
    assert one[0] + two[0] == whole[0]
    assert one[1] + two[1] == whole[1]


TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=4, max_size=30),
    min_size=2,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(["utf-16-le", "utf-16-be", "mark-le", "mark-be", "cr"]), st.integers(1, 70))
def test_other_encodings_give_the_same_lines(tmp_path_factory, content, form, size):
    path = tmp_path_factory.mktemp("lines") / "file"
    content[0] = "plain ASCII to begin with, as logs do" + content[0]
    text = "".join(f"{line}\n" for line in content)
    code = {"mark-le": "utf-16-le", "mark-be": "utf-16-be"}.get(form, form)
    mark = {"mark-le": b"\xff\xfe", "mark-be": b"\xfe\xff"}.get(form, b"")
    if form == "cr":
        assume(not any(ord(letter) < 32 or "\x7f" <= letter < "\xa0" for letter in text.replace("\n", "")))
        path.write_bytes(text.replace("\n", "\r").encode())
    else:
        path.write_bytes(mark + text.encode(code))
    stream = Stream(path)
    assert not stream.plain
    assert stream.coding == ("cr" if form == "cr" else code)
    assert b"".join(stream.blocks(size=size)).removeprefix(b"\xef\xbb\xbf") == text.encode()
    assert all(len(piece) <= size for piece in stream.blocks(size=size))
    texts, _, rejects, last = read(path)
    assert (texts, rejects) == (content, [])
    whole = read(path, position=last.position, offset=last.offset)
    assert whole[0] == []


def test_many_blank_lines_are_one_step(tmp_path):
    path = tmp_path / "log"
    path.write_text("first\n" + "\n" * 500_000 + "last\n" + "\n" * 300_000)
    batches = list(lines(Stream(path)))
    assert [batch.texts.to_pylist() for batch in batches if len(batch.texts)] == [["first"], ["last"]]
    assert len(batches) == 3
    assert (batches[-1].position, batches[-1].offset) == (800_002, path.stat().st_size)


def test_a_line_that_has_no_end_yet_waits(tmp_path):
    path = tmp_path / "log"
    path.write_text("whole\npart")
    assert read(path, whole=False)[0] == ["whole"]
    assert read(path, whole=True)[0] == ["whole", "part"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_compressed_files_are_read_and_damaged_ones_say_so(tmp_path, pack):
    noise = random.Random(1)  # noqa: S311 - noise
    content = [f"line {number} {noise.random()}" for number in range(20_000)]
    data = pack(("\n".join(content) + "\n").encode())
    whole = tmp_path / "whole.log.gz"
    whole.write_bytes(data)
    assert read(whole)[0] == content
    cut = tmp_path / "cut.log.gz"
    cut.write_bytes(data[: len(data) // 2])
    texts, _, rejects, _ = read(cut)
    assert 1000 < len(texts) < len(content)
    assert texts[:-1] == content[: len(texts) - 1]
    assert "damaged" in rejects[-1].reason


def test_a_bomb_is_left_before_it_goes_off(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "RATIO_FLOOR", 1_000_000)
    monkeypatch.setattr(lining, "MAX_RECORD_BYTES", 2_000_000)
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b"\0" * 100_000_000))
    _, _, rejects, last = read(path)
    assert "unpacks to more than" in rejects[-1].reason
    assert last.offset < 50_000_000


def test_an_overlong_line_costs_only_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(lining, "MAX_RECORD_BYTES", 1000)
    monkeypatch.setattr(lining, "MAX_BATCH_BYTES", 4000)
    monkeypatch.setattr(streams, "BLOCK", 512)
    path = tmp_path / "log"
    path.write_text("first\n" + "x" * 20_000 + "\nlast\n" + "y" * 1500 + "\n")
    texts, numbers, rejects, last = read(path)
    assert texts == ["first", "last"]
    assert numbers == [1, 3]
    assert [reject.at.record for reject in rejects] == [2, 4]
    assert last.offset == path.stat().st_size


def test_what_a_workspace_and_git_keep_is_no_log(tmp_path):
    for name in ("a/.git/config", "a/.lemnis/lake/x.json", "a/.hidden/b.log", "c.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [path.relative_to(tmp_path).as_posix() for path in walk([tmp_path])]
    assert found == ["a/.hidden/b.log", "c.log"]
    assert [path.name for path in walk([tmp_path / "a" / ".lemnis"])] == ["x.json"]  # asked for by name


def test_folders_are_walked_in_order_and_links_left_alone(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2.log", "b/10.log", "a.log", "c.log"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link.log").symlink_to(tmp_path / "a.log")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert [path.relative_to(tmp_path).as_posix() for path in walk([tmp_path])] == [
        "a.log", "b/10.log", "b/2.log", "c.log",
    ]  # fmt: skip


def test_what_cannot_be_opened_says_so(tmp_path):
    _, _, rejects, _ = read(tmp_path / "nothing")
    assert "cannot be read" in rejects[0].reason


def test_a_pipe_is_read_once_and_looked_at_before(tmp_path):
    import threading  # noqa: PLC0415 - only here

    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(gzip.compress(b"one\ntwo\n")))
    writer.start()
    stream = Stream(path)
    assert stream.head() == b"one\ntwo\n"
    assert [batch.texts.to_pylist() for batch in lines(stream)] == [["one", "two"]]
    writer.join()

"""Poisoned streams: whatever lies among the good rows costs only itself, within bounds."""

import gzip
import io
import json
import tarfile
import zipfile

import pytest
import zstandard

from lemnis.app.normalising import alone
from lemnis.content.library import Library
from lemnis.contracts.events import RawBatch
from lemnis.ingest import flatten, reading, streams
from lemnis.ingest import lines as lining
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import _columns
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

from .small_sources import source

MAPPING = """
common: {time: [{from: t, format: epoch_ms}]}
events:
  - name: all
    class: http_activity
    when: {}
    activity: 99
    set: {message: said, http_request.http_method: {value: GET}}
"""
GOOD = 400
DEEP = 100_000


def record(number, **more):
    return json.dumps({"t": 1_762_200_000_000 + number, "said": f"word {number}", **more}).encode()


def mixed(*bad, end=b"\n"):
    """Good rows, and bad ones spread among them."""
    rows = [record(number) for number in range(GOOD)]
    for place, one in enumerate(bad):
        rows.insert((place + 1) * 31, one)
    return b"".join(row + end for row in rows)


def take(path, acme):
    """Return what the good rows say, in order, and the reasons against the others."""
    said, reasons, total = [], [], 0
    mapper = Mapper(acme)
    for _, parsed in reading.read(Stream(path), Sources({"acme": acme})):
        reasons += [reject.reason for reject in parsed.rejects]
        raw = RawBatch("acme", "log", parsed.records, parsed.fields, parsed.positions)
        if not len(raw):
            continue
        mapped = mapper.map(raw, origin_key="log")
        reasons += [reject.reason for reject in mapped.rejects]
        for batch in mapped.batches:
            said += batch.table.column("message").to_pylist()
            total += len(batch)
    assert total == len(said)
    words = [int(text.split()[1]) for text in said if str(text).startswith("word ")]
    return words, len(said), reasons


@pytest.fixture
def acme(tmp_path):
    return source(tmp_path, MAPPING, "recognise: {fields: {said: {exists: true}}}\n")


LATIN = json.dumps({"t": 1, "said": "caf\u00e9"}, ensure_ascii=False).encode("latin-1")
MANY = b",".join(b'"k%d":%d' % (n, n) for n in range(DEEP))
BAD = {
    "cut off": ([record(7)[:20], record(8)[5:]], "not JSON"),
    "two in a line": ([record(3) + b"\r" + record(4)], "not JSON"),
    "Latin-1": ([LATIN], "not UTF-8 at byte"),
    "no UTF-8": ([b'{"said":"\xff\xfe"}', b"\xc0\x80", b"\xed\xa0\x80"], "not UTF-8"),
    "UTF-16 in between": (['{"t":1}'.encode("utf-16-le")], "not JSON"),
    "lists in lists": ([b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"], "nested deeper than 64 levels"),
    "objects in objects": ([b'{"a":' * DEEP + b"1" + b"}" * DEEP], "nested deeper than 64 levels"),
    "never closed": ([b'{"a":' * DEEP, b"[" * DEEP], ("not JSON", "nested deeper")),
    "zeros": ([b"\0" * 5000, b'{"t":1,"said":"a\0b"}', b"\0" + record(3)], "not JSON"),
    "half a letter": ([rb'{"t":1,"said":"\ud800"}'], "not JSON"),
    "no such time": ([b'{"t":9223372036854775807,"said":"x"}', b'{"t":1e400,"said":1}', b'{"t":NaN}'], "no"),
    "many members": ([b'{"t":1,"said":"x",' + MANY + b"}"], "more than 2,048 fields"),
    "many members within": ([b'{"t":1,"said":"x","o":{' + MANY + b"}}"], "more than 2,048 fields"),
    "many objects": (
        [b'{"t":1,' + b",".join(b'"o%d":{"a":1,"b":2,"c":3}' % n for n in range(900)) + b"}"],
        "more than 2,048 fields",
    ),
}  # fmt: skip


@pytest.mark.parametrize("few", [True, False], ids=["few", "native"])
@pytest.mark.parametrize("what", BAD)
def test_a_bad_row_costs_itself(tmp_path, acme, monkeypatch, what, few):
    monkeypatch.setattr(flatten, "_FEW", 1000 if few else 10)
    rows, reason = BAD[what]
    path = tmp_path / "log"
    path.write_bytes(mixed(*rows))
    words, events, reasons = take(path, acme)
    assert sorted(words) == list(range(GOOD))
    assert events == GOOD
    assert len(reasons) == len(rows)
    assert all(one.startswith(reason) for one in reasons)


ODD = {
    "keys twice": b'{"t":1762200000000,"said":"a","said":"word 1000"}',
    "a key a thousand times": b'{"t":1762200000000,' + b",".join([b'"said":"word 1000"'] * 1000) + b"}",
    "1970": b'{"t":0,"said":"word 1000"}',
    "2100": b'{"t":4102444800000,"said":"word 1000"}',
    "a zero escaped": rb'{"t":1762200000000,"said":"word 1000","x":"a\u0000b"}',
    "a number of 100,000 digits": b'{"t":1762200000000,"said":"word 1000","x":' + b"9" * DEEP + b"}",
    "a key of a megabyte": b'{"t":1762200000000,"said":"word 1000","' + b"k" * 1_000_000 + b'":1}',
    "a list of 100,000": b'{"t":1,"said":"word 1000","l":[' + b",".join(b"%d" % n for n in range(DEEP)) + b"]}",
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_an_odd_row_is_a_row(tmp_path, acme, what):
    path = tmp_path / "log"
    path.write_bytes(mixed(ODD[what]))
    words, _, reasons = take(path, acme)
    assert (sorted(words), reasons) == ([*range(GOOD), 1000], [])


def test_a_line_of_fifty_megabytes_is_passed_over(tmp_path, acme, monkeypatch):
    monkeypatch.setattr(lining, "MAX_RECORD_BYTES", 1_000_000)
    monkeypatch.setattr(lining, "MAX_BATCH_BYTES", 2_000_000)
    path = tmp_path / "log"
    path.write_bytes(mixed(b'{"said":"' + b"x" * 50_000_000 + b'"}') + b"y" * 5_000_000)
    words, _, reasons = take(path, acme)
    assert words == list(range(GOOD))
    assert [reason[:11] for reason in reasons] == ["longer than"] * 2


@pytest.mark.parametrize(
    "form", ["utf-16-le", "utf-16-be", "marked little", "marked big", "carriage returns"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_other_encodings_are_read(tmp_path, acme, form, packed):
    text = mixed().decode()
    if form == "carriage returns":
        data = text.replace("\n", "\r").encode()
    else:
        code = {"marked little": "utf-16-le", "marked big": "utf-16-be"}.get(form, form)
        data = ("\ufeff" if "marked" in form else "").encode(code) + text.encode(code)
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert take(path, acme) == (list(range(GOOD)), GOOD, [])


def test_utf_16_with_half_letters_costs_their_lines(tmp_path, acme):
    wrong = "\ud800".encode("utf-16-le", "surrogatepass")
    before, after = mixed().decode()[:4000].rpartition("\n")[0], record(GOOD).decode()
    data = (
        f"{before}\n".encode("utf-16-le")
        + b'{\0"\0'
        + wrong
        + "\n".encode("utf-16-le")
        + f"{after}\n".encode("utf-16-le")
    )
    path = tmp_path / "log"
    path.write_bytes(b"\xff\xfe" + data + b"{")
    words, _, reasons = take(path, acme)
    assert words == [*range(before.count("\n") + 1), GOOD]
    assert [reason[:9] for reason in reasons] == ["not UTF-8"] * 2


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("a.json")
        member.size = len(mixed())
        archive.addfile(member, io.BytesIO(mixed()))
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.json", mixed())
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [(tar(), "a tar archive"), (gzip.compress(tar()), "a tar archive"),
     (zstandard.compress(tar()), "a tar archive"), (zipped(), "a zip archive")],
)  # fmt: skip
@pytest.mark.parametrize("named", [False, True])
def test_an_archive_is_named_with_what_to_do(tmp_path, acme, data, what, named):
    path = tmp_path / "log"
    path.write_bytes(data)
    if not named:
        with pytest.raises(reading.UnrecognisedError, match=f"it is {what}: unpack it"):
            take(path, acme)
        return
    ((_, parsed),) = reading.read(Stream(path), Sources({}), acme)
    assert parsed.rejects[0].reason.startswith(f"it is {what}: unpack it (`")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("filling", [b"\0", b"\n", b"x\n", b" "])
def test_a_bomb_costs_what_comes_after_it(tmp_path, acme, monkeypatch, pack, filling):
    monkeypatch.setattr(streams, "RATIO_FLOOR", 200_000)
    monkeypatch.setattr(streams, "MAX_RATIO", 50)
    monkeypatch.setattr(lining, "MAX_RECORD_BYTES", 500_000)
    path = tmp_path / "log"
    path.write_bytes(pack(mixed() + filling * (100_000_000 // len(filling))))
    words, _, reasons = take(path, acme)
    assert words == list(range(GOOD))
    assert "it unpacks to more than 50 times its size; unpack it yourself" in reasons


def test_names_that_never_come_twice_take_bounded_room(tmp_path, acme, monkeypatch):
    monkeypatch.setattr(flatten, "_MAX_CELLS", 200_000)
    path = tmp_path / "log"
    rows = [record(n, **{f"k{n}_{m}": m for m in range(20)}, within={f"w{n}": n}) for n in range(GOOD)]
    path.write_bytes(b"\n".join(rows))
    shapes = [(len(p.records), p.fields.num_columns, p.position, p.offset)
              for _, p in reading.read(Stream(path), Sources({"acme": acme}))]  # fmt: skip
    assert sum(count for count, *_ in shapes) == GOOD
    assert all(count * columns <= 400_000 for count, columns, *_ in shapes)
    assert [place for *_, place, _ in shapes] == [0] * (len(shapes) - 1) + [GOOD]
    assert [offset for *_, offset in shapes] == [0] * (len(shapes) - 1) + [path.stat().st_size]
    assert take(path, acme) == (list(range(GOOD)), GOOD, [])


def test_names_that_never_come_twice_in_lines_are_refused_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(_columns, "_MAX_CELLS", 20_000)
    assert _columns.table([{"a": "1"}, {"b": "2"}] * 4000).num_columns == 2
    with pytest.raises(flatten.TooWideError, match="too many different field names"):
        _columns.table([{f"k{n}": "1"} for n in range(200)])


NOISE = [b"\0\0\0", b"\xff\xfe\xfd", b"\xe2\x28\xa1", b"}{", b"[" * 500]


SHIPPED = Sources.load(Library.open()).by_name


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_noise_between_the_lines_of_any_source_costs_no_event(tmp_path, name):
    one = SHIPPED[name]
    if not alone(one) or "begins" in one.file.options:
        pytest.skip("its lines are not records by themselves")
    for sample in sorted((one.folder / "samples").glob("*")):
        stream = Stream(sample)
        by_stream = getattr(reading.parsers.get(one.file.parser), "lined", None)
        if not stream.plain or (by_stream is not None and not by_stream(stream, one.file.options)):
            continue
        rows = sample.read_bytes().splitlines()
        noisy = [row for n, line in enumerate(rows) for row in (line, NOISE[n % len(NOISE)])]
        other = tmp_path / sample.name
        other.write_bytes(b"\n".join(noisy) + b"\n")
        assert records(other, one) == records(sample, one)


def records(path, one):
    found = []
    for _, parsed in reading.read(Stream(path), Sources({one.name: one}), one):
        found += [text for text in parsed.records.to_pylist() if text.encode() not in NOISE]
    return found

"""What a source's `encoding` says: files, deliveries and dead letters are read as such; what is none costs its line."""

import gzip
import json

import pytest
from acme import MAPPING, SOURCE

from lemnis import app
from lemnis.app import deadletters, ingest, receiving
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ContentError
from lemnis.contracts.receiving import Delivery
from lemnis.store.inbox import Letter

NOW = 1_762_200_000_000
WORDS = {
    "latin-1": ["Müller", "naïve", "ÿ"],
    "cp1252": ["Müller", "10 €", "“quoted”"],
    "iso8859-15": ["10 €", "œuvre"],
    "cp1250": ["žluťoučký"],
    "cp1251": ["Привет"],
    "cp850": ["Müller"],
    "koi8-r": ["Привет"],
    "utf-16-le": ["Привет", "漢字", "😀", "ascii"],
    "utf-16-be": ["漢字", "Привет"],
}


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


def source(workspace, encoding=""):
    folder = workspace.content / "sources" / "acme"
    folder.mkdir(parents=True, exist_ok=True)
    more = f"encoding: {encoding}\n" if encoding else ""
    (folder / "source.yaml").write_text(SOURCE + more)
    (folder / "mapping.yaml").write_text(MAPPING)
    return folder


def lines(words, encoding, first=0):
    texts = [
        json.dumps({"acme": 1, "t": NOW + first + n, "said": word}, ensure_ascii=False) + "\n"
        for n, word in enumerate(words)
    ]
    return "".join(texts).encode(encoding)


def said(workspace):
    sql = "SELECT message, raw_data FROM http_activity ORDER BY time"
    rows = app.lake(workspace).query(sql).to_pylist()
    assert all(json.loads(row["raw_data"])["said"] == row["message"] for row in rows)
    return [str(row["message"]) for row in rows]


@pytest.mark.parametrize("encoding", WORDS)
def test_a_file_and_a_delivery_are_read_as_the_source_says(workspace, tmp_path, encoding):
    words = WORDS[encoding]
    source(workspace, encoding)
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(lines(words, encoding)))
    ingest.Ingest(workspace, "acme").run([tmp_path / "a.log.gz"])
    box = receiving.inbox(workspace)
    whole = lines(words, encoding, 100)
    box.append([Letter([Delivery("acme", "sender", whole)])])
    receiving.Worker(workspace, box).step()
    assert said(workspace) == [*words, *words]
    assert list(app.lake(workspace).dead_letters()) == []


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_file_that_begins_in_ascii_is_recognised_and_followed(workspace, tmp_path, encoding):
    source(workspace, encoding)
    log = tmp_path / "a.log"
    log.write_bytes(lines(["first", "Müller"], encoding))
    ingest.Ingest(workspace).run([log])
    with log.open("ab") as file:
        file.write(lines(["über"], encoding, 10))
    totals = ingest.Ingest(workspace).run([log])
    assert (totals.accepted, totals.duplicates) == (1, 0)
    assert said(workspace) == ["first", "Müller", "über"]


def test_bytes_that_are_no_letters_cost_their_line_and_are_named(workspace, tmp_path):
    source(workspace, "cp1252")
    data = (
        lines(["good"], "cp1252") + b'{"acme": 1, "t": 1, "said": "\x81"}\n' + lines(["gut: ä"], "cp1252", 5)
    )
    (tmp_path / "a.log").write_bytes(data)
    ingest.Ingest(workspace).run([tmp_path / "a.log"])
    box = receiving.inbox(workspace)
    box.append([Letter([Delivery("acme", "sender", data)])])
    receiving.Worker(workspace, box).step()
    assert said(workspace) == ["good", "good", "gut: ä", "gut: ä"]
    letters = list(app.lake(workspace).dead_letters())
    assert [(one.reason, one.at.record) for one in letters] == [("not cp1252", 2)] * 2
    assert all(b"\x81" in one.raw for one in letters)


def test_half_a_pair_at_the_end_costs_its_line(workspace, tmp_path):
    source(workspace, "utf-16-le")
    (tmp_path / "a.log").write_bytes(lines(["Привет", "漢字"], "utf-16-le")[:-3])
    ingest.Ingest(workspace, "acme").run([tmp_path / "a.log"])
    assert said(workspace) == ["Привет"]
    assert [one.reason for one in app.lake(workspace).dead_letters()] == ["not utf-16-le"]


def test_dead_letters_become_events_once_the_source_says_what_they_are_in(workspace, tmp_path):
    folder = source(workspace)
    (tmp_path / "a.log").write_bytes(lines(["first", "Müller", "last"], "latin-1"))
    box = receiving.inbox(workspace)
    box.append([Letter([Delivery("acme", "sender", lines(["ß"], "latin-1", 50))])])
    receiving.Worker(workspace, box).step()
    ingest.Ingest(workspace).run([tmp_path / "a.log"])
    reasons = [one.reason for one in app.lake(workspace).dead_letters()]
    assert len(reasons) == 2
    assert all(reason.startswith("not UTF-8 at byte") for reason in reasons)
    (folder / "source.yaml").write_text(SOURCE + "encoding: latin-1\n")
    done = deadletters.replay(workspace)
    assert (done.done.accepted, done.rejected) == (2, 0)
    assert said(workspace) == ["first", "Müller", "last", "ß"]
    assert deadletters.replay(workspace).read == 0


def test_an_encoding_that_is_none_is_refused_with_its_place(workspace):
    folder = source(workspace, "latin-17")
    with pytest.raises(ContentError, match="encoding") as raised:
        LoadedSource.read(folder)
    assert raised.value.at.line == 8

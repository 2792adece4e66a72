"""Feeds: pulled from folders, zips, addresses and bundles; signed, dated, and bounded."""

import gzip
import http.server
import json
import threading
import zipfile
from typing import ClassVar

import orjson
import pytest

from lemnis.app import attest, feeds, feeds_download, feeds_sources
from lemnis.contracts.errors import (
    InputError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    ServiceError,
)
from lemnis.interfaces.cli import run

DAY = 86_400_000
NOW = 1_780_000_000_000


def osv(identity, modified="2024-05-06T00:00:00Z", ecosystem="PyPI", name="demo"):
    return orjson.dumps(
        {"id": identity, "modified": modified, "affected": [{
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
        }]}
    )  # fmt: skip


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "npm").mkdir(parents=True)
    (folder / "A.json").write_bytes(osv("A"))
    (folder / "B.yaml").write_text("id: B\nmodified: 2024-06-07T00:00:00Z\naffected: []\n")
    (folder / "broken.json").write_bytes(b'{"id": ')
    (folder / "notes.md").write_text("no advisory")
    with zipfile.ZipFile(folder / "npm" / "all.zip", "w") as archive:
        archive.writestr("C.json", osv("C", ecosystem="npm"))
        archive.writestr("../../escape.txt", "never written")
    (folder / "link.json").symlink_to("/etc/hostname")
    return folder


@pytest.fixture
def root(tmp_path):
    return tmp_path / "feeds"


def test_a_folder_with_files_of_each_kind(root, source):
    done = feeds.pull(root, "osv", [str(source)], now=NOW)
    assert done.feed.manifest.entries == {"PyPI": 1, "npm": 1}
    assert done.feed.told(NOW) == "2 entries, as of 2024-06-07, 720 d 20 h old"
    assert [(one.at.file, one.at.line) for one in done.errors] == [(str(source / "broken.json"), 1)]
    assert feeds.one(root, "osv").problem == ""
    assert oct((root / "keys" / "own").stat().st_mode)[-3:] == "600"


def test_data_that_were_changed_are_not_used(root, source):
    feeds.pull(root, "osv", [str(source)], now=NOW)
    with (root / "osv.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    assert "not those that were signed" in feeds.one(root, "osv").problem
    feeds.pull(root, "osv", [str(source)], now=NOW)
    manifest = root / "osv.manifest.dsse.json"
    said = orjson.loads(manifest.read_bytes())
    said["payload"] = said["payload"][:-8] + "AAAAAAAA"
    manifest.write_bytes(orjson.dumps(said))
    assert "signed by no key" in feeds.one(root, "osv").problem


def test_a_bundle_for_a_place_without_a_network(root, source, tmp_path):
    feeds.pull(root, "osv", [str(source)], now=NOW)
    public = attest.keygen(tmp_path / "publisher")
    feeds.pack(root, "osv", tmp_path / "osv.zip", tmp_path / "publisher")
    feeds.pack(root, "osv", tmp_path / "again.zip", tmp_path / "publisher")
    assert (tmp_path / "osv.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    away = tmp_path / "away"
    with pytest.raises(IntegrityError, match="signed by no key"):
        feeds.pull(away, "osv", [str(tmp_path / "osv.zip")], now=NOW)
    done = feeds.pull(away, "osv", [str(tmp_path / "osv.zip")], now=NOW, key=public)
    assert done.feed.manifest.entries == {"PyPI": 1, "npm": 1}
    assert feeds.pull(away, "osv", [str(tmp_path / "osv.zip")], now=NOW).feed.manifest is not None
    with pytest.raises(InputError, match="a bundle of osv, not of kev"):
        feeds.pull(away, "kev", [str(tmp_path / "osv.zip")], now=NOW)


def test_a_bundle_whose_data_were_swapped_is_refused(root, source, tmp_path):
    feeds.pull(root, "osv", [str(source)], now=NOW)
    feeds.pack(root, "osv", tmp_path / "osv.zip")
    with zipfile.ZipFile(tmp_path / "osv.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        bad.writestr("manifest.dsse.json", good.read("manifest.dsse.json"))
        bad.writestr("data.db", b"other data")
    with pytest.raises(IntegrityError, match="not those that were signed"):
        feeds.pull(root, "osv", [str(tmp_path / "bad.zip")], now=NOW)
    assert feeds.one(root, "osv").problem == ""


def test_older_data_do_not_replace_newer_ones_by_chance(root, source, tmp_path):
    feeds.pull(root, "osv", [str(source)], now=NOW)
    (tmp_path / "old.json").write_bytes(osv("OLD", "2020-01-01T00:00:00Z"))
    with pytest.raises(RefusedError, match="as of 2020-01-01, those here as of 2024-06-07"):
        feeds.pull(root, "osv", [str(tmp_path / "old.json")], now=NOW)
    assert feeds.pull(root, "osv", [str(tmp_path / "old.json")], now=NOW, older=True).feed.old(NOW)


def test_probabilities_without_a_date_are_of_unknown_age_unless_told(root, tmp_path):
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b"CVE-2024-0001;0.5;0.9\n", mtime=0))
    done = feeds.pull(root, "epss", [str(tmp_path / "e.csv.gz")], now=NOW)
    assert (done.feed.told(NOW), done.feed.old(NOW)) == ("1 entry, of unknown age", True)
    told = feeds.pull(root, "epss", [str(tmp_path / "e.csv.gz")], now=NOW, until=NOW - DAY)
    assert (told.feed.age(NOW), told.feed.old(NOW)) == (DAY, False)


@pytest.mark.parametrize(
    ("feed", "name", "data", "words"),
    [
        ("nvd", "x", b"", "no feed 'nvd'"),
        ("osv", "x.json", b"[]", "nothing of osv"),
        ("osv", "x.json", b"{}", "no OSV record"),
        ("kev", "x.json", b"{}", "lists no vulnerabilities"),
        ("epss", "x.csv.gz", gzip.compress(b"CVE-2024-0001,1,1\n", mtime=0)[:-9], "ends too early"),
    ],
)
def test_what_holds_nothing_is_refused(tmp_path, feed, name, data, words):
    root = tmp_path / "feeds"
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        feeds.pull(root, feed, [str(tmp_path / name)], now=NOW)
    assert words in str(caught.value)


def test_a_bomb_is_bounded(root, tmp_path, monkeypatch):
    monkeypatch.setattr(feeds_sources, "MAX_FILE", 5000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("A.json", osv("A"))
        archive.writestr("bomb.json", b" " * 1_000_000)
    (tmp_path / "bomb.json").write_bytes(gzip.compress(b" " * 1_000_000, mtime=0))
    done = feeds.pull(root, "osv", [str(tmp_path / "bomb.zip"), str(tmp_path / "bomb.json")], now=NOW)
    assert [one.what for one in done.errors] == ["more than 5,000 bytes unpacked"] * 2
    monkeypatch.setattr(feeds_sources, "MAX_WHOLE", 100)
    with pytest.raises(InputError, match="more than 100 bytes"):
        feeds.pull(root, "osv", [str(tmp_path / "bomb.zip")], now=NOW)


class Served(http.server.BaseHTTPRequestHandler):
    answers: ClassVar = {}
    asked: ClassVar = []

    def do_GET(self):
        self.asked.append({name.lower(): value for name, value in self.headers.items()})
        answer = self.answers.get(self.path, (404, {}, b""))
        status, headers, body = answer(self.asked) if callable(answer) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    Served.asked = []
    Served.answers = {
        "/kev.json": (
            200,
            {},
            b'{"vulnerabilities": [{"cveID": "CVE-2024-0001", "dateAdded": "2024-01-01"}]}',
        ),
        "/plain": (302, {"Location": "http://127.0.0.1:1/"}, b""),
        "/inside": (302, {"Location": "https://169.254.169.254/latest"}, b""),
        "/nowhere": (302, {}, b""),
    }
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()


def test_an_address_is_fetched(root, server):
    done = feeds.pull(root, "kev", [f"{server}/kev.json"], now=NOW)
    assert done.feed.manifest.sources == (f"{server}/kev.json",)
    assert done.feed.told(NOW).startswith("1 entry, as of 2024-01-01")


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("/plain", RefusedError, "no HTTPS address"),
        ("/inside", RefusedError, "into a network (169.254.169.254)"),
        ("/nowhere", RefusedError, "no HTTPS address"),
        ("/none", ServiceError, "answered 404"),
    ],
)
def test_where_an_address_may_not_lead(root, server, path, error, words):
    with pytest.raises(error) as caught:
        feeds.pull(root, "kev", [server + path], now=NOW)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "https:///x"]
)
def test_what_is_no_address_to_fetch(root, url):
    with pytest.raises(InputError, match="no HTTPS address"):
        feeds.pull(root, "kev", [url], now=NOW)


def test_an_answer_without_end_is_cut_off(root, server, monkeypatch):
    monkeypatch.setattr(feeds_download, "MAX_DOWNLOAD", 10)
    with pytest.raises(ServiceError, match="more than 10 bytes"):
        feeds.pull(root, "kev", [f"{server}/kev.json"], now=NOW)


KEV = b'{"vulnerabilities": [{"cveID": "CVE-2024-0001", "dateAdded": "2024-01-01"}]}'


@pytest.mark.parametrize(
    ("state", "asks"), [({"ETag": '"v1"'}, "if-none-match"), ({"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "if-modified-since")]
)  # fmt: skip
def test_what_is_here_already_is_not_fetched_again(root, server, tmp_path, state, asks):
    def answer(asked):
        return (304, {}, b"") if asks in asked[-1] else (200, state, KEV)

    Served.answers["/kev"] = answer
    first = feeds.pull(root, "kev", [f"{server}/kev"], now=NOW)
    again = feeds.pull(root, "kev", [f"{server}/kev"], now=NOW + DAY)
    assert (first.unchanged, again.unchanged, again.feed) == (False, True, first.feed)
    assert Served.asked[-1][asks] in state.values()
    feeds.pull(tmp_path / "other", "kev", [f"{server}/kev"], now=NOW)
    assert asks not in Served.asked[-1]
    (root / "kev.db").write_bytes(b"damaged")
    assert feeds.pull(root, "kev", [f"{server}/kev"], now=NOW).feed.problem == ""
    (root / "kev.source.json").write_bytes(b"damaged")
    assert not feeds.pull(root, "kev", [f"{server}/kev"], now=NOW).unchanged


@pytest.mark.parametrize("changed", [False, True])
def test_what_breaks_off_is_resumed_and_never_mixed_with_another_state(root, server, changed):
    def answer(asked):
        whole = {"ETag": '"v1"', "Content-Length": str(len(KEV))}
        if "range" not in asked[-1]:
            return 200, whole, KEV[:30]
        assert (asked[-1]["range"], asked[-1]["if-range"]) == ("bytes=30-", '"v1"')
        if changed:
            return 200, {"ETag": '"v2"'}, KEV.replace(b"0001", b"0002")
        return 206, {"ETag": '"v1"', "Content-Range": f"bytes 30-{len(KEV) - 1}/{len(KEV)}"}, KEV[30:]

    Served.answers["/kev"] = answer
    done = feeds.pull(root, "kev", [f"{server}/kev"], now=NOW)
    assert (done.feed.manifest.entries, len(Served.asked)) == ({"kev": 1}, 2)


def test_a_part_that_is_not_the_one_asked_for_is_refused(root, server):
    def answer(asked):
        if "range" not in asked[-1]:
            return 200, {"ETag": '"v1"', "Content-Length": str(len(KEV))}, KEV[:30]
        return 206, {"ETag": '"v1"', "Content-Range": f"bytes 10-{len(KEV) - 1}/{len(KEV)}"}, KEV[10:]

    Served.answers["/kev"] = answer
    with pytest.raises(ServiceError, match="answered 206"):
        feeds.pull(root, "kev", [f"{server}/kev"], now=NOW)
    assert not (root / "kev.db").exists()


def test_what_breaks_off_and_has_no_state_is_not_pieced_together(root, server):
    Served.answers["/kev"] = (200, {"Content-Length": "999"}, KEV)
    with pytest.raises(ServiceError, match="without sending complete"):
        feeds.pull(root, "kev", [f"{server}/kev"], now=NOW)
    assert len(Served.asked) == 1


def test_a_server_that_drips_does_not_outlast_the_time(tmp_path, server, monkeypatch):
    monkeypatch.setattr(feeds_download, "SECONDS", 0.0)
    Served.answers["/kev"] = (200, {}, KEV)
    with pytest.raises(ServiceError, match="not done in 0 s"):
        feeds_download.download(f"{server}/kev", tmp_path / "x")


def test_a_zip_that_ends_too_early_says_so(root, source, tmp_path):
    whole = (source / "npm" / "all.zip").read_bytes()
    (tmp_path / "all.zip").write_bytes(whole[:-30])
    with pytest.raises(InputError, match="the zip ends too early"):
        feeds.pull(root, "osv", [str(tmp_path / "all.zip")], now=NOW)


def test_a_feed_that_is_not_there_cannot_be_packed(root, tmp_path):
    with pytest.raises(NotFoundError, match="no data of osv"):
        feeds.pack(root, "osv", tmp_path / "x.zip")


def test_commands(tmp_path, source, capsys, monkeypatch):
    monkeypatch.setenv("LEMNIS_FEEDS", str(tmp_path / "shared"))
    assert run(["content", "pull", "osv", "--from", str(source), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["entries"], said["rejected"], said["until"]) == (
        {"PyPI": 1, "npm": 1}, 1, "2024-06-07T00:00:00.000Z",
    )  # fmt: skip
    assert run(["content", "feeds", "--json"]) == 0
    listed = {one["name"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert [listed[name]["ok"] for name in ("osv", "kev", "epss")] == [True, False, False]
    assert run(["content", "pack", "osv", "-o", str(tmp_path / "osv.zip"), "--json"]) == 0
    assert run(["content", "pull", "osv", "--until", "soon"]) == 2


def test_without_a_workspace_there_is_no_place_for_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEMNIS_FEEDS", raising=False)
    monkeypatch.delenv("LEMNIS_WORKSPACE", raising=False)
    assert run(["content", "feeds"]) == 2


def test_the_doctor_tells_of_old_and_damaged_data(tmp_path, source, capsys):
    assert run(["init", str(tmp_path / "w"), "--json"]) == 0
    capsys.readouterr()
    assert run(["doctor", "-w", str(tmp_path / "w"), "--json"]) == 0
    found = {one["name"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert (found["feed osv"]["absent"], found["feed osv"]["ok"]) == (True, True)
    assert run(["content", "pull", "osv", "--from", str(source), "-w", str(tmp_path / "w")]) == 0
    capsys.readouterr()
    assert run(["doctor", "-w", str(tmp_path / "w"), "--json"]) == 3
    found = {one["name"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert not found["feed osv"]["ok"]
    assert "as of 2024-06-07" in found["feed osv"]["found"]

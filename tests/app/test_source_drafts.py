"""``lemnis sources new``: from a sample to a source whose test passes at once."""

import json

import pytest
import yaml

from lemnis.app import source_drafts, source_tests
from lemnis.content.library import Library
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.interfaces.cli import run as lemnis

LOGINS = "".join(
    json.dumps({
        "@timestamp": f"2026-01-02T03:04:0{n}Z", "event": {"type": kind, "id": f"a81bc81b-dead-4e5d-abff-90865d1e13b{n}"},
        "user": {"name": user, "email": f"{user}@example.com"}, "client": {"ip": f"192.0.2.{n}"},
        "outcome": outcome, "severity": "warn", "vendor": "Acme", "blub": "x",
    }) + "\n"
    for n, (kind, user, outcome) in enumerate([("user.login", "ada", "success"), ("user.logout", "bob", "failure")])
)  # fmt: skip
SAMPLES = {
    "ndjson": (LOGINS, "jsonl", "authentication"),
    "array": (
        ('[{"time": 1767323045, "method": "GET", "url": "/a", "status": 200, "ip": "192.0.2.1"},\n'
        '{"time": 1767323046, "method": "POST", "url": "/b", "status": 500, "ip": "192.0.2.2"}]'),
        "jsonl", "http_activity",
    ),
    "envelope": (
        json.dumps({"next": "x", "items": [{"ts": "2026-01-02T03:04:05Z", "query": "a.example.", "qtype": "A", "client": "192.0.2.1"}]}, indent=1),
        "jsonl", "dns_activity",
    ),
    "table": (
        ("time;src_ip;dst_ip;dst_port;action\n2026-01-02 03:04:05;192.0.2.1;198.51.100.7;443;allow\n"
        "2026-01-02 03:04:06;192.0.2.9;198.51.100.7;22;deny\n"),
        "csvlines", "network_activity",
    ),
    "pairs": (
        ('time="2026-01-02T03:04:05Z" level=info msg="a user came" user=ada ip=192.0.2.1\n'
        'time="2026-01-02T03:04:06Z" level=error msg="it failed" err="no, not \\"now\\""\n'),
        "keyvalue", "base_event",
    ),
    "pairs behind a time": (
        (
            "2026-01-02 03:04:05,123 WARN  [events] type=LOGIN, user=ada, ip=192.0.2.1\n"
            "2026-01-02 03:04:06,123 WARN  [events] type=LOGOUT, user=bob, ip=192.0.2.2\n"
        ),
        "keyvalue", "authentication",
    ),
    "times of several formats": (
        "I [02/Jan/2026:03:04:05.127] one\nI [02/Jan/2026:03:04:06] two\nI [02/Jan/2026:03:04:07] two\n",
        "pattern", "base_event",
    ),
    "nothing in common": (
        '{"ts":"2026-01-02T03:04:05Z","a":1}\n{"time":"2026-01-02T03:04:05Z","b":1}\n', "jsonl", "base_event"
    ),
    "syslog": ("Jan  2 03:04:05 web1 acmed[12]: hello\nJan  2 03:04:06 web1 acmed[12]: bye\n", "syslog", "base_event"),
    "lines": (
        "2026-01-02 03:04:05,123 INFO [main] started in 5s\n2026-01-02 03:04:06,123 WARN [pool-1] slow: 7 s\n",
        "pattern", "base_event",
    ),
}  # fmt: skip


@pytest.fixture
def make(tmp_path):
    def run(text, name="acme", **wish):
        sample = tmp_path / "sample.txt"
        sample.write_text(text, encoding="utf-8")
        content = tmp_path / "content"
        wished = source_drafts.Wish(**wish)
        return source_drafts.new(Library.open(content), name, sample, content, wished)

    return run


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_draft_passes_its_own_test(make, tmp_path, kind):
    text, parser, class_name = SAMPLES[kind]
    made = make(text)
    assert (made.parser, made.class_name) == (parser, class_name)
    assert made.mapped == made.records == {"envelope": 1, "times of several formats": 3}.get(kind, 2)
    (tested,) = source_tests.check(Library.open(tmp_path / "content"), ["acme"])
    assert [case.why for case in tested.cases] == [()]
    assert tested.mapped_percent == 100


def test_what_is_guessed_is_named(make):
    made = make(LOGINS)
    assert made.identity == "event.id"
    assert made.time == ("@timestamp",)
    assert set(made.personal) == {"user.name", "user.email"}
    assert set(made.unmapped) == {"vendor", "blub"}
    mapping = yaml.safe_load((made.folder / "mapping.yaml").read_text())
    (entry,) = mapping["events"]
    assert entry["activity"] == {
        "from": "event.type",
        "map": {"user.login": 1, "user.logout": 2},
        "default": 99,
    }
    assert mapping["common"]["severity"]["map"] == {"warn": "medium"}
    assert "CHECK: guessed" in (made.folder / "mapping.yaml").read_text()
    assert (
        yaml.safe_load((made.folder / "source.yaml").read_text())["recognise"]["fields"]["vendor"] == "Acme"
    )


def test_nothing_is_written_over(make, tmp_path):
    before = make(LOGINS).folder / "mapping.yaml"
    before.write_text("mine")
    with pytest.raises(UsageError, match="there is such a source already"):
        make(LOGINS)
    assert before.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing in the sample"),
        ('{"a": 1}\n', "no field of the sample holds a time"),
        ("\x00\x01\x02", "no text"),
        ('{"not" json\n', "no record in the sample can be read"),
    ],
)
def test_what_cannot_be_drafted_from_is_said(make, tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        make(text)
    assert not (tmp_path / "content" / "sources" / "acme").exists()


def test_names_that_are_none_and_files_that_are_not_there(make, tmp_path):
    with pytest.raises(UsageError, match="no name of a source"):
        make(LOGINS, name="../x")
    with pytest.raises(NotFoundError, match="no such file"):
        source_drafts.new(Library.open(), "acme", tmp_path / "none", tmp_path)


def test_the_time_and_the_class_may_be_said(make):
    odd = '{"at": "03h04 2.1.2026", "method": "GET", "url": "/a", "ip": "192.0.2.1"}\n'
    assert make(odd, time="at=%Hh%M %d.%m.%Y", name="one").class_name == "http_activity"
    made = make(odd, time="at=%Hh%M %d.%m.%Y", class_name="network_activity", name="two")
    assert (made.time, made.class_name, made.mapped) == (("at",), "network_activity", 1)
    with pytest.raises(UsageError, match="no known format reads at"):
        make(odd, time="at", name="three")
    with pytest.raises(NotFoundError, match="no field 'when'"):
        make(odd, time="when", name="three")
    with pytest.raises(UsageError, match="actor is required"):
        make(odd, time="at=%Hh%M %d.%m.%Y", class_name="process_activity", name="three")


def test_records_without_a_time_are_told_and_not_copied(make):
    made = make(LOGINS + '{"user": {"name": "zoe"}}\n')
    assert (made.mapped, made.records) == (2, 3)
    (reason,) = made.rejects
    assert reason.startswith("no time")
    assert "zoe" not in (made.folder / "samples" / "sample.jsonl").read_text()


def test_the_command_says_what_it_guessed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEMNIS_WORKSPACE", raising=False)
    (tmp_path / "a.ndjson").write_text(LOGINS)
    assert lemnis(["sources", "new", "acme", "--from", "a.ndjson"]) == 2
    assert "no workspace here" in capsys.readouterr().err
    assert lemnis(["sources", "new", "acme", "--from", "a.ndjson", "--content", "content", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["guessed"]["src_endpoint.ip"] == "client.ip"
    assert told["personal"] == ["user.email", "user.name"]
    assert (told["records"], told["mapped"], told["rejects"]) == (2, 2, {})

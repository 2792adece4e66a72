"""``lemnis incident``: what people and machines see."""

import orjson
import pytest
from watched import DETECTION, batch

from lemnis import app
from lemnis.app import watch
from lemnis.interfaces.cli import run

ROWS = [
    (1, 0, "low", "192.0.2.1"),
    (2, 9, "high", "192.0.2.1"),
    (3, 12, "low", "192.0.2.1"),
    (4, 500, "high", "192.0.2.9"),
    (5, 900, "low", "192.0.2.4"),
]


@pytest.fixture
def at(tmp_path, monkeypatch):
    workspace = app.init(tmp_path / "w")
    watching = watch.Watch(workspace, detecting=DETECTION)
    watching.watch([batch(*ROWS)])
    watching.finish()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("LEMNIS_ACTOR", "ana")
    return workspace


@pytest.fixture
def ask(at, capsys):
    def asking(*arguments, code=0):
        assert run(["incident", *arguments]) == code
        return capsys.readouterr()

    return asking


def lines(said):
    return [orjson.loads(line) for line in said.out.splitlines()]


def test_list_has_the_worst_first_and_one_object_a_line(ask):
    found = lines(ask("list", "--json"))
    assert [one["alerts"] for one in found] == [3, 1]
    assert found[0]["id"].startswith("in-")
    assert found[0]["status"] == "new"
    text = ask("list").out
    assert "A break-in, and 1 more" in text
    assert "2 incidents; 1 alert in none" in text


def test_an_incident_is_found_by_an_alert_in_it(at, ask):
    incident = lines(ask("list", "--json"))[0]
    whole = lines(ask("show", incident["id"], "--json"))[0]
    assert lines(ask("show", whole["alert_ids"][1], "--json"))[0]["id"] == incident["id"]
    (alone,) = {entry.subject for entry in app.journal(at).entries(kind="alert")} - {
        alert
        for one in lines(ask("list", "--json"))
        for alert in lines(ask("show", one["id"], "--json"))[0]["alert_ids"]
    }
    assert "is in no incident" in ask("show", alone, code=2).err


def test_an_incident_from_first_look_to_last_word(ask, tmp_path):
    incident = lines(ask("list", "--json"))[0]["id"]
    shown = lines(ask("show", incident[:10], "--json"))[0]
    assert shown["metrics"]["time_to_detect"] == 9 * 60_000
    assert shown["metrics"]["recorded"] is True
    assert shown["entities"] == [
        {"entity": "address:192.0.2.1", "kind": "address", "value": "192.0.2.1", "alerts": 3}
    ]
    text = ask("show", incident).out
    assert "shares address 192.0.2.1 with al-" in text
    assert "the age of the recording" in text

    assert lines(ask("acknowledge", incident, "--json"))[0]["owner"] == "ana"
    ask("assign", incident, "maria")
    kept = tmp_path / "mail.eml"
    kept.write_bytes(b"mail")
    noted = lines(ask("note", incident, "looked at it", "--evidence", str(kept), "--json"))[0]
    assert (noted["owner"], noted["notes"][0]["text"], noted["evidence"][0]["title"]) == (
        "maria",
        "looked at it",
        "mail.eml",
    )
    assert "nothing to note" in ask("note", incident, code=2).err
    ask("move", incident, "on_hold", "--reason", "waits")
    ask("close", incident, "--verdict", "true_positive", "--reason", "done")
    refused = ask("move", incident, "on_hold", "--reason", "x", code=1)
    assert "cannot become" in refused.err
    assert [one["id"] for one in lines(ask("list", "--json"))] != [incident]
    assert len(lines(ask("list", "--all", "--json"))) == 2

    kinds = [one["kind"] for one in lines(ask("timeline", incident, "--json"))]
    assert kinds == [
        "alert",
        "alert",
        "alert",
        "opened",
        "status",
        "owner",
        "owner",
        "evidence",
        "note",
        "status",
        "status",
    ]
    assert "timeline of in-" in ask("timeline", incident).out


def test_exports(ask, tmp_path):
    incident = lines(ask("list", "--json"))[0]["id"]
    whole = orjson.loads(ask("export", incident).out)
    assert whole["timeline"][0]["kind"] == "alert"
    assert orjson.loads(ask("export", incident, "-f", "ocsf").out)["class_uid"] == 2005
    report = tmp_path / "incident.md"
    ask("export", incident, "-f", "markdown", "--out", str(report))
    assert report.read_text().startswith("# A break-in, and 1 more\n")
    assert "no incident" in ask("show", "in-zz", code=2).err


def test_foreign_text_is_never_markup(at, ask):
    incident = lines(ask("list", "--json"))[0]["id"]
    ask("note", incident, "[red]not red[/red] [/] [link=x]")
    assert "[red]not red[/red] [/] [link=x]" in ask("show", incident).out


@pytest.mark.parametrize("command", ["list", "show"])
def test_on_a_narrow_terminal_ids_and_words_stay_whole(at, ask, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    incident = lines(ask("list", "--json"))[0]["id"]
    printed = ask(command, *([incident] if command == "show" else [])).out
    assert max(map(len, printed.splitlines())) <= 80
    for whole in (incident, "high", "new", "A break-in", "owner"):
        assert whole in printed


def test_show_tells_what_is_known_of_the_entities_at_the_time(at, ask):
    folder = at.content / "assets"
    folder.mkdir()
    (folder / "all.yaml").write_text(
        "- {id: till-7, addresses: [192.0.2.1], owner: shops, criticality: high, until: 2200-01-01}\n"
        "- {id: other, addresses: [192.0.2.1], from: 2200-01-01}\n"
    )
    (at.content / "networks").mkdir()
    (at.content / "networks" / "all.yaml").write_text("- {cidr: 192.0.2.0/24, zone: stores}\n")
    found = lines(ask("list", "--json"))
    (known,) = lines(ask("show", found[0]["id"], "--json"))[0]["known"]
    assert (known["kind"], known["value"], known["id"]) == ("address", "192.0.2.1", "till-7")
    assert known["record"]["owner"] == "shops"
    assert "till-7, high, of shops" in ask("show", found[0]["id"]).out
    assert "192.0.2.0/24, stores" in ask("show", found[1]["id"]).out

"""What commands print: foreign text never steers the terminal and is never markup."""

import json

import pytest
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from lemnis.contracts.errors import InputError, Location
from lemnis.interfaces.cli import output, run

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b5n [bold]no[/] [/nope] \u202egnp.exe"
STEERING = ("\x1b", "\x07", "\x9b", "\u202e")


@pytest.mark.parametrize(
    "say",
    [
        lambda: output.report(InputError(HOSTILE, at=Location(HOSTILE), fix=HOSTILE)),
        lambda: output.warn(HOSTILE),
        lambda: output.show_table(HOSTILE, [HOSTILE], [[HOSTILE]]),
        lambda: output.console.print(Panel(Text(HOSTILE), title=Text(HOSTILE))),
    ],
)
def test_foreign_text_is_shown_and_never_obeyed(say, capsys):
    say()
    printed = "".join(capsys.readouterr())
    assert not [sign for sign in STEERING if sign in printed]
    assert "\\x1b[31mred" in printed
    assert "[/nope]" in printed


def test_on_a_terminal_our_own_colours_stay(monkeypatch, capsys):
    shown = Console(force_terminal=True, color_system="standard", highlight=False, width=200)
    shown.push_render_hook(output._Seen())
    monkeypatch.setattr(output, "messages", shown)
    output.warn(HOSTILE)
    printed = capsys.readouterr().out
    assert "\x1b[33mwarning:\x1b[0m" in printed
    assert "\x1b[31mred" not in printed


def test_lines_and_tabs_stay():
    assert output.visible("a\n\tb\r") == "a\n\tb\\r"


def test_a_log_cannot_steer_the_terminal_of_who_searches_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["init", "w"]) == 0
    (tmp_path / "auth.log").write_text(f"Jan  1 00:00:01 h sshd[1]: Invalid user {HOSTILE} from 1.2.3.4\n")
    assert run(["ingest", "linux_syslog", "auth.log", "-w", "w"]) == 0
    for command in (["search"], ["sql", "SELECT * FROM events"], ["incident", "list"], ["journal", "list"]):
        capsys.readouterr()
        assert run([*command, "-w", "w"]) == 0
        printed = "".join(capsys.readouterr())
        assert not [sign for sign in STEERING if sign in printed], command
    assert run(["search", "-w", "w", "--json"]) == 0
    assert "\x1b[31mred" in json.loads(capsys.readouterr().out)["event"]["raw_data"]


def test_json_holds_the_name_of_a_file_that_is_no_utf8(capsys):
    output.emit({"file": "bad\udcff.log"})
    assert json.loads(capsys.readouterr().out) == {"file": "bad\udcff.log"}


@pytest.mark.parametrize("target", ["nowhere/report.md", "folder", "file/report.md"])
def test_a_file_that_cannot_be_written_is_told_with_its_place(tmp_path, target, monkeypatch, capsys):
    def fails(_arguments):
        (tmp_path / target).write_text("x")

    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr("typer.main.get_command", lambda _: _Command(fails))
    assert run([]) == 2
    printed = capsys.readouterr().err
    assert str(tmp_path / target) in printed.replace("\n", "")
    assert "defect" not in printed


def test_a_folder_that_cannot_be_made_a_workspace_is_bad_input(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run(["init", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err


def test_ids_stay_whole_on_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setattr(output.console, "_width", 80)
    row = ("2026-01-01T00:00:00.000Z", "api_activity\naws_cloudtrail", "what " * 40, "ev-0123456789abcdef")
    output.show_table("1 event", ("time", "class, source", "what", "uid"), [row])
    printed = capsys.readouterr().out
    for whole in ("2026-01-01 ", "00:00:00.000Z", "aws_cloudtrail", "ev-0123456789abcdef"):
        assert whole in printed
    assert max(map(len, printed.splitlines())) <= 80


class _Command:
    def __init__(self, does):
        self._does = does

    def main(self, args, **_):
        self._does(args)
